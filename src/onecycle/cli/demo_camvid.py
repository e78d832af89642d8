"""`onecycle demo camvid`: a class for every pixel of drawn street scenes, with a U-Net."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from time import perf_counter

import numpy as np
import torch

from onecycle.cli.plots import stage_table
from onecycle.core.plot import save_figure
from onecycle.data.databunch import DataBunch, LabelledItems
from onecycle.interpret.classification import SegmentationInterpretation
from onecycle.learn.metrics import foreground_acc, mean_iou
from onecycle.samples.streets import streets_sample
from onecycle.vision.augment import get_transforms
from onecycle.vision.input import half_stats
from onecycle.vision.learner import unet_learner
from onecycle.vision.lists import SegmentationItemList

Stage = tuple[str, int, bool, int, slice]  # name, part of the full side, frozen, epochs, rates
STAGES: tuple[Stage, ...] = (
    ("half frozen", 2, True, 2, slice(1e-2)),
    ("half unfrozen", 2, False, 8, slice(1e-3, 1e-2)),
    ("full unfrozen", 1, False, 4, slice(5e-4, 5e-3)),
)


def camvid(
    out: Path, scenes: int, seed: int, stages: Sequence[Stage] = STAGES
) -> dict[str, dict[str, float]]:
    """Draw the scenes, train through all stages, write model and plots; returns the stages."""
    start = perf_counter()
    torch.manual_seed(seed)
    root = streets_sample(out / "data" / f"streets-{scenes}", n=scenes, seed=seed)
    print(f"{scenes} street scenes drawn in {root} ({perf_counter() - start:.0f} s)")
    src = labelled_items(root)
    void = list(src.classes).index("Void")
    learn = unet_learner(
        data_at(src, stages[0][1], seed),
        "small",
        metrics=[partial(foreground_acc, void_code=void), partial(mean_iou, void=void)],
        bottle=True,
    )
    curve = learn.lr_find(num_it=60)
    rows = {}
    for name, part, frozen, epochs, rates in stages:
        print(f"\n{name}")
        learn.data = data_at(src, part, seed)
        learn.freeze() if frozen else learn.unfreeze()
        learn.fit_one_cycle(epochs, rates)
        rows[name] = learn.history[-1]
    print(stage_table(rows))
    found = SegmentationInterpretation.from_learner(learn)
    print(found.per_class().round(3))
    learn.save((out / "model").absolute(), with_opt=False)
    learn.export((out / "model.onnx").absolute())
    for figure, file in (
        (learn.data.show_batch(3), "batch"),
        (curve.plot(suggestion=False), "lr"),
        (learn.recorder.plot_losses(), "losses"),
        (learn.show_results(rows=4), "results"),
        (found.plot_per_class(), "per_class"),
        (found.plot_top_losses(4), "worst"),
    ):
        save_figure(figure, out / f"{file}.png")
    print(f"model and plots are in {out} ({perf_counter() - start:.0f} s in all)")
    return rows


def labelled_items(root: Path) -> LabelledItems:
    """The data block, as for CamVid."""
    codes = (root / "codes.txt").read_text(encoding="utf-8").split()
    return (
        SegmentationItemList.from_folder(root / "images")
        .split_by_fname_file("../valid.txt")
        .label_from_func(lambda file: root / "labels" / f"{file.stem}_P.png", classes=codes)
    )


def data_at(src: LabelledItems, part: int, seed: int) -> DataBunch:
    """The same scenes at the full side, or at a part of it."""
    full = np.array(src.valid[0][0].size)
    changed = src.transform(get_transforms(max_rotate=5.0), size=full // part, tfm_y=True)
    return changed.databunch(bs=8, seed=seed).normalize(half_stats)
