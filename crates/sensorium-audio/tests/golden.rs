//! Sound against librosa, torchaudio, Whisper's recipe and the wave files of libsndfile.

use burn::tensor::{Device, Tensor, TensorData};
use sensorium_audio::Pad;
use sensorium_audio::decibel::{Decibel, Reference};
use sensorium_audio::front_end::{
    Compression, Energy, Exponent, FrontEnd, FrontEndConfig, Placement, Precision, Preset,
};
use sensorium_audio::griffin_lim::GriffinLim;
use sensorium_audio::io::{self, Audio};
use sensorium_audio::mel::{MelConfig, MelNorm, MelScale};
use sensorium_audio::mfcc::{DctNorm, MfccConfig, delta};
use sensorium_audio::resample::{Resampler, SincConfig, SincWindow};
use sensorium_audio::silero_vad::SileroVad;
use sensorium_audio::sound_net::{self, SoundNetConfig};
use sensorium_audio::speech2face::{self, Speech2FaceEncoderConfig};
use sensorium_audio::stft::{Spectrum, Stft, StftConfig};
use sensorium_audio::voice_encoder::{VoiceEncoder, VoiceEncoderConfig};
use sensorium_audio::window::Window;
use sensorium_core::testing::golden::{Fixture, assert_close, owned_by};
use sensorium_core::weights::{TensorMap, read};
use serde_json::Value;

#[test]
fn golden_fixtures() {
    for fixture in owned_by("sensorium-audio", env!("CARGO_MANIFEST_DIR")) {
        match fixture.family {
            "stft" => stft(&fixture),
            "istft" => istft(&fixture),
            "griffin_lim" => griffin_lim(&fixture),
            "mel_filters" => mel_filters(&fixture),
            "mel_db_mfcc" => mel_db_mfcc(&fixture),
            "kaldi" => kaldi(&fixture),
            "whisper" => whisper(&fixture),
            "torchaudio_resample" => resample(&fixture),
            "wav_decode" => wav_decode(&fixture),
            "resemblyzer" => resemblyzer(&fixture),
            "resemblyzer_weights" | "silero_vad_weights" => assert!(!fixture.names().is_empty()),
            "silero_vad" => silero_vad(&fixture),
            "soundnet" => soundnet(&fixture),
            "speech2face" => speech2face(&fixture),
            other => panic!("{}: no test for the family {other}", fixture.name),
        }
    }
}

