"""`onecycle train images` and `onecycle lr-find`: from a folder or a CSV to a model with plots."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any
from warnings import catch_warnings, simplefilter

import torch

from onecycle.core.display import as_text
from onecycle.core.errors import OnecycleWarning, UsageError, listing, warn
from onecycle.core.files import require_writable, write_atomically
from onecycle.core.plot import save_figure
from onecycle.data.checks import sides_of
from onecycle.data.databunch import DataBunch, LabelledItems
from onecycle.data.labels import SplitItems
from onecycle.interpret.classification import (
    ClassificationInterpretation,
    Interpretation,
    MultiLabelInterpretation,
)
from onecycle.learn import metrics
from onecycle.learn.learner import Learner
from onecycle.learn.lr_find import RateCurve
from onecycle.models.body import Body
from onecycle.vision.augment import get_transforms
from onecycle.vision.input import imagenet_stats
from onecycle.vision.learner import cnn_learner
from onecycle.vision.lists import ImageList

_MOST = 3e-2  # a rate beyond it is one of a curve that was read too late


@dataclass(frozen=True)
class Where:
    """Where images and labels are, and who validates."""

    source: Path
    folder: str = "."
    suffix: str = ""
    label_col: str = "1"
    label_delim: str | None = None
    valid_col: str | None = None
    pattern: str | None = None
    valid_pct: float = 0.2
    seed: int = 0
    all_folders: bool = False

    def labelled_items(self) -> LabelledItems:
        """The data block's steps for a CSV file, a pattern, or folders named like the classes."""
        if self.source.is_file():
            return self._from_csv()
        if not self.source.is_dir():
            raise UsageError(f"{self.source} is neither a folder nor a CSV file")
        self._refuse("a folder", "folder", "suffix", "label_col", "label_delim", "valid_col")
        split = self._split(ImageList.from_folder(self.source))
        return split.label_from_re(self.pattern) if self.pattern else split.label_from_folder()

    def _refuse(self, what: str, *names: str) -> None:
        """UsageError for options that were given and would have no effect."""
        for field in fields(self):
            if field.name in names and getattr(self, field.name) != field.default:
                option = "--" + field.name.replace("_", "-")
                raise UsageError(f"{option} has no effect on {what}: leave it out")

    def _split(self, items: ImageList) -> SplitItems:
        """By folders that are named like the sides of a split, or a random share.

        What is kept for later (`test`) is left out, and so is all beside a folder `train`.
        """
        folders = dict.fromkeys(items.first_folder(item) for item in items)
        sides = sides_of([] if self.all_folders else folders)
        if sides["train"] and not self.pattern:  # a class of trains holds its images itself
            deep = {items.first_folder(i) for i in items if items.relative(i).count("/") > 1}
            sides["train"] = [name for name in sides["train"] if name in deep]
        train, valid = sides["train"], sides["valid"]
        if len(train) > 1 or (train and len(valid) > 1):
            raise UsageError(
                f"{self.source} has the folders {listing([*train, *valid])}: only one can train "
                "and one validate; rename the others, or take --all-folders"
            )
        if train and valid:
            self._refuse(f"a folder with {train[0]} and {valid[0]}", "valid_pct")
            return items.split_by_folder(train[0], valid[0])
        others = [name for name in folders if name not in train]
        unused = others if train else [*valid, *sides["test"]]
        if unused:
            count = sum(items.first_folder(item) in unused for item in items)
            warn(
                f"{count} of {len(items)} images are left out: those in "
                f"{listing(name or 'no folder' for name in unused)}. --all-folders takes all, and "
                "folders named train and valid are the sides of a split",
                2,
            )
            items = items.filter_by_func(lambda item: items.first_folder(item) not in unused)
        return items.split_by_rand_pct(self.valid_pct, self.seed)

    def _from_csv(self) -> LabelledItems:
        self._refuse("a CSV file", "pattern", "all_folders")
        if self.valid_col:
            self._refuse("a table with --valid-col", "valid_pct")
        items = ImageList.from_csv(
            self.source.parent, self.source.name, folder=self.folder, suffix=self.suffix
        )
        split = (
            items.split_from_df(_column(self.valid_col))
            if self.valid_col
            else items.split_by_rand_pct(self.valid_pct, self.seed)
        )
        return split.label_from_df(_column(self.label_col), label_delim=self.label_delim)


@dataclass(frozen=True)
class How:
    """Which model sees the images, and how."""

    arch: str = "small"
    pretrained: str = "yes"
    size: int = 128
    bs: int | None = None
    flip_vert: bool = False
    seed: int = 0

    def learner(self, labelled: LabelledItems) -> Learner:
        """A learner with the metrics that suit the labels."""
        torch.manual_seed(self.seed)
        wanted: bool | str = {"yes": True, "no": False}.get(self.pretrained, self.pretrained)
        if self.bs is not None and self.bs > len(labelled.train):
            print(f"--bs {self.bs} is more than there is: {len(labelled.train)} train in one batch")
        data = self._data(labelled, imagenet_stats)
        with catch_warnings():
            if wanted is True:  # normalised below as these weights expect
                simplefilter("ignore", OnecycleWarning)
            learn = cnn_learner(data, self.arch, pretrained=wanted, metrics=_metrics(data))
            body = learn.model[0]  # type: ignore[index]
            if isinstance(body, Body) and body.stats and wanted is True:
                learn.data = self._data(labelled, body.stats)
        return learn

    def _data(self, labelled: LabelledItems, stats: Any) -> DataBunch:
        tfms = get_transforms(flip_vert=self.flip_vert)
        bs = None if self.bs is None else min(self.bs, len(labelled.train))
        data = labelled.transform(tfms, size=self.size).databunch(bs=bs, seed=self.seed)
        return data.normalize(stats)


