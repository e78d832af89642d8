"""`onecycle demo planet`: several labels per satellite tile, in the stages of the lesson."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

import torch

from onecycle.cli.plots import stage_table, write_plots
from onecycle.data.databunch import DataBunch, LabelledItems
from onecycle.interpret.classification import MultiLabelInterpretation
from onecycle.learn.metrics import accuracy_thresh, average_precision, fbeta
from onecycle.samples import planet_sample
from onecycle.vision.augment import get_transforms
from onecycle.vision.input import half_stats
from onecycle.vision.learner import cnn_learner
from onecycle.vision.lists import ImageList

Stage = tuple[str, int, bool, int, slice]  # name, side in pixels, frozen, epochs, rates
STAGES: tuple[Stage, ...] = (
    ("128 frozen", 128, True, 4, slice(1e-2)),
    ("128 unfrozen", 128, False, 6, slice(1e-3, 5e-3)),
    ("256 frozen", 256, True, 3, slice(4e-3)),
    ("256 unfrozen", 256, False, 4, slice(3e-4, 3e-3)),
)


def planet(  # long: the stages of a lesson, one after the other
    out: Path, tiles: int, seed: int, stages: Sequence[Stage] = STAGES
) -> dict[str, dict[str, float]]:
    """Draw the tiles, train through all stages, write model and plots; returns the stages."""
    start = perf_counter()
    torch.manual_seed(seed)
    root = planet_sample(out / "data" / f"planet-{tiles}", n=tiles, n_test=50, seed=seed)
    print(f"{tiles} satellite tiles drawn in {root} ({perf_counter() - start:.0f} s)")
    src = labelled_items(root, seed)
    learn = cnn_learner(data_at(src, stages[0][1], seed), "small", metrics=metrics_at(0.2))
    curve = learn.lr_find()
    print(f"suggested learning rate for the new head: {curve.suggestion:.1e}")
    rows = {}
    for name, size, frozen, epochs, rates in stages:
        print(f"\n{name}")
        learn.data = data_at(src, size, seed)
        learn.freeze() if frozen else learn.unfreeze()
        learn.fit_one_cycle(epochs, rates)
        rows[name] = learn.history[-1]
    print(stage_table(rows))
    found = MultiLabelInterpretation.from_learner(learn)
    best = found.best_threshold()
    learn.with_threshold(best).metrics = metrics_at(best)
    print(f"threshold with the best F2: {best:.2f}, now in force\n")
    print(found.per_label(best).round(3))
    learn.save((out / "model").absolute(), with_opt=False)
    learn.export((out / "model.onnx").absolute())
    write_plots(learn, curve, out)
    tile = src.test.items[0] if src.test else src.valid.items[0]
    answer, _, _ = learn.predict(tile)
    print(f"\n{tile}: {answer}")
    print(f"model and plots are in {out} ({perf_counter() - start:.0f} s in all). Next:")
    print(f"  onecycle predict {out}/model.safetensors {root}/test-jpg")
    return rows


def metrics_at(thresh: float) -> list[Any]:
    """Those of answers that are decided by this threshold, and one that needs none."""
    chosen: list[Any] = [partial(metric, thresh=thresh) for metric in (accuracy_thresh, fbeta)]
    return [*chosen, average_precision]


def labelled_items(root: Path, seed: int) -> LabelledItems:
    """The data block, as for Kaggle's Planet set."""
    return (
        ImageList.from_csv(root, "train_v2.csv", folder="train-jpg", suffix=".jpg")
        .split_by_rand_pct(0.2, seed=seed)
        .label_from_df(label_delim=" ")
        .add_test(ImageList.from_folder(root / "test-jpg"))
    )


def data_at(src: LabelledItems, size: int, seed: int) -> DataBunch:
    """The same tiles at another size."""
    tfms = get_transforms(flip_vert=True, max_lighting=0.1, max_zoom=1.05, max_warp=0.0)
    return src.transform(tfms, size=size).databunch(bs=32, seed=seed).normalize(half_stats)