fn signal(fixture: &Fixture, name: &str) -> Audio {
    io::read(fixture.path(&format!("signals/{name}.wav"))).unwrap()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

/// The names of cases: what stands before the last part of tensor names.
fn cases(fixture: &Fixture, last: &str) -> Vec<String> {
    let names = fixture.names().into_iter();
    names.filter_map(|name| Some(name.strip_suffix(last)?.strip_suffix('/')?.to_string())).collect()
}

/// `n400` of `chirp/n400_h160_m80_slaney`, as 400.
fn part(case: &str, letter: char) -> usize {
    let parts = case.rsplit('/').next().unwrap().split('_');
    let mut numbers = parts.filter_map(|part| part.strip_prefix(letter)?.parse().ok());
    numbers.next_back().unwrap_or_else(|| panic!("{case}: no part {letter}"))
}

/// Columns `picked` of `[rows, frames]`.
fn columns<T: Copy>(values: &[T], frames: usize, picked: &[usize]) -> Vec<T> {
    values.chunks_exact(frames).flat_map(|row| picked.iter().map(|frame| row[*frame])).collect()
}

fn largest(values: &[f32]) -> f64 {
    values.iter().fold(0.0, |most: f32, x| most.max(x.abs())).into()
}

fn stft(fixture: &Fixture) {
    for case in cases(fixture, "stft") {
        let (name, way) = case.split_once('/').unwrap();
        let audio = signal(fixture, name);
        let config = StftConfig {
            center: !way.ends_with("nocenter"),
            pad: if way.ends_with("reflect") { Pad::Reflect } else { Pad::Zeros },
            ..StftConfig::new(part(&case, 'n'), part(&case, 'h'))
        };
        let (single, double) = (Stft::<f32>::new(config).unwrap(), Stft::<f64>::new(config).unwrap());
        let picked: Vec<usize> = fixture.ints(&format!("{case}/frames_idx")).iter().map(|t| *t as usize).collect();
        let (want, sums) = (fixture.f32s(&format!("{case}/stft")), fixture.f32s(&format!("{case}/abs_sum_per_bin")));
        let about = &fixture.meta["config"]["per_case"][&case];
        let most = number(&about["max_abs"]);
        let (mut from_single, mut from_double, mut summed) = (Vec::new(), Vec::new(), Vec::new());
        for channel in audio.channels() {
            let spectrum = single.forward(channel).unwrap();
            assert_eq!(spectrum.frames as u64, about["n_frames"], "{case}");
            from_single.extend(pairs(&spectrum, &picked));
            summed.extend(spectrum.magnitude().chunks_exact(spectrum.frames).map(|row| row.iter().sum::<f32>()));
            let wide: Vec<f64> = channel.iter().map(|x| f64::from(*x)).collect();
            from_double.extend(pairs(&double.forward(&wide).unwrap(), &picked).iter().map(|x| *x as f32));
        }
        // The bar of f32 is 1e-6 of the largest; f64 is off by what rounding the reference to f32 costs.
        assert_close(&from_single, &want, (1e-6 * most, 0.0), &format!("{case} in f32"));
        assert_close(&from_double, &want, (1e-7 * most, 0.0), &format!("{case} in f64"));
        let loud = largest(&sums) * 1e-3;
        for (bin, (got, want)) in summed.iter().zip(&sums).enumerate() {
            let rule = if f64::from(*want) > loud { 5e-6 } else { 5e-4 };
            assert_close(&[*got], &[*want], (0.0, rule), &format!("{case}: magnitudes of bin {bin}"));
        }
    }
}

/// `[bins, frames, 2]` of the frames picked.
fn pairs<T: Copy>(spectrum: &Spectrum<T>, picked: &[usize]) -> Vec<T> {
    let at = |row: usize, frame: usize| row * spectrum.frames + frame;
    let of =
        |row: usize| picked.iter().flat_map(move |frame| [spectrum.re[at(row, *frame)], spectrum.im[at(row, *frame)]]);
    (0..spectrum.bins).flat_map(of).collect()
}

fn istft(fixture: &Fixture) {
    for case in cases(fixture, "stft_modified") {
        let config = StftConfig::new(part(&case, 'n'), part(&case, 'h'));
        let (single, double) = (Stft::<f32>::new(config).unwrap(), Stft::<f64>::new(config).unwrap());
        let (input, given) = (fixture.f32s(&format!("{case}/input")), fixture.f32s(&format!("{case}/stft_modified")));
        let shape = fixture.shape(&format!("{case}/stft_modified"));
        let part = |of: usize| given.iter().skip(of).step_by(2).copied().collect();
        let spectrum = Spectrum { re: part(0), im: part(1), bins: shape[0], frames: shape[1] };
        let tolerance = (number(&fixture.meta["tolerance"]["abs"]), 0.0);
        let got = single.inverse(&spectrum, Some(input.len())).unwrap();
        assert_close(&got, &fixture.f32s(&format!("{case}/output")), tolerance, &case);
        let got = single.inverse(&spectrum, None).unwrap();
        assert_close(&got, &fixture.f32s(&format!("{case}/output_nolength")), tolerance, &format!("{case}, no length"));

        let back = single.inverse(&single.forward(&input).unwrap(), Some(input.len())).unwrap();
        let round_trip = number(&fixture.meta["tolerance"]["round_trip_abs_f32"]);
        assert_close(&back, &input, (round_trip, 0.0), &format!("{case}: there and back"));
        let wide: Vec<f64> = input.iter().map(|x| f64::from(*x)).collect();
        let back = double.inverse(&double.forward(&wide).unwrap(), Some(input.len())).unwrap();
        let off = back.iter().zip(&wide).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(off <= 1e-12, "{case}: there and back in f64 is off by {off}");
    }
}

fn griffin_lim(fixture: &Fixture) {
    let stft = Stft::<f32>::new(StftConfig::new(fixture.size("n_fft"), fixture.size("hop"))).unwrap();
    for (case, expected) in fixture.meta["expected"].as_object().expect("cases") {
        let (name, momentum) = case.split_once('_').unwrap();
        let momentum = momentum.rsplit_once('m').unwrap().1.parse().unwrap();
        let samples = &signal(fixture, name).mono()[..32_000];
        let want = stft.forward(samples).unwrap().magnitude();
        for seed in 0..3 {
            let search = GriffinLim { iterations: fixture.size("n_iter"), momentum, seed };
            let got = stft.forward(&search.run(&stft, &want, None).unwrap()).unwrap().magnitude();
            let squares = |each: &mut dyn Iterator<Item = f32>| each.map(|x| f64::from(x).powi(2)).sum::<f64>().sqrt();
            let off = squares(&mut got.iter().zip(&want).map(|(a, b)| a - b)) / squares(&mut want.iter().copied());
            assert!(off < number(&expected["accept_below"]), "{case}, seed {seed}: {off}");
        }
    }
}

/// Bank, rate and so on from names such as `filters/sr16000_n512_m26_fmin50_fmax7000_slaney`.
fn mel_filters(fixture: &Fixture) {
    for name in fixture.names() {
        let value = |key: &str| name.split(['_', '/']).find_map(|part| part.strip_prefix(key)?.parse::<f64>().ok());
        let scale = if name.contains("htk") { MelScale::Htk } else { MelScale::Slaney };
        let norm = if name.ends_with("nonorm") { MelNorm::None } else { MelNorm::Slaney };
        let (f_min, f_max) = (value("fmin").unwrap_or(0.0), value("fmax"));
        let config = MelConfig { f_min, f_max, scale, norm, ..MelConfig::new(part(&name, 'm')) };
        let bank = config.bank(value("sr").unwrap(), part(&name, 'n')).unwrap();
        let (got, want): (Vec<f32>, _) = (bank.dense().iter().map(|w| *w as f32).collect(), fixture.f32s(&name));
        assert_close(&got, &want, (1e-6 * largest(&want), 0.0), &name);
    }
}

fn mel_db_mfcc(fixture: &Fixture) {
    for case in cases(fixture, "mel") {
        let audio = signal(fixture, case.split('/').next().unwrap());
        let (n_fft, n_mels) = (part(&case, 'n'), part(&case, 'm'));
        let scale = if case.ends_with("htk") { MelScale::Htk } else { MelScale::Slaney };
        let config = FrontEndConfig {
            sample_rate: audio.sample_rate(),
            n_fft,
            win_length: n_fft,
            hop_length: part(&case, 'h'),
            mel: MelConfig { scale, ..MelConfig::new(n_mels) },
            ..Preset::Librosa.config()
        };
        let features = |compression, n_mfcc: Option<MfccConfig>| {
            let config = FrontEndConfig { compression, mfcc: n_mfcc.unwrap_or(config.mfcc), ..config };
            let front_end = FrontEnd::new(config).unwrap();
            let of = |channel: &Vec<f32>| {
                let features =
                    if n_mfcc.is_some() { front_end.mfcc(channel).unwrap() } else { front_end.mel(channel).unwrap() };
                let step = if case.starts_with("chirp") { 1 } else { 3 };
                let picked: Vec<usize> = (0..features.frames).step_by(step).collect();
                columns(&features.values, features.frames, &picked)
            };
            audio.channels().iter().flat_map(of).collect::<Vec<f32>>()
        };
        let check = |what: &str, compression, mfcc, tolerance| {
            let name = format!("{case}/{what}");
            if fixture.has(&name) {
                assert_close(&features(compression, mfcc), &fixture.f32s(&name), tolerance, &name);
            }
        };
        let decibel = |reference, top_db| Compression::Decibel(Decibel { reference, top_db, ..Decibel::default() });
        let (plain, one) = (decibel(Reference::Value(1.0), Some(80.0)), Reference::Value(1.0));
        // The bars: mel 1e-5 of each value, 1e-4 dB, MFCC 1e-4; the reference itself is rounded to f32.
        check("mel", Compression::None, None, (1e-12, 1e-5));
        check("db_default", plain, None, (1e-4, 0.0));
        check("db_refmax_top60", decibel(Reference::Max, Some(60.0)), None, (1e-4, 0.0));
        check("db_notop", decibel(one, None), None, (1e-4, 0.0));
        let mfcc = MfccConfig::new(13);
        check("mfcc20", plain, Some(MfccConfig::new(20)), (1e-4, 0.0));
        check("mfcc13", plain, Some(mfcc), (1e-4, 0.0));
        // These numbers are up to twenty times as large.
        check("mfcc13_lifter22", plain, Some(MfccConfig { lifter: 22.0, ..mfcc }), (5e-4, 0.0));
        check("mfcc13_norm_none", plain, Some(MfccConfig { norm: DctNorm::None, ..mfcc }), (2e-3, 0.0));
    }
    for name in fixture.names().iter().filter(|name| name.ends_with("delta_of_mfcc13")) {
        let audio = signal(fixture, name.split('/').next().unwrap());
        let config = FrontEndConfig { mfcc: MfccConfig::new(13), ..Preset::Librosa.config() };
        let front_end = FrontEnd::new(config.with_sample_rate(audio.sample_rate())).unwrap();
        let mfcc = front_end.mfcc(&audio.mono()).unwrap();
        assert_close(&delta(&mfcc.values, mfcc.rows, 9, 1).unwrap(), &fixture.f32s(name), (1e-4, 0.0), name);
    }
}

/// The options of torchaudio.compliance.kaldi, as the fixture's configuration names them.
fn kaldi(fixture: &Fixture) {
    for name in fixture.names() {
        let said = &fixture.meta["config"][&name];
        let plain = name.ends_with("ast128");
        let samples = signal(fixture, name.split('/').next().unwrap()).mono()[..32_000].to_vec();
        let defaults = Preset::Kaldi.config();
        let (window, rest) = match said["window_type"].as_str() {
            None => (Window::Povey, defaults.symmetry),
            Some("hanning") => (Window::Hann, defaults.symmetry),
            Some("hamming") => (Window::Hamming, defaults.symmetry),
            Some(other) => panic!("{name}: the window {other}"),
        };
        let last = said["htk_compat"] == true;
        let mel = MelConfig {
            n_mels: said["num_mel_bins"].as_u64().unwrap_or(23) as usize,
            f_min: said["low_freq"].as_f64().unwrap_or(20.0),
            f_max: said["high_freq"].as_f64(),
            ..defaults.mel
        };
        let config = FrontEndConfig {
            window,
            symmetry: rest,
            placement: if said["snip_edges"] == false { Placement::Mirrored } else { Placement::Snipped },
            scale: if plain { 1.0 } else { defaults.scale },
            mel,
            energy: (said["use_energy"] == true).then_some(Energy { raw: true, floor: 1.0, last }),
            ..defaults
        };
        let front_end = FrontEnd::new(config).unwrap();
        // The reference subtracts the mean in f64; rounded to f32 again, the quietest bins of this case would be others.
        let want = fixture.f32s(&name);
        if plain {
            let wide: Vec<f64> = samples.iter().map(|x| f64::from(*x)).collect();
            let mean = wide.iter().sum::<f64>() / wide.len() as f64;
            let features = front_end.mel(&wide.iter().map(|x| x - mean).collect::<Vec<_>>()).unwrap();
            let got: Vec<f32> = features.transposed().iter().map(|x| *x as f32).collect();
            assert_close(&got, &want, (1e-4, 0.0), &name);
            continue;
        }
        let features = if name.contains("mfcc") { front_end.mfcc(&samples) } else { front_end.mel(&samples) };
        // The lifter multiplies cepstra by up to 12.
        let tolerance = if name.contains("mfcc") { 5e-4 } else { 1e-4 };
        assert_close(&features.unwrap().transposed(), &want, (tolerance, 0.0), &name);
    }
}

fn whisper(fixture: &Fixture) {
    for case in cases(fixture, "logmel") {
        let (name, way) = case.split_once('/').unwrap();
        let mut samples = signal(fixture, name).mono();
        if way.ends_with("pad30") {
            samples.resize(480_000, 0.0);
        }
        let config = Preset::Whisper.config();
        let mel = MelConfig::new(part(&case, 'm'));
        let front_end = FrontEnd::new(FrontEndConfig { mel, ..config }).unwrap();
        let features = front_end.mel(&samples).unwrap();
        let about = &fixture.meta["config"][&case];
        assert_eq!([features.rows as u64, features.frames as u64], [0, 1].map(|i| about["shape"][i].as_u64().unwrap()));
        let picked: Vec<usize> = fixture.ints(&format!("{case}/frames_idx")).iter().map(|t| *t as usize).collect();
        let got = columns(&features.values, features.frames, &picked);
        assert_close(&got, &fixture.f32s(&format!("{case}/logmel")), (1e-4, 0.0), &case);
    }
}

fn resample(fixture: &Fixture) {
    for case in cases(fixture, "output") {
        let about = &fixture.meta["config"][&case];
        let rate = |key: &str| about[key].as_u64().unwrap() as u32;
        let mut config = SincConfig::default();
        if about["resampling_method"] == "sinc_interp_kaiser" {
            config.window = SincWindow::Kaiser { beta: number(&about["beta"]) };
        }
        if let Some(width) = about["lowpass_filter_width"].as_u64() {
            config.lowpass_filter_width = width as usize;
        }
        if let Some(rolloff) = about["rolloff"].as_f64() {
            config.rolloff = rolloff;
        }
        let own = format!("{case}/input");
        let input = if fixture.has(&own) { own } else { format!("{}/input", case.split('_').next().unwrap()) };
        let resampler = Resampler::<f32>::new(rate("orig_freq"), rate("new_freq"), config).unwrap();
        let length = *fixture.shape(&input).last().unwrap();
        let got: Vec<f32> =
            fixture.f32s(&input).chunks_exact(length).flat_map(|channel| resampler.run(channel).unwrap()).collect();
        // The tolerance of the fixture is 5e-5, what torchaudio in f32 needs; the sum of some dozen products needs less.
        assert_close(&got, &fixture.f32s(&format!("{case}/output")), (2e-6, 0.0), &case);
    }
}

fn wav_decode(fixture: &Fixture) {
    for name in fixture.names() {
        let audio = signal(fixture, name.strip_prefix("decoded/").unwrap());
        let got = audio.channels().concat();
        assert_close(&got, &fixture.f32s(&name), (1e-7, 0.0), &name);
    }
    for (name, about) in fixture.meta["config"]["signals"].as_object().expect("signals") {
        let audio = signal(fixture, name);
        assert_eq!(audio.sample_rate() as u64, about["sample_rate"], "{name}");
        assert_eq!(audio.frames() as u64, about["frames"], "{name}");
        let sum: f64 = audio.channels().concat().iter().map(|x| f64::from(*x)).sum();
        assert!((sum - number(&about["sum"])).abs() < 1e-6 * number(&about["abs_sum"]), "{name}: {sum}");
        for (channel, want) in audio.channels().iter().zip(about["first8"].as_array().unwrap()) {
            for (got, want) in channel.iter().zip(want.as_array().unwrap()) {
                assert!((f64::from(*got) - number(want)).abs() < 1e-7, "{name}");
            }
        }
    }
}

/// With the f32 weights where they lie beside, within 1e-4; with the bundled ones, which are rounded to f16, within 2e-3.
fn resemblyzer(fixture: &Fixture) {
    let device = Device::flex();
    let weights = fixture.path("resemblyzer_weights.safetensors");
    let (encoder, tolerance) = match weights.exists() {
        true => (VoiceEncoderConfig::resemblyzer().init(&device).load(read(weights).unwrap()).unwrap(), 1e-4),
        false => (VoiceEncoder::resemblyzer(&device).unwrap(), 2e-3),
    };
    for clip in cases(fixture, "mel") {
        let samples = signal(fixture, &clip).mono();
        let mel = FrontEnd::new(Preset::Resemblyzer.config()).unwrap().mel(&samples).unwrap();
        let want = fixture.f32s(&format!("{clip}/mel"));
        let rule = number(&fixture.meta["tolerance"]["mel_rel_to_max"]) * largest(&want);
        assert_close(&mel.transposed(), &want, (rule, 0.0), &format!("{clip}/mel"));

        let batch = TensorData::new(mel.transposed(), [1, mel.frames, mel.rows]);
        let whole = encoder.forward(Tensor::from_data(batch, &device));
        let check = |what: &str, got: &[f32]| {
            let name = format!("{clip}/{what}");
            assert_close(got, &fixture.f32s(&name), (tolerance, 0.0), &name);
        };
        check("embed_whole", &numbers(whole));
        check("embed_partials", &encoder.embed_windows(&samples).unwrap().concat());
        check("embed_utterance", &encoder.embed(&samples).unwrap());
    }
}

fn numbers<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().iter::<f32>().collect()
}

