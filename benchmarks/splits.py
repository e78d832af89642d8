"""Stratified against random splits: 40 classes of uneven sizes; and groups on a real set.

    python benchmarks/splits.py [SATELLITE]

Drawn points of 40 classes (4 to 60 items each, 20 numbers an item) are split by the library; a
linear classifier learns the training side. Its accuracy on the validation side is compared with
that on 40,000 items more of the same classes, which nobody has in practice: the difference is what
the split adds to the figure. With SATELLITE, a folder with `tiles.csv`, tags of aerial tiles are
learned on features of the small body, split at random and by area. Writes
benchmarks/results/splits.md.
"""

import argparse
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.preprocessing import MultiLabelBinarizer

from onecycle.data.arrays import TensorList

CLASSES, SEEDS, SHARE, WIDTH = 40, 100, 0.2, 20
RESULT = Path(__file__).resolve().parent / "results" / "splits.md"


def drawn(rng, middles, sizes):
    """Points around the middles of their classes, and the names of these."""
    y = np.repeat(np.arange(len(sizes)), sizes)
    return (middles[y] + rng.normal(size=(len(y), WIDTH))).astype(np.float32), y


def one(x, y, more, seed, **how):
    """(accuracy on the validation side, on what nobody has, classes without validation items)."""
    items = TensorList.from_arrays(x, [f"c{i:02}" for i in y])
    split = items.split_by_rand_pct(SHARE, seed, **how)
    train, valid = (side.inner_df.index.to_numpy() for side in (split.train, split.valid))
    model = LogisticRegression(max_iter=200).fit(x[train], y[train])
    seen, measured = set(y[train]), Counter(y[valid])
    empty = sum(i not in measured for i in range(CLASSES))
    unlearned = sum(i not in seen for i in range(CLASSES))
    return model.score(x[valid], y[valid]), model.score(*more), empty, unlearned


def of_classes():
    """Rows of the table, for small and for larger sets."""
    rng = np.random.default_rng(0)
    middles = rng.normal(size=(CLASSES, WIDTH)) * 0.75
    rows = []
    for most in (15, 60):
        sizes = np.geomspace(4, most, CLASSES).round().astype(int)
        x, y = drawn(rng, middles, sizes)
        more = drawn(rng, middles, (sizes / sizes.sum() * 40_000).astype(int))
        for name, how in (("random", {"stratify": False}), ("stratified", {"stratify": "label"})):
            found = np.array([one(x, y, more, seed, **how) for seed in range(SEEDS)])
            valid, true, empty, unlearned = found.T
            rows.append(
                f"| {len(y)} | {name} | {empty.mean():.2f} ({int(empty.max())}) "
                f"| {(empty > 0).sum()} | {(unlearned > 0).sum()} | {valid.mean():.3f} | "
                f"{valid.std(ddof=1):.4f} | {np.sqrt(((valid - true) ** 2).mean()):.4f} |"
            )
            print(rows[-1], flush=True)
    return rows


def of_areas(folder):
    """Rows of the table of the aerial tiles: accuracy over tags, by three ways of splitting."""
    import torch

    from onecycle import DatasetType, ImageList, cnn_learner, models

    frame = pd.read_csv(folder / "tiles.csv", dtype=str, keep_default_na=False)
    frame["area"] = frame["file"].str.extract(r"(t\d)", expand=False)
    items = ImageList.from_df(frame[["file", "tags", "area"]], folder, folder="tiles")
    src = items.split_by_idx([0, 1]).label_from_df("tags", label_delim=" ")
    data = src.transform(size=128).databunch(bs=64, check=False)
    body = cnn_learner(data, models.small, pretrained="small").model[0].eval()
    rows = []
    with torch.no_grad():
        for side in (DatasetType.Fix, DatasetType.Valid):
            for x, _ in data.dl(side):
                out = body(x)
                rows.append((out[-1] if isinstance(out, list | tuple) else out).mean((2, 3)))
    order = [i for i in range(len(frame)) if i not in (0, 1)] + [0, 1]
    x = np.empty((len(frame), rows[0].shape[1]), np.float32)
    x[order] = torch.cat(rows).numpy()
    tags = MultiLabelBinarizer().fit_transform(frame["tags"].str.split())
    ways = {
        "random": {"stratify": False},
        "stratified by tags": {"stratify": "tags", "label_delim": " "},
        "by area": {"stratify": False, "group_by": "area"},
        "by area, stratified by tags": {
            "stratify": "tags",
            "label_delim": " ",
            "group_by": "area",
        },
    }
    table = []
    for name, how in ways.items():
        found = []
        for seed in range(20):
            split = items.split_by_rand_pct(SHARE, seed, **how)
            train, valid = (side.inner_df.index.to_numpy() for side in (split.train, split.valid))
            model = OneVsRestClassifier(LogisticRegression(max_iter=300, C=0.1))
            model.fit(x[train], tags[train])
            gap = np.abs(tags[valid].mean(0) - tags.mean(0)).max()
            found.append((len(valid), (model.predict(x[valid]) == tags[valid]).mean(), gap))
        count, right, gap = np.array(found).T
        table.append(
            f"| {name} | {count.mean():.0f} | {right.mean():.3f} | {right.std(ddof=1):.4f} | "
            f"{gap.mean():.3f} |"
        )
        print(table[-1], flush=True)
    return table


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("satellite", nargs="?", type=Path)
    given = parser.parse_args()
    text = [
        "# Splits that do not flatter",
        "",
        "`python benchmarks/splits.py [SATELLITE]`",
        "",
        f"{CLASSES} classes of uneven sizes (4 to 15, and 4 to 60 items, drawn around middles of",
        f"{WIDTH} numbers), {SHARE:.0%} validate, {SEEDS} seeds; a logistic regression learns the",
        "training side. The truth is its accuracy on 40,000 items more of the same classes.",
        "",
        "| items | split | classes without validation items, mean (most) | seeds with one or more "
        "| seeds with a class that nothing trains | validation accuracy | its spread over seeds "
        "| its distance from the truth (RMS) |",
        "|---|---|---|---|---|---|---|---|",
        *of_classes(),
    ]
    if given.satellite:
        text += [
            "",
            "1,035 real aerial tiles with several tags each, of seven areas; features of the small "
            "body,",
            "one linear classifier a tag, 20 seeds. Tiles of one area look alike: a random split "
            "measures",
            "on what was as good as seen.",
            "",
            "| split | validation items | accuracy over tags | its spread | largest difference of "
            "a tag's share from that of all |",
            "|---|---|---|---|---|",
            *of_areas(given.satellite),
        ]
    RESULT.write_text("\n".join(text) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
