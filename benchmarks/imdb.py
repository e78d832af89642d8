"""Film reviews, 500 to 25,000 labelled: counting words, a classifier from scratch, transfer.

    python benchmarks/imdb.py DATA --log runs.jsonl --small FILE [--sizes 500,2000] [--seeds 3]
    python benchmarks/imdb.py DATA --log runs.jsonl --out benchmarks/results/imdb.md

DATA holds train.csv, unsup.csv and test_dev.csv. The first form runs what the log lacks, sizes in
rising order, and adds a JSON line per run; the second makes the table. Kinds of runs:

words           bag of words (TF-IDF of single words), logistic regression, C by cross-validation
scratch         the classifier, nothing pretrained
small           on the small language model's encoder, unfrozen step by step
tuned           the same after that model was fine-tuned on reviews, labels unused
small-at-once, tuned-at-once   the same, everything trained from the first step on

A seed draws its training reviews from a pool of 8,000 (half of each class); 25,000 is all of
train.csv, and the sizes above 2,000 take one seed. The language model is
fine-tuned once and serves all runs: by one cycle on each of `--lm-texts`, "some" (unsup.csv and the
pool, 18,000 texts) or "all" (the rest of train.csv too, 35,000). The same 720 texts are held out.
"""

import argparse
import json
import math
import warnings
from pathlib import Path
from statistics import mean, stdev
from time import perf_counter

import numpy as np
import pandas as pd
import torch

from onecycle import DatasetType, TextList, language_model_learner, text_classifier_learner
from onecycle.text.pretrained import SMALL_FILE, read_encoder

KINDS = ("words", "scratch", "small", "tuned", "small-at-once", "tuned-at-once")
SIZES = (500, 2000, 8000, 25_000)
POOL = 8000
HEAD, LAST, ALL = slice(2e-2), slice(1e-2 / 2.6**3, 1e-2), slice(5e-3 / 2.6**3, 5e-3)
EPOCHS = {500: 8, 2000: 5, 8000: 3, 25_000: 3}  # of all layers together
LM_TEXTS = ("some", "some", "some", "all")
MAX_LEN = 400  # tokens of a text that are pooled and learned from