fn silero_vad(fixture: &Fixture) {
    let device = Device::flex();
    let network = SileroVad::pretrained(&device).unwrap();
    let samples = signal(fixture, "vad_clip").mono();
    let tolerance = (number(&fixture.meta["tolerance"]["abs"]), 0.0);
    let got = network.probabilities(&samples).unwrap();
    assert_close(&got, &fixture.f32s("prob"), tolerance, "probabilities of speech");

    let mut padded = vec![0.0; 64];
    padded.extend_from_slice(&samples);
    let chunks: Vec<f32> = [0, 10, 40].iter().flat_map(|i| padded[i * 512..i * 512 + 576].to_vec()).collect();
    let chunks = Tensor::<2>::from_data(TensorData::new(chunks, [3, 576]), &device);
    let want = fixture.f32s("stft_mag_chunks_0_10_40");
    assert_close(&numbers(network.magnitudes(chunks)), &want, (1e-5 * largest(&want).max(1.0), 0.0), "magnitudes");
}

/// The tensors of a fixture whose names begin with `weights/`, in the names after it.
fn weights_of(fixture: &Fixture) -> TensorMap {
    let mut tensors = TensorMap::new(&fixture.name);
    for name in fixture.names() {
        if let Some(own) = name.strip_prefix("weights/") {
            tensors.insert(own, fixture.tensor(&name));
        }
    }
    tensors
}

