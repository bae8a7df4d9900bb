"""Trains captioners on the folds that `tux_paint_pairs.py --folds` wrote, and prints what they score on average.

    python tux_paint_folds.py FOLDS RUNS [--seeds 3] [--sensorium PATH] [-- options of `sensorium caption train`]

RUNS gets a folder FOLD-SEED for each training; those that are there already are not trained again. Scored are each
captioner alone, all of a fold together (`--with`), and the caption of the most similar training picture.
"""
import argparse
import json
import os
import subprocess
import sys
from statistics import mean

arguments = argparse.ArgumentParser()
arguments.add_argument("folds")
arguments.add_argument("runs")
arguments.add_argument("--seeds", type=int, default=3)
arguments.add_argument("--sensorium", default="sensorium")
split = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
options = sys.argv[split + 1:]
arguments = arguments.parse_args(sys.argv[1:split])


def sensorium(*words):
    return subprocess.run([arguments.sensorium, *words], check=True, stdout=subprocess.PIPE, text=True).stdout


def score(fold, runs):
    """The scores of each beam, and of the most similar picture's captions."""
    said = ["--with", ",".join(runs[1:])] if runs[1:] else []
    said = sensorium("caption", "eval", runs[0], "--data", os.path.join(arguments.folds, fold), "--baseline", "--json", *said)
    said = json.loads(said)
    return {**{f"beam {beam['beam']}": beam for beam in said["beams"]}, "most similar picture": said["baseline"]}


def row(name, scores):
    bleu1, bleu4 = (mean(score["bleu"][n] for score in scores) for n in (0, 3))
    rest = (mean(score[key] for score in scores) for key in ("rouge_l", "cider", "meteor"))
    print("| " + " | ".join([name, *(f"{value:.3f}" for value in (bleu1, bleu4, *rest))]) + " |", flush=True)


alone, together = [], []
for fold in sorted(os.listdir(arguments.folds)):
    runs = [os.path.join(arguments.runs, f"{fold}-{seed}") for seed in range(arguments.seeds)]
    for seed, run in enumerate(runs):
        if not os.path.exists(os.path.join(run, "captioner.json")):
            data = os.path.join(arguments.folds, fold)
            sensorium("caption", "train", "--data", data, "--out", run, "--seed", str(seed), *options)
    alone += [score(fold, [run]) for run in runs]
    together.append(score(fold, runs))

print("| | BLEU-1 | BLEU-4 | ROUGE-L | CIDEr | METEOR |\n|---|---|---|---|---|---|")
for beam in (name for name in together[0] if name.startswith("beam")):
    row(f"one captioner, {beam}", [scores[beam] for scores in alone])
    row(f"{arguments.seeds} together, {beam}", [scores[beam] for scores in together])
row("caption of the most similar training picture", [scores["most similar picture"] for scores in together])
for fold, scores in enumerate(together, 1):
    near, beam = scores["most similar picture"], scores["beam 1"]
    print(f"fold {fold}: together, beam 1: CIDEr {beam['cider']:.3f}, BLEU-4 {beam['bleu'][3]:.3f}; "
          f"most similar: CIDEr {near['cider']:.3f}, BLEU-4 {near['bleu'][3]:.3f}")