def pool(root):
    """The 8,000 reviews that training sets are drawn from, classes in turn."""
    rows = pd.read_csv(root / "train.csv")
    sides = [
        rows[rows.label == label].sample(POOL // 2, random_state=0) for label in ["pos", "neg"]
    ]
    order = np.arange(POOL).reshape(2, -1).T.ravel()
    return pd.concat(sides).iloc[order].reset_index(drop=True)


def drawn(rows, size, seed):
    """`size` reviews, half of each class."""
    rng = np.random.default_rng([7, seed])
    chosen = [rng.permutation(POOL // 2)[: size // 2] * 2 + side for side in (0, 1)]
    return rows.iloc[np.concatenate(chosen)].reset_index(drop=True)


def words(train, test, seed):
    """Accuracy of logistic regression on TF-IDF of single words."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegressionCV

    made = TfidfVectorizer(sublinear_tf=True, min_df=2)
    x = made.fit_transform(train.text)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = LogisticRegressionCV(Cs=[0.3, 1, 3, 10, 30, 100], cv=5, random_state=seed)
        model.fit(x, train.label)
    return float(model.score(made.transform(test.text), test.label))


def vocabulary(train, encoder):
    """The training texts' tokens, after those that the encoder knows."""
    found = TextList.from_df(train, cols="text").split_none().label_from_df("label")
    own = found.train.task.input.vocab
    known = () if encoder is None else encoder.vocab
    return tuple(dict.fromkeys([*known, *own]))


def neural(train, test, size, seed, kind, encoder):
    """Accuracy of the classifier, and the share of padding that its training batches had."""
    torch.manual_seed(seed)
    given = None if encoder is None else read_encoder(encoder)
    items = TextList.from_df(train, cols="text", vocab=vocabulary(train, given))
    labelled = items.split_none().label_from_df("label").add_test(list(test.text))
    data = labelled.databunch(bs=16 if size < 2000 else 32, val_bs=64, seed=seed)
    sizes = {"emb_sz": 200, "n_hid": 600, "n_layers": 2}
    learn = text_classifier_learner(
        data,
        config=None if given else sizes,
        max_len=MAX_LEN,
        drop_mult=0.5,
        pretrained=str(encoder) if given else False,
        silent=True,
    ).to_bf16()
    moms = (0.8, 0.7)
    if kind == "scratch":
        learn.unfreeze().fit_one_cycle(EPOCHS[size] + 4, slice(1e-2), moms=moms)
    elif kind.endswith("at-once"):
        learn.unfreeze().fit_one_cycle(EPOCHS[size] + 2, ALL, moms=moms)
    else:
        learn.freeze().fit_one_cycle(1, HEAD, moms=moms)
        learn.freeze_to(-2).fit_one_cycle(1, LAST, moms=moms)
        learn.unfreeze().fit_one_cycle(EPOCHS[size], ALL, moms=moms)
    probabilities, _ = learn.get_preds(DatasetType.Test)
    predicted = np.array(data.classes)[probabilities.argmax(1).numpy()]
    return float((predicted == test.label.to_numpy()).mean())


def review_texts(root, which):
    """The texts that a language model reads, and the positions of those held out."""
    drawn_from = pool(root)
    some = pd.concat([pd.read_csv(root / "unsup.csv"), drawn_from])
    held = np.random.RandomState(0).permutation(len(some))[: len(some) // 25]
    if which == "all":
        rows = pd.read_csv(root / "train.csv")
        some = pd.concat([some, rows[~rows.id.isin(drawn_from.id)]])
    return some[["text"]].reset_index(drop=True), held


def tune(root, which, begun, out, epochs):
    """Fine-tune a language model by one cycle; the log's line about it."""
    texts, held = review_texts(root, which)
    torch.manual_seed(0)
    data = (
        TextList.from_df(texts, cols="text", max_vocab=16_000, min_freq=3)
        .split_by_idx(held)
        .label_for_lm()
        .databunch(bs=48)
    )
    learn = language_model_learner(data, pretrained=str(begun), drop_mult=0.3, silent=True)
    learn.to_bf16().unfreeze()
    before = learn.validate()[0]
    start = perf_counter()
    learn.fit_one_cycle(epochs, 3e-3, moms=(0.8, 0.7))
    after = learn.validate()[0]
    learn.save_encoder(out.absolute())
    return {
        "kind": "language model",
        "texts": len(texts),
        "tokens": int(len(data.train_dl) * 48 * 70),
        "epochs": epochs,
        "perplexity before": math.exp(before),
        "perplexity after": math.exp(after),
        "seconds": perf_counter() - start,
    }


def read_log(path):
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def run(args):
    """Run what the log lacks."""
    test = pd.read_csv(args.data / "test_dev.csv")[: args.tests]
    every, rows = pd.read_csv(args.data / "train.csv"), pool(args.data)
    tuned = args.log.with_name(args.log.stem + "-encoder.safetensors")

    def note(line):
        with args.log.open("a") as log:
            print(json.dumps(line), file=log, flush=True)
        print(line, flush=True)

    for size in args.sizes:
        for kind in args.kinds:
            for seed in range(args.seeds if size < 8000 else 1):
                key = {"size": size, "kind": kind, "seed": seed}
                if any(key.items() <= line.items() for line in read_log(args.log)):
                    continue
                if kind.startswith("tuned") and not tuned.exists():
                    begun = args.small
                    for cycle, which in enumerate(args.lm_texts):  # each from the one before
                        done = tuned.with_suffix(f".{cycle}.safetensors")
                        note(tune(args.data, which, begun, done, args.lm_epochs))
                        begun = done
                    begun.rename(tuned)
                start = perf_counter()
                train = every if size > POOL else drawn(rows, size, seed)
                if kind == "words":
                    accuracy = words(train, test, seed)
                else:
                    name = kind.split("-")[0]
                    encoder = {"scratch": None, "small": args.small, "tuned": tuned}[name]
                    accuracy = neural(train, test, size, seed, kind, encoder)
                note(key | {"accuracy": accuracy, "seconds": round(perf_counter() - start)})


def table(args):
    """The log as a page."""
    lines = [line for line in read_log(args.log) if "accuracy" in line]
    found = {}
    for line in lines:
        found.setdefault((line["kind"], line["size"]), []).append(line["accuracy"])
    cells = [
        f"| {kind} | " + " | ".join(_cell(found.get((kind, size))) for size in SIZES) + " |"
        for kind in KINDS
    ]
    heads = [f"{size:,} reviews" for size in SIZES]
    tuned = [line for line in read_log(args.log) if line["kind"] == "language model"]
    lines = [
        f"Language model: {line['texts']:,} reviews, {line['tokens']:,} tokens, "
        f"{line['epochs']} epochs, perplexity {line['perplexity before']:.0f} before "
        f"and {line['perplexity after']:.0f} after, {line['seconds'] / 60:.0f} min."
        for line in tuned
    ]
    page = [
        "# Film reviews: accuracy on test_dev by the number of labelled reviews",
        "",
        f"| | {' | '.join(heads)} |",
        "|---|" + "---|" * len(heads),
        *cells,
        "",
        "Mean and spread over seeds (number of seeds); kinds as `benchmarks/imdb.py` tells them.",
        *lines,
        "",
        "`python benchmarks/imdb.py DATA --log runs.jsonl --small FILE --seeds 3`",
    ]
    args.out.write_text("\n".join(page) + "\n", encoding="utf-8")


def _cell(values):
    if not values:
        return ""
    spread = f" ± {stdev(values):.3f}" if len(values) > 1 else ""
    return f"{mean(values):.3f}{spread} ({len(values)})"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--small", type=Path, default=SMALL_FILE)
    parser.add_argument("--sizes", type=lambda s: [int(n) for n in s.split(",")], default=SIZES)
    parser.add_argument("--kinds", type=lambda s: s.split(","), default=KINDS)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--lm-epochs", type=int, default=2, help="of a cycle")
    parser.add_argument("--lm-texts", type=lambda s: s.split(","), default=LM_TEXTS)
    parser.add_argument("--tests", type=int, default=5000, help="reviews of test_dev, for a trial")
    args = parser.parse_args()
    table(args) if args.out else run(args)


if __name__ == "__main__":
    main()