/// What is in a JSON object as a whole number.
fn size(value: &Value, key: &str) -> usize {
    value[key].as_u64().unwrap_or_else(|| panic!("{value}: {key}")) as usize
}

fn soundnet(fixture: &Fixture) {
    let device = Device::flex();
    let layers = fixture.meta["config"]["layers"].as_array().expect("layers");
    let layer = |of: &Value| sound_net::Layer {
        channels: size(of, "out"),
        kernel: size(of, "kernel"),
        stride: size(of, "stride"),
        padding: size(of, "pad"),
        pool: size(of, "pool"),
    };
    let outputs = |head: &str| fixture.shape(&format!("weights/{head}.bias"))[0];
    let config = SoundNetConfig {
        layers: layers.iter().map(layer).collect(),
        objects: outputs("conv8_objs"),
        scenes: outputs("conv8_scns"),
        ..SoundNetConfig::eight_layers()
    };
    let network = config.init(&device).load(weights_of(fixture)).unwrap();
    let wave: Vec<f32> = fixture.f32s("input_x128").iter().map(|x| x / 128.0).collect();
    let wave = Tensor::<3>::from_data(TensorData::new(wave.clone(), [1, 1, wave.len()]), &device);
    let output = network.forward(wave.clone());
    let check = |what: &str, got: Tensor<3>| {
        let want = fixture.f32s(&format!("output/{what}"));
        let rule = number(&fixture.meta["tolerance"]["rel_to_max"]) * largest(&want);
        assert_close(&numbers(got), &want, (rule, 0.0), what);
    };
    for (index, features) in network.features(wave).into_iter().enumerate() {
        check(&format!("layer{}", index + 1), features);
    }
    check("objs", output.objects);
    check("scns", output.scenes);
}

