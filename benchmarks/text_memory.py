"""Peak memory of a corpus of many synthetic reviews: from a CSV file to batches of both kinds.

    python benchmarks/text_memory.py [--reviews 1000000] [--tokens 230] [--out FILE]

A file of reviews with words of Zipf's frequencies is written to the temporary folder; then a
vocabulary is made, streams for a language model and batches for a classifier are read for a while,
in a fresh process. Memory is the largest resident set of that process; its helpers' are told apart.
"""

import argparse
import csv
import json
import resource
import subprocess
import sys
import tempfile
from itertools import islice
from pathlib import Path
from time import perf_counter

import numpy as np


def write(path, reviews, tokens):
    """label, text: words drawn with frequencies like those of a language."""
    rng = np.random.default_rng(0)
    words = np.array([f"w{i:x}" for i in range(400_000)], object)
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["label", "text"])
        for start in range(0, reviews, 1000):
            count = min(1000, reviews - start)
            lengths = rng.poisson(tokens, count)
            drawn = np.minimum(rng.pareto(0.9, lengths.sum()) * 8, len(words) - 1).astype(int)
            parts = np.split(words[drawn], np.cumsum(lengths)[:-1])
            rows.writerows([("neg", "pos")[i % 2], " ".join(part)] for i, part in enumerate(parts))


def measure(path):
    from onecycle.text.lists import TextList

    figures, start = {"MB of text": round(path.stat().st_size / 1e6)}, perf_counter()

    def note(name):
        figures[f"{name} s"] = round(perf_counter() - start, 1)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        figures[f"{name} peak MB"] = round(peak)

    note("import")
    texts = TextList.from_csv(path.parent, path.name, cols="text").split_by_rand_pct(0.1, seed=0)
    note("read")
    streams = texts.label_for_lm().databunch(bs=64)
    note("tokenized")
    count = sum(x.numel() for x, _ in islice(streams.train_dl, 2000))
    note("streams")
    data = texts.label_from_df("label").databunch(bs=64)
    count += sum(x.numel() for x, _ in islice(data.train_dl, 500))
    note("classifier")
    figures["tokens read"] = count
    figures["tokens in all"] = int(streams.train_dl.n_tokens + streams.valid_dl.n_tokens)
    helpers = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    figures["largest helper MB"] = round(helpers)
    print(json.dumps(figures))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reviews", type=int, default=1_000_000)
    parser.add_argument("--tokens", type=int, default=230)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--write", type=Path, help="only write this file")
    parser.add_argument("--measure", type=Path, help="only measure, on this file")
    args = parser.parse_args()
    if args.measure:
        return measure(args.measure)
    if args.write:
        return write(args.write, args.reviews, args.tokens)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "texts.csv"
        sizes = ["--reviews", str(args.reviews), "--tokens", str(args.tokens)]
        # a process of its own: the largest resident set of a parent counts for its children
        subprocess.run([sys.executable, __file__, "--write", path, *sizes], check=True)
        command = [sys.executable, __file__, "--measure", path]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    figures = json.loads(done.stdout)
    lines = [f"# {args.reviews:,} synthetic reviews: time and peak memory", ""]
    lines += ["| | |", "|---|---|", *(f"| {k} | {v:,} |" for k, v in figures.items()), ""]
    lines += ["Times count from the start. `python benchmarks/text_memory.py`"]
    print("\n".join(lines))
    if args.out:
        args.out.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return None


if __name__ == "__main__":
    main()
