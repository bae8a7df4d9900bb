"""librosa's spectrograms and torchaudio's resampling of 60 s of sound, one thread, beside
`RAYON_NUM_THREADS=1 cargo xtask bench audio`.

    OMP_NUM_THREADS=1 python audio.py [--runs 15]

Prints one JSON object: the median of the runs in milliseconds, and how far the inverted mel bands are off.
"""
import argparse
import json
import statistics
import time

import librosa
import numpy as np
import torch
import torchaudio


def wave():
    """The sound of the Rust benchmark: a tone and noise, 60 s at 16 kHz."""
    i = np.arange(960_000)
    noise = (i.astype(np.uint32) * np.uint32(2654435761) >> np.uint32(8)) / float(1 << 24)
    return (np.sin(i * 0.02) * 0.3 + noise * 0.2 - 0.1).astype(np.float32)


def whisper(x, filters):
    """Whisper's log-mel as its authors wrote it, by librosa."""
    power = np.abs(librosa.stft(x, n_fft=400, hop_length=160, pad_mode="reflect")[:, :-1]) ** 2
    mel = np.log10(np.maximum(filters @ power, 1e-10))
    return (np.maximum(mel, mel.max() - 8.0) + 4.0) / 4.0


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=15)
    options = parser.parse_args()
    torch.set_num_threads(1)
    x = wave()
    filters = librosa.filters.mel(sr=16000, n_fft=400, n_mels=80)
    spectrum = librosa.stft(x, n_fft=2048, hop_length=512)
    magnitude = np.abs(spectrum)
    mel = librosa.feature.melspectrogram(y=x, sr=16000)
    resample = torchaudio.transforms.Resample(44100, 16000)
    samples = torch.from_numpy(x)
    tasks = {
        "whisper log-mel": lambda: whisper(x, filters),
        "mel decibels": lambda: librosa.power_to_db(librosa.feature.melspectrogram(y=x, sr=16000)),
        "mfcc": lambda: librosa.feature.mfcc(y=x, sr=16000),
        "stft 2048": lambda: librosa.stft(x, n_fft=2048, hop_length=512),
        "istft 2048": lambda: librosa.istft(spectrum, hop_length=512, length=len(x)),
        "resample 44100 to 16000": lambda: resample(samples),
        "mel inversion": lambda: librosa.feature.inverse.mel_to_stft(mel, sr=16000),
        "griffin-lim 32": lambda: librosa.griffinlim(magnitude, n_iter=32, hop_length=512, length=len(x)),
    }
    medians = {}
    for name, task in tasks.items():
        task()
        times = []
        for _ in range(3 if name in ("griffin-lim 32", "mel inversion") else options.runs):
            start = time.perf_counter()
            task()
            times.append(1e3 * (time.perf_counter() - start))
        medians[name] = round(statistics.median(times), 2)
    bank = librosa.filters.mel(sr=16000, n_fft=2048)
    again = bank @ tasks["mel inversion"]() ** 2
    off = float(np.linalg.norm(again - mel) / np.linalg.norm(mel))
    versions = {module.__name__: module.__version__ for module in (librosa, np, torch, torchaudio)}
    print(json.dumps({"versions": versions, "milliseconds": medians, "bands off by": off}, indent=1))


if __name__ == "__main__":
    main()
