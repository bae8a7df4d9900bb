"""EfficientNet-Lite0 in PyTorch eager and resizing in Pillow, timed beside `RAYON_NUM_THREADS=2 cargo xtask bench 'lite0|resize'`.

    python pictures.py efficientnet-lite0-57934424.pth [--threads 2] [--runs 40]

Prints one JSON object: the least and the median of the runs in milliseconds.
"""
import argparse
import json
import math
import statistics
import time

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn

# repeat, kernel, stride, expand, channels in, channels out
LITE0 = [
    (1, 3, 1, 1, 32, 16),
    (2, 3, 2, 6, 16, 24),
    (2, 5, 2, 6, 24, 40),
    (3, 3, 2, 6, 40, 80),
    (3, 5, 1, 6, 80, 112),
    (4, 5, 2, 6, 112, 192),
    (1, 3, 1, 6, 192, 320),
]


class SameConv2d(nn.Conv2d):
    """Padded as TensorFlow's SAME: the odd pixel below and right."""

    def forward(self, x):
        pads = []
        for size, kernel, stride in zip(reversed(x.shape[2:]), self.kernel_size, self.stride):
            total = max((math.ceil(size / stride) - 1) * stride + kernel - size, 0)
            pads += [total // 2, total - total // 2]
        return super().forward(F.pad(x, pads) if any(pads) else x)


def norm(channels):
    return nn.BatchNorm2d(channels, eps=1e-3)


class Block(nn.Module):
    def __init__(self, kernel, stride, expand, channels_in, channels_out):
        super().__init__()
        hidden = channels_in * expand
        self.residual = stride == 1 and channels_in == channels_out
        self.expands = expand != 1
        if self.expands:
            self._expand_conv, self._bn0 = nn.Conv2d(channels_in, hidden, 1, bias=False), norm(hidden)
        self._depthwise_conv = SameConv2d(hidden, hidden, kernel, stride, groups=hidden, bias=False)
        self._bn1 = norm(hidden)
        self._project_conv, self._bn2 = nn.Conv2d(hidden, channels_out, 1, bias=False), norm(channels_out)

    def forward(self, x):
        y = F.relu6(self._bn0(self._expand_conv(x))) if self.expands else x
        y = F.relu6(self._bn1(self._depthwise_conv(y)))
        y = self._bn2(self._project_conv(y))
        return x + y if self.residual else y


class EfficientNetLite0(nn.Module):
    def __init__(self):
        super().__init__()
        self._conv_stem, self._bn0 = SameConv2d(3, 32, 3, 2, bias=False), norm(32)
        self._blocks = nn.ModuleList(
            Block(k, s if i == 0 else 1, e, c_in if i == 0 else c_out, c_out)
            for repeat, k, s, e, c_in, c_out in LITE0
            for i in range(repeat)
        )
        self._conv_head, self._bn1 = nn.Conv2d(320, 1280, 1, bias=False), norm(1280)
        self._fc = nn.Linear(1280, 1000)

    def forward(self, x):
        x = F.relu6(self._bn0(self._conv_stem(x)))
        for block in self._blocks:
            x = block(x)
        x = F.relu6(self._bn1(self._conv_head(x)))
        return self._fc(x.mean((2, 3)))


def timed(run, runs):
    for _ in range(3):
        run()
    taken = []
    for _ in range(runs):
        start = time.perf_counter()
        run()
        taken.append(1e3 * (time.perf_counter() - start))
    return {"least_ms": round(min(taken), 3), "median_ms": round(statistics.median(taken), 3)}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("weights")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--runs", type=int, default=40)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)

    model = EfficientNetLite0().eval()
    model.load_state_dict(torch.load(args.weights, map_location="cpu", weights_only=True))
    results = {"torch": torch.__version__, "threads": args.threads}
    with torch.inference_mode():
        for size, batch in [(224, 1), (224, 8), (128, 1), (128, 32)]:
            x = torch.rand(batch, 3, size, size) * 2 - 1
            results[f"lite0_{size}_batch{batch}"] = timed(lambda: model(x), args.runs)

    levels = (np.arange(427 * 640 * 3) * 2654435761 >> 8).astype(np.uint8).reshape(427, 640, 3)
    picture = Image.fromarray(levels)
    large = picture.resize((2560, 1708), Image.BILINEAR)
    for name, source, size, kind in [
        ("640x427_to_383x256_bicubic", picture, (383, 256), Image.BICUBIC),
        ("640x427_to_1280x854_lanczos", picture, (1280, 854), Image.LANCZOS),
        ("2560x1708_to_383x256_bilinear", large, (383, 256), Image.BILINEAR),
        ("2560x1708_to_383x256_bicubic", large, (383, 256), Image.BICUBIC),
    ]:
        results[f"resize_{name}"] = timed(lambda: source.resize(size, kind), args.runs)
    print(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
