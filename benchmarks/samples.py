"""How hard the drawn satellite tiles are: colour alone, chance, and the demo's last stage.

    python benchmarks/samples.py [--tiles 900] [--out benchmarks/results/samples.md]

Mean average precision on the demo's own split (a random fifth validates).
"""

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from onecycle import average_precision, cnn_learner
from onecycle.cli.demo import data_at, labelled_items, planet
from onecycle.data.databunch import LabelledItems
from onecycle.data.label_list import LabelList
from onecycle.samples import planet_sample


def colours(path):
    """Mean and deviation of each channel."""
    pixels = cv2.imread(str(path)).reshape(-1, 3) / 255
    return np.r_[pixels.mean(0), pixels.std(0)]


def histogram(path):
    """Eight bins of each channel."""
    pixels = cv2.imread(str(path)).reshape(-1, 3)
    return np.r_[tuple(np.histogram(c, 8, (0, 256))[0] for c in pixels.T)] / len(pixels)


def probe(src, features):
    """mAP of one logistic regression per tag."""
    x, held = (np.stack([features(p) for p in side.items]) for side in (src.train, src.valid))
    y = src.train.y.items
    scores = []
    for column in y.T:
        model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
        scores.append(model.fit(x, column).decision_function(held))
    truth = torch.from_numpy(src.valid.y.items)
    return float(average_precision(torch.tensor(np.stack(scores, 1)), truth))


def permuted(src, seed):
    """mAP after training on tags that were dealt out anew."""
    order = np.random.default_rng(seed).permutation(len(src.train))
    tags = tuple(src.train.labels[i] for i in order)
    train = LabelList(src.train.x, tags, src.train.task, augment=True)
    learn = cnn_learner(
        data_at(LabelledItems(train, src.valid, None), 128, seed),
        "small",
        metrics=average_precision,
        silent=True,
    )
    learn.unfreeze()
    learn.fit_one_cycle(6, 3e-3)
    return float(learn.validate()[1])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tiles", type=int, default=900)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    with TemporaryDirectory() as folder:
        root = planet_sample(Path(folder) / "p", n=args.tiles, n_test=50)
        src = labelled_items(root, 0)
        rows = {
            "share of each tag (chance)": float(src.valid.y.items.mean()),
            "permuted tags, 6 epochs": permuted(src, 0),
            "mean and deviation of the colours, linear": probe(src, colours),
            "colour histograms, linear": probe(src, histogram),
        }
        stages = planet(Path(folder) / "out", args.tiles, 0)
        rows |= {f"demo, {k}": row["average_precision"] for k, row in stages.items()}
    text = "| model | mAP |\n|---|---|\n" + "\n".join(f"| {k} | {v:.3f} |" for k, v in rows.items())
    print(text)
    if args.out:
        args.out.write_text(
            f"# Drawn satellite tiles: baselines and the demo\n\n{text}\n\n"
            f"`python benchmarks/samples.py --tiles {args.tiles}`; torch {torch.__version__}, CPU\n"
        )


if __name__ == "__main__":
    main()
