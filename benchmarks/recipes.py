"""What EMA, CutMix and TrivialAugment give: three seeds on satellite tiles and on groceries.

    python benchmarks/recipes.py DATA satellite groceries > table.md
    python benchmarks/recipes.py DATA groceries --recipes 'policy="trivialaugment"'

DATA holds `satellite`, `grocery20` and `weights`. Small on purpose, for one busy core: a
MobileNetV2 with ImageNet's weights, images of 64 px, the head for five epochs on cached features,
then three epochs of everything, in which the recipe acts.
"""

import argparse
import sys
import warnings
from functools import partial
from pathlib import Path
from time import perf_counter

import numpy as np
import torch

from onecycle import (
    ImageList,
    ModelEMA,
    accuracy,
    accuracy_thresh,
    cnn_learner,
    get_transforms,
    half_stats,
    models,
)

SEEDS, SIZE, HEAD, WHOLE = (0, 1, 2), 64, 5, 3
RECIPES = ("none", "ModelEMA()", "cutmix()", 'policy="trivialaugment"')


def satellite(root):
    src = ImageList.from_csv(root / "satellite", "tiles.csv", folder="tiles")
    return src.split_from_df("is_valid").label_from_df("tags", label_delim=" "), True


def groceries(root):
    src = ImageList.from_csv(root / "grocery20", "labels.csv")
    train = [str(kind) for kind in src.inner_df["split"]]
    places = [i for i, kind in enumerate(train) if kind != "train"]
    return src.split_by_idx(places).label_from_df("fine"), False


def train(labelled, aerial, recipe, seed, weights):
    policy = {"policy": "trivialaugment"} if "policy" in recipe else {}
    tfms = get_transforms(flip_vert=aerial, **policy)
    data = labelled.transform(tfms, size=SIZE).databunch(bs=32, num_workers=1, seed=seed)
    torch.manual_seed(seed)
    metric = partial(accuracy_thresh, thresh=0.5) if aerial else accuracy
    data = data.normalize(half_stats)
    arch = partial(models.mobilenetv2_100, pad_type="same")
    learn = cnn_learner(data, arch, pretrained=weights, metrics=metric, silent=True)
    learn.fit_one_cycle(HEAD, slice(1e-2), cache_features=True)
    learn.unfreeze()
    if recipe == "cutmix()":
        learn.cutmix()
    callbacks = [ModelEMA()] if "EMA" in recipe else []
    learn.fit_one_cycle(WHOLE, slice(1e-4, 2e-3), callbacks=callbacks)
    loss, value = learn.validate()
    return value, loss


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("sets", nargs="+", choices=("satellite", "groceries"))
    parser.add_argument("--recipes", nargs="+", choices=RECIPES, default=RECIPES)
    args = parser.parse_args()
    root, start = args.data, perf_counter()
    weights = str(root / "weights" / "mobilenet_v2_100.fp16.safetensors")
    print("| set | recipe | accuracy, mean and spread | beside none, by seed | loss |")
    print("|---|---|---|---|---|", flush=True)
    for name in args.sets:
        labelled, aerial = {"satellite": satellite, "groceries": groceries}[name](root)
        plain = None
        for recipe in dict.fromkeys(["none", *args.recipes]):
            rows = np.array([train(labelled, aerial, recipe, seed, weights) for seed in SEEDS])
            values, losses = rows.T
            plain = values if plain is None else plain
            beside = ", ".join(f"{v:+.3f}" for v in values - plain)
            spread = f"{values.mean():.3f} ± {values.std(ddof=1):.3f}"
            print(f"| {name} | {recipe} | {spread} | {beside} | {losses.mean():.3f} |", flush=True)
    print(f"\n{perf_counter() - start:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main()