fn speech2face(fixture: &Fixture) {
    let device = Device::flex();
    let layers = fixture.meta["config"]["layers"].as_array().expect("layers");
    let layer = |of: &Value| speech2face::Layer {
        channels: size(of, "out"),
        stride: size(of, "stride"),
        pool: size(of, "pool_time") > 0,
    };
    let width = |name: &str| fixture.shape(&format!("weights/{name}.bias"))[0];
    let config = Speech2FaceEncoderConfig {
        layers: layers.iter().map(layer).collect(),
        hidden: width("fc6"),
        embedding: width("fc7"),
    };
    let network = config.init(&device).load(weights_of(fixture)).unwrap();

    let speech = signal(fixture, "speech").mono().repeat(3)[..72_000].to_vec();
    let (got, want) = (numbers(speech2face::spectrogram(&speech, &device).unwrap()), fixture.f32s("input_spec"));
    assert_eq!(got.len(), want.len());
    for (got, want) in got.iter().zip(&want) {
        // The power 0.3 magnifies what is near zero.
        assert!(want.abs() < 1e-3f32.powf(0.3) || (got - want).abs() < 2e-3, "spectrogram: {got}, must be {want}");
    }

    let frames = want.len() / (2 * 257);
    let input = Tensor::<4>::from_data(TensorData::new(want, [1, 2, frames, 257]), &device);
    let features = network.features(input.clone());
    let check = |what: &str, got: Vec<f32>| {
        let want = fixture.f32s(&format!("output/{what}"));
        let rule = number(&fixture.meta["tolerance"]["rel_to_max"]) * largest(&want);
        assert_close(&got, &want, (rule, 0.0), what);
    };
    for layer in [7, 8, 9] {
        check(&format!("layer{layer}"), numbers(features[layer - 1].clone()));
    }
    check("fc7", numbers(network.forward(input)));
}

