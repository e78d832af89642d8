"""Where a single-label model errs: confusion, the worst items, and what they looked at."""

from __future__ import annotations

from numbers import Integral
from typing import Any, Self
from warnings import warn

import numpy as np
import torch
from torch import Tensor

from onecycle.core.draw import NAME, add_title, axes, drawable, drawables, folded, grid
from onecycle.core.errors import OnecycleWarning, UsageError
from onecycle.data.databunch import DatasetType
from onecycle.interpret.heatmap import grad_cam
from onecycle.learn.learner import Learner
from onecycle.learn.predictions import Predictions, draw

_NO_MAP = "heatmap=True is for pictures with one class or several: leave it out"


def how_many(k: int | None, count: int, usual: int | None = None, what: str = "items") -> int:
    """`k` as far as there are so many, with a warning where there are not.

    None stands for `usual`, or for all. UsageError for what is no number from 1 on.
    """
    if k is None:
        return min(count, count if usual is None else usual)
    if isinstance(k, bool) or not isinstance(k, Integral) or k < 1:
        raise UsageError(f"k is a number of {what}, at least one, not {k!r}")
    if k > count:
        message = f"there are {count} {what}, fewer than k={k}: all of them are taken"
        warn(message, OnecycleWarning, stacklevel=3)
    return min(int(k), count)


def extremes(losses: Tensor, k: int | None, largest: bool = True) -> tuple[Tensor, Tensor]:
    """(values, positions) of the `k` largest or smallest of losses (n,), the most extreme first."""
    found = losses.topk(how_many(k, len(losses)), largest=largest)
    return found.values, found.indices


class Interpretation:
    """Predictions of one side, and the learner that made them."""

    def __init__(self, learn: Learner, predictions: Predictions) -> None:
        self.learn, self.predictions = learn, predictions

    @classmethod
    def from_learner(cls, learn: Learner, ds_type: DatasetType = DatasetType.Valid) -> Self:
        """Run the model over one side."""
        found = learn.predictions(ds_type)
        found.require_labels("mistakes")
        return cls(learn, found)

    @property
    def classes(self) -> list[Any]:
        """The names of the classes."""
        return self.predictions.classes

    def top_losses(self, k: int | None = None, largest: bool = True) -> tuple[Tensor, Tensor]:
        """(losses, positions) of the `k` items (all) with the largest loss, worst first.

        Where there are fewer than `k` all of them, with a warning.
        """
        return extremes(self.predictions.losses, k, largest)

    def plot_top_losses(
        self,
        k: int | None = None,
        largest: bool = True,
        figsize: tuple[float, float] | None = None,
        heatmap: bool = False,
        alpha: float = 0.5,
        cmap: str = "magma",
    ) -> Any:
        """Draw the `k` (9) worst items: said / true / loss; `heatmap`: where the model looked."""
        losses, positions = self.top_losses(how_many(k, len(self.predictions), 9), largest)
        if self.learn.task.target.drawn_over or hasattr(self.learn.task.input, "table"):
            if heatmap:
                raise UsageError(_NO_MAP)
            captions = [f"loss {float(loss):.2f}" for loss in losses]
            return draw(self.predictions, positions.tolist(), 2, figsize, captions)
        places = grid(len(positions), max(1, round(len(positions) ** 0.5)), figsize, cell=3)
        for ax, loss, position in zip(places, losses, positions, strict=True):
            index = int(position)
            item, _ = self.predictions.items[index]
            item.show(ax=ax)
            if heatmap:
                if not hasattr(item, "size"):
                    raise UsageError(_NO_MAP)
                looked = grad_cam(self.learn, self.predictions, index)
                extent = (-0.5, item.size[1] - 0.5, item.size[0] - 0.5, -0.5)
                ax.imshow(looked, extent=extent, alpha=alpha, cmap=cmap, interpolation="bilinear")
            text = f"{self.line(index)}\nloss {float(loss):.2f}"
            add_title(ax, folded(text), fontsize=8)
        return places[0].figure

    def line(self, index: int) -> str:
        """One item's answer and truth as text."""
        return f"said {self.predictions.said(index)}\ntrue {self.predictions.true(index)}"


class ClassificationInterpretation(Interpretation):
    """For one class per item."""

    def __init__(self, learn: Learner, predictions: Predictions) -> None:
        super().__init__(learn, predictions)
        if predictions.targets.ndim != 1 or not self.classes:
            raise UsageError(
                "this is for one class per item: for several labels use MultiLabelInterpretation, "
                "for masks SegmentationInterpretation, for numbers and points Interpretation"
            )
        self.pred_class = predictions.probabilities.argmax(1)
        self.y_true = predictions.targets

    def confusion_matrix(self) -> np.ndarray:
        """Counts (classes, classes): rows are the true classes, columns what was said."""
        n = len(self.classes)
        cells = torch.bincount(self.y_true * n + self.pred_class, minlength=n * n)
        return cells.reshape(n, n).numpy()

    def most_confused(self, min_val: int = 1) -> list[tuple[Any, Any, int]]:
        """(true, said, count) of the mistakes made at least `min_val` times, most first."""
        matrix = self.confusion_matrix()
        np.fill_diagonal(matrix, 0)
        found = [
            (self.classes[i], self.classes[j], int(matrix[i, j]))
            for i, j in zip(*np.where(matrix >= max(1, min_val)), strict=True)
        ]
        return sorted(found, key=lambda row: -row[2])

    def plot_confusion_matrix(
        self,
        normalize: bool = False,
        title: str = "Confusion matrix",
        cmap: str = "Blues",
        norm_dec: int = 2,
        plot_txt: bool = True,
        figsize: tuple[float, float] = (6, 6),
        dpi: int | None = None,
    ) -> Any:
        """Draw the matrix, with `normalize` as shares of each true class.

        A class without an item has no shares: its row is empty.
        """
        matrix = self.confusion_matrix().astype(float)
        if normalize:
            count = matrix.sum(1, keepdims=True)
            matrix = np.where(count > 0, matrix / count.clip(min=1), np.nan)
        ax = axes(None, figsize)
        ax.imshow(matrix, cmap=cmap)
        ticks = range(len(self.classes))
        names = drawables(self.classes, max(8, min(NAME, int(6 * min(figsize)))))
        ax.set_xticks(ticks, names, rotation=90)
        ax.set_yticks(ticks, names)
        ax.set(xlabel="said", ylabel="true", title=drawable(title))
        if plot_txt:
            for (row, col), value in np.ndenumerate(matrix):
                text = f"{value:.{norm_dec}f}" if normalize else f"{value:.0f}"
                text = "-" if np.isnan(value) else text
                colour = "white" if value > np.nanmax(matrix) / 2 else "black"
                ax.text(col, row, text, ha="center", va="center", color=colour)
        if dpi:
            ax.figure.set_dpi(dpi)
        ax.figure.tight_layout()
        return ax.figure

    def line(self, index: int) -> str:
        """Said and true, with the probability of the true class."""
        share = float(self.predictions.probabilities[index, int(self.y_true[index])])
        return f"{super().line(index)} ({share:.2f})"
