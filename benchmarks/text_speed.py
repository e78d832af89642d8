"""Tokens and reviews a second against spaCy and the peer library; training of language models.

    python benchmarks/text_speed.py DATA --peer PEER_PYTHON --script PEER_SCRIPT [--out FILE]

DATA is a CSV file of label and text. PEER_PYTHON has fastai 2.8 and spaCy; PEER_SCRIPT prints a
JSON line for `tokenize CSV COUNT` and `lm CSV COUNT`. Each case runs in a fresh process, in turn,
`--rounds` times; figures are medians. "words" is one thread, all rules against spaCy's blank
English tokenizer without any; "whole" is from a frame to batches on all cores; "lm" are steps of an
AWD-LSTM of the published size with both libraries' vocabulary of words that occur 3 times or more.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from statistics import median
from time import perf_counter, process_time

SPACY = """
import csv, json, sys, time, spacy
texts = [row["text"] for row in csv.DictReader(open(sys.argv[1]))][: int(sys.argv[2])]
make = spacy.blank("en")
list(make.pipe(texts[:50]))
start = time.process_time()
count = sum(len(document) for document in make.pipe(texts))
print(json.dumps({"seconds": time.process_time() - start, "tokens": count}))
"""
SPLIT = """
import json, sys, spacy
make = spacy.blank("en")
for line in sys.stdin:
    print(json.dumps([token.text for token in make(json.loads(line))]))
"""


def frame(path, count):
    import pandas as pd

    return pd.read_csv(path)[:count]


def words(path, count):
    """One thread: seconds of processor time, tokens."""
    from onecycle.runtime.inputs.words import tokenize

    texts = list(frame(path, count).text)
    [tokenize(text) for text in texts[:50]]
    start = process_time()
    found = sum(len(tokenize(text)) for text in texts)
    return {"seconds": process_time() - start, "tokens": found}


def spans(text, tokens):
    """Where each token stands in the text."""
    found, at = set(), 0
    for token in tokens:
        begin = text.find(token.strip(), at) if token.strip() else -1
        if begin >= 0:
            at = begin + len(token.strip())
            found.add((begin, at))
    return found


def agreement(args):
    """F1 of token spans against spaCy's, in small letters, reviews without xxrep and xxwrep."""
    from onecycle.runtime.inputs.words import SPECIAL, tokenize

    texts = [text.replace("<br />", "\n").lower() for text in frame(args.data, 1000).text]
    mine = [[t for t in tokenize(text) if t not in SPECIAL[:7]] for text in texts]
    kept = [i for i, tokens in enumerate(mine) if not {"xxrep", "xxwrep"} & set(tokens)]
    asked = "".join(json.dumps(texts[i]) + "\n" for i in kept)
    command = [str(args.peer), "-c", SPLIT]
    done = subprocess.run(command, input=asked, capture_output=True, text=True, check=True)
    both = ours = theirs = 0
    for i, line in zip(kept, done.stdout.splitlines(), strict=True):
        a, b = spans(texts[i], mine[i]), spans(texts[i], json.loads(line))
        both, ours, theirs = both + len(a & b), ours + len(a), theirs + len(b)
    return len(kept), 2 * both / (ours + theirs)


def language_data(path, count):
    from onecycle.text.lists import TextList

    rows = frame(path, count)
    start = perf_counter()
    data = (
        TextList.from_df(rows, cols="text", min_freq=3)
        .split_by_rand_pct(0.1, seed=42)
        .label_for_lm()
        .databunch(bs=48)
    )
    return data, perf_counter() - start


def whole(path, count):
    """From a frame to data with batches."""
    data, seconds = language_data(path, count)
    return {"seconds": seconds, "tokens": data.train_dl.n_tokens + data.valid_dl.n_tokens}


