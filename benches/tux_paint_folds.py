"""Trains captioners on the folds that `tux_paint_pairs.py --folds` wrote, and prints what they score on average.

    python tux_paint_folds.py FOLDS RUNS [--seeds 2] [--length-penalty 0] [--sensorium PATH]
                              [-- options of `sensorium caption train`]

RUNS gets a folder FOLD-SEED for each training; those that are there already are not trained again. Scored are the
captioners and the caption of the most similar training picture.
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
arguments.add_argument("--seeds", type=int, default=2)
arguments.add_argument("--length-penalty", default="0")
arguments.add_argument("--sensorium", default="sensorium")
split = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
options = sys.argv[split + 1:]
arguments = arguments.parse_args(sys.argv[1:split])


def sensorium(*words):
    return subprocess.run([arguments.sensorium, *words], check=True, stdout=subprocess.PIPE, text=True).stdout


def score(fold, run):
    """The scores of each beam, and of the most similar picture's captions."""
    said = sensorium("caption", "eval", run, "--data", os.path.join(arguments.folds, fold), "--baseline", "--json",
                     "--length-penalty", arguments.length_penalty)
    said = json.loads(said)
    beams = {f"captioner, beam {beam['beam']}": beam for beam in said["beams"]}
    return {**beams, "caption of the most similar training picture": said["baseline"]}


def row(name, scores):
    bleu1, bleu4 = (mean(score["bleu"][n] for score in scores) for n in (0, 3))
    rest = (mean(score[key] for score in scores) for key in ("rouge_l", "cider", "meteor"))
    print("| " + " | ".join([name, *(f"{value:.3f}" for value in (bleu1, bleu4, *rest))]) + " |", flush=True)


scores = {}
for fold in sorted(os.listdir(arguments.folds)):
    for seed in range(arguments.seeds):
        run = os.path.join(arguments.runs, f"{fold}-{seed}")
        if not os.path.exists(os.path.join(run, "captioner.json")):
            data = os.path.join(arguments.folds, fold)
            sensorium("caption", "train", "--data", data, "--out", run, "--seed", str(seed), *options)
        for name, scored in score(fold, run).items():
            scores.setdefault(name, []).append(scored)

print("| | BLEU-1 | BLEU-4 | ROUGE-L | CIDEr | METEOR |\n|---|---|---|---|---|---|")
for name, of_all in scores.items():
    row(name, of_all)
