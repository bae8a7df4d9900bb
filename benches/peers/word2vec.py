"""Skip-gram or CBOW by word2vec.c, gensim, fastText and `sensorium text train`, one after the other on one text, with the
quality of each.

    python word2vec.py TEXT --sensorium BIN --word2vec BIN --fasttext BIN --pairs F... --analogies F...
        [--dim 100] [--threads 2] [--epochs 5] [--seeds 1] [--cbow] [--only NAME...]

TEXT has a sentence a line, words apart by blanks. `word2vec` is the C program (PyPI's package of that name compiles it),
`fasttext` Debian's. The time is that of the whole call, reading the text and writing the vectors included; quality is by
`sensorium text eval`, which counts as gensim does, analogies among the 30,000 most frequent words. Prints one JSON object
a line.
"""
import argparse
import json
import os
import subprocess
import tempfile
import time

from gensim.models import Word2Vec

WINDOW, NEGATIVE, SAMPLE, MIN_COUNT = 5, 5, 1e-4, 5


def alpha(o):
    return 0.05 if o.cbow else 0.025


def quiet(command):
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def word2vec_c(o, out, seed):
    # It has no seed.
    quiet([o.word2vec, "-train", o.text, "-output", out, "-size", str(o.dim), "-window", str(WINDOW), "-negative",
           str(NEGATIVE), "-hs", "0", "-sample", str(SAMPLE), "-min-count", str(MIN_COUNT), "-iter", str(o.epochs),
           "-threads", str(o.threads), "-alpha", str(alpha(o)), "-cbow", str(int(o.cbow)), "-binary", "0"])


def gensim(o, out, seed):
    model = Word2Vec(corpus_file=o.text, vector_size=o.dim, window=WINDOW, negative=NEGATIVE, sample=SAMPLE,
                     min_count=MIN_COUNT, epochs=o.epochs, workers=o.threads, sg=int(not o.cbow), alpha=alpha(o),
                     seed=seed)
    model.wv.save_word2vec_format(out)


def fasttext(o, out, seed):
    stem = out.removesuffix(".vec")
    model = "cbow" if o.cbow else "skipgram"
    quiet([o.fasttext, model, "-input", o.text, "-output", stem, "-dim", str(o.dim), "-ws", str(WINDOW), "-neg",
           str(NEGATIVE), "-t", str(SAMPLE), "-minCount", str(MIN_COUNT), "-epoch", str(o.epochs), "-thread",
           str(o.threads), "-lr", str(alpha(o)), "-maxn", "0"])


def sensorium(o, out, seed):
    # Corrected CBOW has a learning rate of its own.
    model = ["--cbow"] if o.cbow else ["--sg", "--alpha", str(alpha(o))]
    quiet([o.sensorium, "text", "train", o.text, "--out", out, *model, "--dim", str(o.dim), "--window", str(WINDOW),
           "--negative", str(NEGATIVE), "--sample", str(SAMPLE), "--min-count", str(MIN_COUNT), "--epochs",
           str(o.epochs), "--threads", str(o.threads), "--seed", str(seed)])


def quality(o, out):
    found = {}
    for flag, lists, restrict in (("--pairs", o.pairs, 300000), ("--analogies", o.analogies, 30000)):
        if lists:
            call = [o.sensorium, "text", "eval", out, "--json", "--restrict", str(restrict)]
            call += [part for path in lists for part in (flag, path)]
            said = json.loads(subprocess.run(call, check=True, capture_output=True).stdout)
            for rated in said["pairs"]:
                found[os.path.basename(rated["file"])] = round(rated["spearman"], 4)
            for asked in said["analogies"]:
                found[os.path.basename(asked["file"])] = round(asked["total"]["correct"] / asked["total"]["questions"], 4)
    return found


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("text")
    for name in ("sensorium", "word2vec", "fasttext"):
        parser.add_argument("--" + name)
    parser.add_argument("--pairs", nargs="*", default=[])
    parser.add_argument("--analogies", nargs="*", default=[])
    parser.add_argument("--dim", type=int, default=100)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--cbow", action="store_true")
    parser.add_argument("--only", nargs="*", default=["sensorium", "word2vec_c", "gensim", "fasttext"])
    options = parser.parse_args()
    words = sum(len(line.split()) for line in open(options.text, encoding="utf-8"))
    trainers = {"sensorium": sensorium, "word2vec_c": word2vec_c, "gensim": gensim, "fasttext": fasttext}
    for seed in range(1, options.seeds + 1):
        for name in options.only:
            with tempfile.TemporaryDirectory() as folder:
                out = os.path.join(folder, "vectors.vec")
                begun = time.perf_counter()
                trainers[name](options, out, seed)
                seconds = time.perf_counter() - begun
                row = {"name": name, "seed": seed, "dim": options.dim, "seconds": round(seconds, 2),
                       "words_per_second": round(words * options.epochs / seconds), **quality(options, out)}
                print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