def lm(path, count, precision="fp32"):
    """Tokens a second of training steps, after one that warms up."""
    from itertools import islice

    import torch

    from onecycle.text.learner import language_model_learner

    data, _ = language_data(path, count)
    learn = language_model_learner(data, pretrained=False, drop_mult=0.3, silent=True)
    learn = learn.to_bf16() if precision == "bf16" else learn
    optimizer = torch.optim.Adam(learn.model.parameters(), 1e-3)
    learn.model.train()
    for i, (x, y) in enumerate(islice(data.train_dl, 4)):
        if i == 1:
            start, tokens = perf_counter(), 0
        if i:
            tokens += x.numel()
        loss = learn.loss_func(learn.engine.forward(learn.model, x), y)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return {"tokens_per_s": tokens / (perf_counter() - start), "vocab": len(learn.vocab)}


CASES = {
    "words": words,
    "whole": whole,
    "lm fp32": lm,
    "lm bf16": lambda path, count: lm(path, count, "bf16"),
}


def run(command):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")][-1]


def measured(args):
    """{name: [figures of each round]}."""
    found = {}
    small, large = min(args.count, 2000), args.count
    commands = {
        "words ours": [sys.executable, __file__, args.data, "--count", small, "--case", "words"],
        "words spaCy": [args.peer, "-c", SPACY, args.data, small],
        "whole ours": [sys.executable, __file__, args.data, "--count", large, "--case", "whole"],
        "whole peer": [args.peer, args.script, "tokenize", args.data, large],
    }
    for precision in ("fp32", "bf16"):
        case = ["--count", small, "--case", f"lm {precision}"]
        commands[f"lm {precision} ours"] = [sys.executable, __file__, args.data, *case]
    commands["lm peer"] = [args.peer, args.script, "lm", args.data, small]
    for _ in range(args.rounds):
        for name, command in commands.items():
            found.setdefault(name, []).append(run(command))
            print(name, found[name][-1], flush=True)
    return found


def page(found, args):
    def value(name, key):
        return median(line[key] for line in found[name])

    small, large = min(args.count, 2000), args.count
    reviews = {
        name: (small if name.startswith("words") else large) / value(name, "seconds")
        for name in ("words ours", "words spaCy", "whole ours", "whole peer")
    }
    rows = [
        ("one thread, reviews/s", reviews["words ours"], reviews["words spaCy"], "spaCy", 2),
        ("frame to batches, reviews/s", reviews["whole ours"], reviews["whole peer"], "peer", 8),
    ]
    for precision, bar in (("fp32", ""), ("bf16", 1.3)):
        ours, peer = value(f"lm {precision} ours", "tokens_per_s"), value("lm peer", "tokens_per_s")
        rows.append((f"training in {precision}, tokens/s", ours, peer, "peer", bar))
    rates = {
        name: median(line["tokens"] / line["seconds"] for line in found[name])
        for name in ("words ours", "words spaCy", "whole ours")
    }
    reviews_compared, share = agreement(args)
    rates_text = "; ".join(f"{name} {rate:,.0f}" for name, rate in rates.items())
    lines = [
        "# Texts: onecycle against spaCy and fastai 2.8",
        "",
        "| figure | onecycle | other | which | ratio | bar |",
        "|---|---|---|---|---|---|",
        *(f"| {n} | {a:,.0f} | {b:,.0f} | {w} | {a / b:.2f} | {bar} |" for n, a, b, w, bar in rows),
        "",
        f"Medians of {args.rounds} rounds in turn, {small:,} reviews on one thread and for",
        f"training, {large:,} from frame to batches. Tokens/s: {rates_text}.",
        "",
        f"Same tokens as spaCy's blank English tokenizer: F1 {share:.3f} of token spans in",
        f"{reviews_compared} of 1,000 reviews (those without repeated characters or words).",
        "",
        "`python benchmarks/text_speed.py TRAIN_CSV --peer PEER_PYTHON --script PEER_SCRIPT`",
    ]
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--peer", type=Path)
    parser.add_argument("--script", type=Path)
    parser.add_argument("--count", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--case", choices=list(CASES), help="only this case of ours")
    args = parser.parse_args()
    if args.case:
        print(json.dumps(CASES[args.case](args.data, args.count)))
        return
    text = page(measured(args), args)
    print(text)
    if args.out:
        args.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
