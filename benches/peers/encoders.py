"""ResNet-50, ResNet-101 and VGG-16 in PyTorch eager, timed beside `RAYON_NUM_THREADS=2 cargo xtask bench encoders`.

    python encoders.py [--threads 2] [--runs 30]

Prints one JSON object: medians in milliseconds for one picture.
"""
import argparse
import json
import statistics
import time

import torch
import torchvision


@torch.no_grad()
def median(network, size, runs):
    picture = torch.rand(1, 3, size, size)
    times = []
    for run in range(runs + 3):
        begun = time.perf_counter()
        network(picture)
        if run >= 3:
            times.append(time.perf_counter() - begun)
    return 1e3 * statistics.median(times)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--runs", type=int, default=30)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    told = {"torch": torch.__version__, "threads": options.threads}
    for name, size in [("resnet50", 224), ("resnet101", 256), ("vgg16", 224)]:
        network = torchvision.models.get_model(name, weights=None).eval()
        told[f"{name}_{size}_ms"] = median(network, size, options.runs)
    print(json.dumps(told))


main()
