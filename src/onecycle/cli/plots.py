"""The table of stages and the folder of plots that a demonstration leaves behind."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from onecycle.core.display import as_text
from onecycle.core.files import write_atomically
from onecycle.core.plot import save_figure
from onecycle.interpret.classification import (
    ClassificationInterpretation,
    Interpretation,
    MultiLabelInterpretation,
)
from onecycle.learn.learner import Learner
from onecycle.learn.lr_find import RateCurve


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
