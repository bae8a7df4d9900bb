"""t-SNE in scikit-learn, timed beside `cargo xtask bench tsne`, on points of the same make.

    python map.py [--threads 2] [--runs 5]

Prints one JSON object: the least and the median of the runs in seconds.
"""
import argparse
import json
import os
import statistics
import time


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = str(options.threads)
    import numpy as np
    import sklearn
    from sklearn.manifold import TSNE

    random = np.random.default_rng(1)
    centres = random.uniform(-1, 1, (10, 64))
    points = (centres[np.arange(1797) % 10] + random.uniform(-0.5, 0.5, (1797, 64))).astype(np.float32)
    times = []
    for _ in range(options.runs):
        begun = time.perf_counter()
        TSNE(perplexity=30, max_iter=1000, init="pca", n_jobs=options.threads).fit_transform(points)
        times.append(time.perf_counter() - begun)
    result = {"sklearn": sklearn.__version__, "threads": options.threads}
    result["t-SNE 1797x64"] = {"least": round(min(times), 3), "median": round(statistics.median(times), 3)}
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