def train(
    where: Where, how: How, epochs: int | None, unfrozen: int, lr: float | None, out: Path
) -> Learner:
    """Find the rate, train the head, then everything; write model and plots into `out`.

    The head trains for `epochs` (4); from scratch nothing is frozen, and there are none of these.
    """
    frozen = _frozen_epochs(how, epochs, unfrozen)
    require_writable(out / "model.safetensors")
    learn = how.learner(where.labelled_items())
    print(learn.data.src, f"\nclasses: {', '.join(map(str, learn.data.classes))}")
    curve = learn.lr_find() if lr is None else None
    if curve is not None:
        lr = min(curve.suggestion, _MOST)
        higher = f" (not the {curve.suggestion:.1e} of the curve)" * (curve.suggestion > _MOST)
        print(f"learning rate: {lr:.1e}{higher}")
    stages = {}
    if frozen:
        learn.fit_one_cycle(frozen, slice(lr))
        stages["frozen"] = learn.history[-1]
    if unfrozen:
        learn.unfreeze()
        learn.fit_one_cycle(unfrozen, slice(lr / 100, lr / 5) if stages and lr else lr)
        stages["unfrozen"] = learn.history[-1]
    print(stage_table(stages))
    if (out / "model.safetensors").exists():
        print(f"the model that was in {out} is replaced")
    learn.save((out / "model").absolute(), with_opt=False)
    write_plots(learn, curve, out)
    print(
        f"written to {out}: model.safetensors and plots; onecycle predict {out}/model.safetensors"
    )
    return learn


def _frozen_epochs(how: How, epochs: int | None, unfrozen: int) -> int:
    """Epochs with a frozen body; UsageError where there are no epochs at all."""
    scratch = how.pretrained == "no"
    if scratch and epochs:
        print(
            f"--epochs {epochs} are not used: they are those with a frozen body, and from scratch "
            "nothing is frozen; --unfrozen-epochs are"
        )
    frozen = 0 if scratch else 4 if epochs is None else epochs
    if frozen < 0 or unfrozen < 0 or not frozen + unfrozen:
        raise UsageError("train for at least one epoch: --epochs or --unfrozen-epochs")
    return frozen


def find(where: Where, how: How, out: Path) -> None:
    """Print the readings of the range test, and draw its curve."""
    require_writable(out / "lr.png", in_place=True)
    learn = how.learner(where.labelled_items())
    curve = learn.lr_find()
    for name, rate in curve.suggestions().items():
        print(f"{name:>12}: " + (f"{rate:.2e}" if rate else "-"))
    save_figure(curve.plot(), out / "lr.png")
    print(f"drawn in {out / 'lr.png'}")


def _column(text: str) -> int | str:
    return int(text) if text.isdigit() else text


def _metrics(data: DataBunch) -> list[Any]:
    suited = data.task.target.suited_metrics
    return [
        partial(getattr(metrics, name), **how) if how else getattr(metrics, name)
        for name, how in suited
    ]


# The table of stages and the folder of plots that a run leaves behind.


def stage_table(stages: Mapping[str, Mapping[str, Any]]) -> str:
    """One line per stage with the figures of its last epoch; #na# where there is none."""
    names = [n for n in next(iter(stages.values())) if n not in {"epoch", "seconds"}]
    width = max(map(len, stages))
    head = " " * width + "".join(f"  {name:>17}" for name in names)
    rows = [
        f"{stage:<{width}}" + "".join(f"  {_figure(row.get(name)):>17}" for name in names)
        for stage, row in stages.items()
    ]
    return "\n".join(["", head, *rows, ""])


def _figure(value: float | None) -> str:
    return "#na#" if value is None else f"{value:.4f}"


def write_plots(learn: Learner, curve: RateCurve | None, out: Path) -> None:
    """Batch, rate curve, losses, schedule, results, the worst items, and figures per class."""
    out.mkdir(parents=True, exist_ok=True)
    save_figure(learn.data.show_batch(4), out / "batch.png")
    if curve is not None:
        save_figure(curve.plot(suggestion=True), out / "lr.png")
    save_figure(learn.recorder.plot_losses(), out / "losses.png")
    save_figure(learn.recorder.plot_lr(show_moms=True), out / "schedule.png")
    save_figure(learn.show_results(rows=4), out / "results.png")
    target, found = learn.task.target, learn.predictions()
    worst: Interpretation = Interpretation(learn, found)
    if target.one_class:
        worst = interp = ClassificationInterpretation(learn, found)
        save_figure(interp.plot_confusion_matrix(), out / "confusion.png")
    elif target.whole_classes:
        worst = labels = MultiLabelInterpretation(learn, found)
        save_figure(labels.plot_per_label(), out / "per_label.png")
        save_figure(labels.plot_thresholds(), out / "thresholds.png")
        write_atomically(out / "per_label.csv", partial(write_per_label, labels))
    save_figure(worst.plot_top_losses(heatmap=target.whole_classes), out / "worst.png")


def write_per_label(labels: MultiLabelInterpretation, path: Path) -> None:
    """The figures of each label as CSV, whose names no spreadsheet computes."""
    table = labels.per_label().round(3)
    table.rename(index=lambda name: as_text(str(name))).to_csv(path)
