"""Writes the pictures of the Tux Paint stamps with their sentences as folders of pairs for `sensorium caption train`.

    python tux_paint_pairs.py CAPTIONS OUT [--folds N]

CAPTIONS holds `captions.json` (records with `file` and `caption`) and the pictures, which stay where they are. Pictures of
one sentence are one group, so that no sentence is in two parts; a sentence is its words in lower case, as the scores read
it ("The letter A." is "the letter a"). OUT gets `pairs.jsonl`; with --folds, OUT/1 to OUT/N get
one each, which says the split: every picture is in the test part of one of them, and to learn from in all others.
"""
import argparse
import json
import os
import random
import re

arguments = argparse.ArgumentParser()
arguments.add_argument("captions")
arguments.add_argument("out")
arguments.add_argument("--folds", type=int)
arguments = arguments.parse_args()


def pair(record):
    picture = os.path.abspath(os.path.join(arguments.captions, record["file"]))
    return {"image": picture, "captions": [record["caption"]], "group": sentence(record["caption"])}


def sentence(caption):
    return " ".join(re.findall(r"\w+", caption.lower()))


def write(folder, pairs):
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "pairs.jsonl"), "w", encoding="utf-8") as lines:
        lines.writelines(json.dumps(pair) + "\n" for pair in pairs)


def folds(pairs, count):
    """The pairs of each fold: groups in random order, each to the fold that is smallest so far."""
    groups = {}
    for pair in pairs:
        groups.setdefault(pair["group"], []).append(pair)
    names = sorted(groups)
    random.Random(0).shuffle(names)
    parts = [[] for _ in range(count)]
    for name in names:
        min(parts, key=len).extend(groups[name])
    return parts


pairs = [pair(record) for record in json.load(open(os.path.join(arguments.captions, "captions.json"), encoding="utf-8"))]
if arguments.folds:
    parts = folds(pairs, arguments.folds)
    for held_out in range(arguments.folds):
        said = [pair | {"split": "test" if place == held_out else "train"} for place, part in enumerate(parts) for pair in part]
        write(os.path.join(arguments.out, str(held_out + 1)), said)
else:
    write(arguments.out, pairs)
print(len(pairs), "pictures")
