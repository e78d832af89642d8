"""The table of stages and the folder of plots that a run leaves behind."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from onecycle.core.draw import save_figure
from onecycle.interpret.classification import ClassificationInterpretation, Interpretation
from onecycle.interpret.multilabel import MultiLabelInterpretation
from onecycle.learn.learner import Learner
from onecycle.learn.lr_curve import RateCurve


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
    kind = learn.task.target.to_json()["kind"]
    found = learn.predictions()
    worst: Interpretation = Interpretation(learn, found)
    if kind == "category":
        worst = interp = ClassificationInterpretation(learn, found)
        save_figure(interp.plot_confusion_matrix(), out / "confusion.png")
    elif kind == "multicategory":
        worst = labels = MultiLabelInterpretation(learn, found)
        save_figure(labels.plot_per_label(), out / "per_label.png")
        save_figure(labels.plot_thresholds(), out / "thresholds.png")
        labels.per_label().round(3).to_csv(out / "per_label.csv")
    save_figure(
        worst.plot_top_losses(heatmap=kind in {"category", "multicategory"}), out / "worst.png"
    )
