"""Writes the pictures of the Tux Paint stamps with their sentences as a folder of pairs for `sensorium caption train`.

    python tux_paint_pairs.py CAPTIONS OUT

CAPTIONS holds `captions.json` (records with `file` and `caption`) and the pictures. Pictures of one sentence are one
group, so that no sentence is in two parts. OUT gets `pairs.jsonl`, whose pictures stay where they are.
"""
import json
import os
import sys

source, out = sys.argv[1:]
os.makedirs(out, exist_ok=True)
records = json.load(open(os.path.join(source, "captions.json"), encoding="utf-8"))
with open(os.path.join(out, "pairs.jsonl"), "w", encoding="utf-8") as lines:
    for record in records:
        picture = os.path.abspath(os.path.join(source, record["file"]))
        pair = {"image": picture, "captions": [record["caption"]], "group": record["caption"]}
        lines.write(json.dumps(pair) + "\n")
print(len(records), "pictures")
