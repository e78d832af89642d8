"""Where a segmentation errs: figures per class, what is taken for what, the worst images."""

from __future__ import annotations

from contextlib import closing
from typing import Any, Self

import torch
from torch import Tensor

from onecycle.core.errors import UsageError
from onecycle.core.plot import NAME, axes, drawables
from onecycle.data.databunch import DatasetType, LabelList
from onecycle.interpret.classification import extremes, how_many
from onecycle.learn import loop
from onecycle.learn.learner import Learner
from onecycle.learn.metrics import confusion, shares
from onecycle.learn.predictions import Predictions, draw, item_losses, of_part


class SegmentationInterpretation:
    """Counts of pixels and the loss of each image of one side; holds no masks in memory.

    `matrix` is (classes, classes), rows true, columns said, without void; `losses` (n,).
    """

    def __init__(self, learn: Learner, side: LabelList, matrix: Tensor, losses: Tensor) -> None:
        self.learn, self.side, self.matrix, self.losses = learn, side, matrix, losses

    @classmethod
    def from_learner(cls, learn: Learner, ds_type: DatasetType = DatasetType.Valid) -> Self:
        """Run the model over one side."""
        target, batches = learn.task.target, learn.data.ordered(ds_type)
        if target.mask_dtype is None:
            raise UsageError("SegmentationInterpretation is for masks")
        void = target.void
        matrix, losses = torch.zeros(target.n_outputs, target.n_outputs, dtype=torch.float64), []
        with closing(loop.predict(learn.model, batches, learn.engine)) as pairs:
            for outputs, y in pairs:
                matrix += confusion(outputs, y, void).cpu()
                losses.append(item_losses(learn, outputs, y).cpu())
        return cls(learn, batches.dataset, matrix, torch.cat(losses))

    def per_class(self) -> Any:
        """A frame with a row per class: IoU, precision, recall, share of all true pixels."""
        import pandas as pd

        right, said, true = self.matrix.diagonal(), self.matrix.sum(0), self.matrix.sum(1)
        shared = shares(self.matrix, self.learn.task.target.metric_options.get("void"))
        columns = {
            "IoU": shared,
            "precision": torch.where(shared.isnan(), torch.nan, right / said),
            "recall": right / true,
            "share": true / true.sum(),
        }
        return pd.DataFrame(
            {name: values.numpy() for name, values in columns.items()},
            index=list(self.learn.task.target.classes),
        )

    def plot_per_class(self) -> Any:
        """IoU of each class as bars; returns the figure."""
        frame = self.per_class()["IoU"].sort_values()
        ax = axes(None, (6, 0.35 * len(frame) + 1))
        ax.barh(range(len(frame)), frame.values, color="#3b7dd8")
        ax.set_yticks(range(len(frame)), drawables(frame.index, NAME))
        ax.set(xlim=(0, 1), xlabel="intersection over union")
        for row, value in enumerate(frame.values):
            ax.text(value + 0.01, row, f"{value:.2f}", va="center", fontsize=8)
        ax.figure.tight_layout()
        return ax.figure

    def top_losses(self, k: int | None = None, largest: bool = True) -> tuple[Tensor, Tensor]:
        """(losses, positions) of the `k` images (all) with the largest loss, worst first.

        Where there are fewer than `k` all of them, with a warning.
        """
        return extremes(self.losses, k, largest)

    def plot_top_losses(
        self, k: int | None = None, largest: bool = True, figsize: tuple[float, float] | None = None
    ) -> Any:
        """The `k` (5) worst images, true beside said; returns the figure."""
        losses, positions = self.top_losses(how_many(k, len(self.losses), 5), largest)
        found: Predictions = of_part(self.learn, self.side, positions.tolist())
        captions = [f"loss {float(loss):.2f}" for loss in losses]
        return draw(found, range(len(found)), 2, figsize, captions)