/// Numbers that librosa 0.11 gives in f64 for tones anyone can make again.
#[test]
fn tones_have_the_numbers_of_librosa() {
    let wave = |hertz: f64, rate: f64, i: usize| (2.0 * std::f64::consts::PI * hertz * i as f64 / rate).sin();
    let tones: Vec<f64> = (0..22_050)
        .map(|i| {
            0.5 * wave(440.0, 22_050.0, i) + 0.25 * (2.0 * std::f64::consts::PI * 1000.0 * i as f64 / 22_050.0).cos()
        })
        .collect();
    let config = Preset::Librosa.config();
    let spectrum = Stft::<f64>::new(StftConfig::new(2048, 512)).unwrap().forward(&tones).unwrap();
    let magnitude = spectrum.magnitude();
    let near = |got: f64, want: f64, rule: f64| assert!((got / want - 1.0).abs() < rule, "{got}, must be {want}");
    near(magnitude[41 * spectrum.frames + 10], 253.098_060_587_906_5, 1e-12);
    near(magnitude.iter().sum(), 37_180.716_55, 1e-9);
    let mel = FrontEnd::new(FrontEndConfig { compression: Compression::None, ..config }).unwrap().mel(&tones).unwrap();
    near(mel.values.iter().sum(), 203_789.733_626_102, 1e-12);
    near(mel.values[15 * mel.frames + 20], 278.947_736_064_787, 1e-12);
    let mfcc = FrontEnd::new(config).unwrap().mfcc(&tones).unwrap();
    for (row, want) in [-458.636_203_33, 57.406_571_12, 18.305_427_17, -17.059_682_9].into_iter().enumerate() {
        near(mfcc.values[row * mfcc.frames + 20], want, 1e-8);
    }

    let tone: Vec<f32> = (0..16_000).map(|i| 0.5 * wave(440.0, 16_000.0, i) as f32).collect();
    let whisper = FrontEnd::new(Preset::Whisper.config()).unwrap().mel(&tone).unwrap();
    let mean = whisper.values.iter().map(|x| f64::from(*x)).sum::<f64>() / whisper.values.len() as f64;
    for (got, want) in
        [(mean, -0.449_420_930_906), (f64::from(whisper.values[10 * whisper.frames + 50]), 1.348_737_946_712)]
    {
        assert!((got - want).abs() < 1e-4, "{got}, must be {want}");
    }
    let magnitudes = FrontEndConfig { exponent: Exponent::Magnitude, precision: Precision::Single, ..config };
    let got = FrontEnd::new(magnitudes).unwrap().spectrogram(&tones).unwrap();
    assert!(got.values.iter().zip(&magnitude).all(|(a, b)| (a - b).abs() < 1e-9));
}
