"""Retrieval ranks and exact search in PyTorch and NumPy, timed beside `cargo xtask bench 'ranks|top_10'`.

    python retrieval.py [--threads 2] [--runs 5] [--images 5000] [--dim 1024]

Prints one JSON object: the least and the median of the runs in seconds.
"""
import argparse
import json
import statistics
import time

import numpy as np
import torch


def unit_vectors(count, dim, seed):
    values = np.random.default_rng(seed).uniform(-1, 1, (count, dim)).astype(np.float32)
    return torch.from_numpy(values / np.linalg.norm(values, axis=1, keepdims=True))


def ranks_by_sorting(images, texts):
    """As published evaluation code does it: the whole matrix, one argsort a query."""
    scores = (images @ texts.T).numpy()
    i2t = [np.flatnonzero(np.argsort(row)[::-1] // 5 == i)[0] for i, row in enumerate(scores)]
    t2i = [np.flatnonzero(np.argsort(column)[::-1] == j // 5)[0] for j, column in enumerate(scores.T)]
    return i2t, t2i


def ranks_by_counting(images, texts, block=256):
    """As fast as PyTorch gets: the product block by block, and comparisons counted instead of sorting."""
    owner = torch.arange(len(texts)) // 5
    gold = (images[owner] * texts).sum(1)
    best = gold.view(-1, 5).amax(1)
    t2i = torch.zeros(len(texts), dtype=torch.int64)
    i2t = []
    for first in range(0, len(images), block):
        scores = images[first:first + block] @ texts.T
        i2t.append((scores > best[first:first + block, None]).sum(1))
        t2i += (scores > gold).sum(0)
    return torch.cat(i2t), t2i


def timed(run, runs):
    run()
    times = []
    for _ in range(runs):
        begun = time.perf_counter()
        run()
        times.append(time.perf_counter() - begun)
    return {"least": round(min(times), 4), "median": round(statistics.median(times), 4)}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--dim", type=int, default=1024)
    parser.add_argument("--sorting", action="store_true", help="time the sorting way too: minutes at full size")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.set_grad_enabled(False)
    images, texts = unit_vectors(options.images, options.dim, 1), unit_vectors(5 * options.images, options.dim, 2)
    base, queries = unit_vectors(200_000, 512, 3), unit_vectors(100, 512, 4)
    result = {
        "threads": options.threads,
        "product alone, whole": timed(lambda: images @ texts.T, options.runs),
        "ranks by counting": timed(lambda: ranks_by_counting(images, texts), options.runs),
        "top 10 of 200000, 1 query": timed(lambda: (queries[:1] @ base.T).topk(10), options.runs),
        "top 10 of 200000, 100 queries": timed(lambda: (queries @ base.T).topk(10), options.runs),
    }
    if options.sorting:
        result["ranks by sorting"] = timed(lambda: ranks_by_sorting(images, texts), 1)
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
