"""The decoder of Show, Attend and Tell as sgrvinod's captioning tutorial steps it, beside
`RAYON_NUM_THREADS=2 cargo xtask bench caption`.

    python captioning.py [--threads 2] [--runs 30]

At each step the tutorial projects the picture's whole map again and copies it for each beam; `step` is that. `cached` is
the same step with the projection made once. Prints one JSON object: medians in milliseconds, and the words a second of a
search over one picture after the other.
"""
import argparse
import json
import statistics
import time

import torch
from torch import nn
import torch.nn.functional as F

VOCAB, FEATURES, SIZE, POSITIONS, BEAMS, STEPS = 9490, 2048, 512, 196, 5, 20


class Decoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder_att = nn.Linear(FEATURES, SIZE)
        self.decoder_att = nn.Linear(SIZE, SIZE)
        self.full_att = nn.Linear(SIZE, 1)
        self.embedding = nn.Embedding(VOCAB, SIZE)
        self.cell = nn.LSTMCell(SIZE + FEATURES, SIZE)
        self.f_beta = nn.Linear(SIZE, FEATURES)
        self.fc = nn.Linear(SIZE, VOCAB)

    def step(self, maps, projected, words, h, c):
        if projected is None:
            projected = self.encoder_att(maps)
        scores = self.full_att(F.relu(projected + self.decoder_att(h).unsqueeze(1))).squeeze(2)
        alpha = F.softmax(scores, dim=1)
        seen = (maps * alpha.unsqueeze(2)).sum(dim=1)
        gate = torch.sigmoid(self.f_beta(h))
        h, c = self.cell(torch.cat([self.embedding(words), gate * seen], dim=1), (h, c))
        return F.log_softmax(self.fc(h), dim=1), h, c

    def search(self, maps):
        maps = maps.expand(BEAMS, POSITIONS, FEATURES)
        h = c = torch.zeros(BEAMS, SIZE)
        words, scores = torch.zeros(BEAMS, dtype=torch.long), torch.zeros(BEAMS, 1)
        for step in range(STEPS):
            log_probs, h, c = self.step(maps, None, words, h, c)
            total = scores + log_probs
            scores, flat = (total[0] if step == 0 else total.view(-1)).topk(BEAMS)
            from_beam, words = flat // VOCAB, flat % VOCAB
            h, c, maps, scores = h[from_beam], c[from_beam], maps[from_beam], scores.unsqueeze(1)
        return words


def median(run, runs):
    run()
    times = []
    for _ in range(runs):
        begun = time.perf_counter()
        run()
        times.append(time.perf_counter() - begun)
    return statistics.median(times)


@torch.no_grad()
def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--runs", type=int, default=30)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    decoder = Decoder().eval()
    maps = torch.rand(1, POSITIONS, FEATURES)
    beams = maps.expand(BEAMS, POSITIONS, FEATURES).contiguous()
    projected = decoder.encoder_att(beams)
    words, h, c = torch.arange(BEAMS), torch.rand(BEAMS, SIZE), torch.rand(BEAMS, SIZE)
    step = median(lambda: decoder.step(beams, None, words, h, c), options.runs)
    cached = median(lambda: decoder.step(beams, projected, words, h, c), options.runs)
    search = median(lambda: decoder.search(maps), max(3, options.runs // 5))
    print(json.dumps({
        "torch": torch.__version__, "threads": options.threads, "step_ms": 1e3 * step, "cached_ms": 1e3 * cached,
        "search_words_per_second": STEPS / search,
    }))


main()
