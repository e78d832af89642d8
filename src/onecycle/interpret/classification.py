"""Where a single-label model errs: confusion, the worst items, and what they looked at."""

from __future__ import annotations

from numbers import Integral
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch
from torch import Tensor, nn

from onecycle.core.errors import UsageError, require_number, warn
from onecycle.core.plot import NAME, add_title, axes, drawable, drawables, fold_lines, grid
from onecycle.data.databunch import DatasetType
from onecycle.data.label_list import LabelList
from onecycle.learn import loop, metrics
from onecycle.learn.calibration import BINS, STEPS, reliability
from onecycle.learn.learner import Learner
from onecycle.learn.metrics import confusion, shares
from onecycle.learn.predictions import Predictions, draw, item_losses, of_part
from onecycle.models.groups import modes_kept

if TYPE_CHECKING:
    import pandas as pd


_NO_MAP = "heatmap=True is for images with one class or several: leave it out"


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
        warn(message, 3)
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

        It is the loss of training, of outputs as they are, also of a calibrated learner. Where
        there are fewer than `k` all of them, with a warning.
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
        """Draw the `k` (9) worst items: predicted, actual, loss; `heatmap`: what was seen."""
        losses, positions = self.top_losses(how_many(k, len(self.predictions), 9), largest)
        if self.learn.task.target.drawn_over or self.learn.task.input.in_tables:
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
            add_title(ax, fold_lines(text), fontsize=8)
        return places[0].figure

    def plot_calibration(self, bins: int = BINS, ax: Any = None) -> Any:
        """How often answers of each probability are right, and how many there are of each.

        On the diagonal lies what is honest; below it what is too sure of itself. See `reliability`
        for what counts as an answer. Returns the figure.
        """
        found = reliability(self.predictions.probabilities, self.predictions.targets, bins)
        ax, edges = axes(ax, (5, 5)), np.arange(bins) / bins
        shares = found.number / found.number.sum()
        ax.bar(edges, shares, 1 / bins, align="edge", color="#d7dedc", label="share of answers")
        ax.plot([0, 1], [0, 1], ls=":", color="grey", label="honest")
        ax.plot(found.said, found.seen, "o-", color="#0f766e", label="answers")
        title = f"calibration error {found.error:.3f}"
        ax.set(xlim=(0, 1), ylim=(0, 1.01), xlabel="probability", ylabel="share right", title=title)
        ax.legend(loc="upper left")
        return ax.figure

    def line(self, index: int) -> str:
        """One item's answer and truth as text."""
        found = self.predictions
        return f"predicted {found.predicted(index)}\nactual {found.actual(index)}"


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
        """Counts (classes, classes): rows are the true classes, columns the predicted ones."""
        n = len(self.classes)
        cells = torch.bincount(self.y_true * n + self.pred_class, minlength=n * n)
        return cells.reshape(n, n).numpy()

    def most_confused(self, min_val: int = 1) -> list[tuple[Any, Any, int]]:
        """(actual, predicted, count) of the mistakes made at least `min_val` times, most first."""
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
        ax.set(xlabel="predicted", ylabel="actual", title=drawable(title))
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
        """Predicted and actual, with the probability of the true class."""
        share = float(self.predictions.probabilities[index, int(self.y_true[index])])
        return f"{super().line(index)} ({share:.2f})"


# Where a model with several labels errs: per label, over thresholds, and on single items.


class MultiLabelInterpretation(Interpretation):
    """For several classes per item; decisions are `> thresh`, the task's own by default."""

    def __init__(self, learn: Learner, predictions: Predictions) -> None:
        super().__init__(learn, predictions)
        if predictions.targets.ndim != 2 or not self.classes:
            raise UsageError(
                "this is for several labels per item: for one class use "
                "ClassificationInterpretation, for numbers and points Interpretation"
            )

    @property
    def thresh(self) -> float | tuple[float, ...]:
        """The decision threshold of the task, or that of each label."""
        thresh = self.predictions.task.target.thresh
        assert thresh is not None  # what decides several labels has one
        return thresh

    def per_label(self, thresh: float | None = None) -> pd.DataFrame:
        """One row per label: how often it is actual and predicted, precision, recall, F1, AP."""
        import pandas as pd

        p, y = self.predictions.probabilities, self.predictions.targets
        limit = self.thresh if thresh is None else require_number("thresh", thresh, 0, 1)
        above = (p > torch.as_tensor(limit)).float()
        how = {"average": "none", "sigmoid": False}
        areas = [float(metrics.average_precision(p[:, [i]], y[:, [i]])) for i in range(p.shape[1])]
        columns: dict[str, Any] = {
            "actual": y.sum(0).int(),
            "predicted": above.sum(0).int(),
            "precision": metrics.precision(above, y, **how),
            "recall": metrics.recall(above, y, **how),
            "f1": metrics.f1(above, y, **how),
            "average_precision": areas,
        }
        plain = {k: v.tolist() if isinstance(v, Tensor) else v for k, v in columns.items()}
        return pd.DataFrame(plain, index=self.classes)

    def plot_per_label(self, thresh: float | None = None, ax: Any = None) -> Any:
        """Bars of precision and recall for every label, the rarest label first."""
        table = self.per_label(thresh).sort_values("actual")
        ax = axes(ax, (7, 1 + 0.4 * len(table)))
        table[["precision", "recall"]].plot.barh(ax=ax, width=0.8)
        names = drawables(table.index, NAME)
        ax.set_yticklabels([f"{n} ({c})" for n, c in zip(names, table["actual"], strict=True)])
        ax.set(xlim=(0, 1), xlabel="share")
        ax.figure.tight_layout()
        return ax.figure

    def best_threshold(self, beta: float = 2.0) -> float:
        """The threshold with the best per-item F-beta on these items."""
        return best_threshold(self.predictions.probabilities, self.predictions.targets, beta)

    def plot_thresholds(self, beta: float = 2.0, ax: Any = None) -> Any:
        """F-beta, precision and recall over the thresholds, the best one and the task's marked."""
        p, y = self.predictions.probabilities, self.predictions.targets
        ax = axes(ax)
        ax.plot(STEPS, fbeta_curve(p, y, beta), label=f"F{beta:g} per item")
        for metric in (metrics.precision, metrics.recall):
            how = {"average": "micro", "sigmoid": False}
            values = [float(metric(p, y, thresh=float(t), **how)) for t in STEPS]
            ax.plot(STEPS, values, label=f"{metric.__name__} (micro)")
        ax.axvline(self.best_threshold(beta), ls=":", color="red", label="best")
        for number, limit in enumerate(np.unique(self.thresh)):
            ax.axvline(limit, ls=":", color="grey", label=None if number else "in force")
        ax.set(xlabel="threshold", ylim=(0, 1))
        ax.legend()
        return ax.figure


def fbeta_curve(probabilities: Tensor, targets: Tensor, beta: float) -> list[float]:
    """Per-item F-beta at the thresholds .01, .02, ... .99."""
    return [
        float(metrics.fbeta(probabilities, targets, thresh=t, beta=beta, sigmoid=False))
        for t in STEPS.tolist()
    ]


def best_threshold(probabilities: Tensor, targets: Tensor, beta: float = 2.0) -> float:
    """The threshold of .01, .02, ... .99 with the best per-item F-beta; the lowest of several.

    UsageError where no item has a label: then all are the same.
    """
    require_number("beta", beta, 0)
    if not (targets > 0.5).any():
        raise UsageError(
            f"none of the {len(targets)} items has a label, so that no threshold is better than "
            "another: choose it on items that have some"
        )
    curve = fbeta_curve(probabilities, targets, beta)
    return (1 + max(range(len(curve)), key=curve.__getitem__)) / 100


# Where the model looked: Grad-CAM (Selvaraju et al. 2016, arXiv 1610.02391).


def grad_cam(learn: Learner, predictions: Predictions, index: int) -> np.ndarray:
    """Weights (h', w') of the last feature map for the model's answer on one item, 0-1.

    For several labels: of all labels that were predicted. The learner stays as it was.
    """
    model = learn.model
    if not isinstance(model, nn.Sequential) or len(model) < 2:
        raise UsageError("a heat map needs a model of a body and a head, as cnn_learner makes it")
    x, _ = next(iter(learn.data.single([predictions.items.items[index]])))
    with modes_kept(model):
        model.eval()
        with torch.no_grad():
            features = model[0](x).float()
        if features.ndim != 4:
            raise UsageError(
                f"a heat map needs a body that puts out maps (n, channels, h, w), not "
                f"{[*features.shape]}"
            )
        features.requires_grad_()
        with torch.enable_grad():
            outputs = model[1:](features)
            score = _score(outputs[0], predictions.predicted(index).data)
            (gradient,) = torch.autograd.grad(score, features)
    share = gradient.mean((2, 3), keepdim=True)
    looked = (features * share).sum(1)[0].detach().clamp(min=0)
    return (looked / looked.max().clamp(min=1e-8)).cpu().numpy()


def _score(outputs: Tensor, answer: Any) -> Tensor:
    """The outputs of the answer (a class, or marks of several) together, or else the largest."""
    chosen = torch.as_tensor(answer, device=outputs.device)
    predicted = outputs[chosen.bool().flatten() if chosen.ndim else chosen]
    return predicted.sum() if predicted.numel() else outputs.max()


# Where a segmentation errs: figures per class, what is taken for what, the worst images.


class SegmentationInterpretation:
    """Counts of pixels and the loss of each image of one side; holds no masks in memory.

    `matrix` is (classes, classes), rows actual, columns predicted, without void; `losses` (n,).
    """

    def __init__(self, learn: Learner, side: LabelList, matrix: Tensor, losses: Tensor) -> None:
        self.learn, self.side, self.matrix, self.losses = learn, side, matrix, losses

    @classmethod
    def from_learner(cls, learn: Learner, ds_type: DatasetType = DatasetType.Valid) -> Self:
        """Run the model over one side."""
        target, batches = learn.task.target, learn.data.in_order(ds_type)
        if target.mask_dtype is None:
            raise UsageError("SegmentationInterpretation is for masks")
        void = target.void
        matrix, losses = torch.zeros(target.n_outputs, target.n_outputs, dtype=torch.float64), []
        with loop.each_batch(learn.model, batches, learn.engine) as pairs:
            for outputs, y in pairs:
                matrix += confusion(outputs, y, void).cpu()
                losses.append(item_losses(learn, outputs, y).cpu())
        return cls(learn, batches.dataset, matrix, torch.cat(losses))

    def per_class(self) -> Any:
        """A frame with a row per class: IoU, precision, recall, share of all true pixels."""
        import pandas as pd

        right, predicted, true = self.matrix.diagonal(), self.matrix.sum(0), self.matrix.sum(1)
        shared = shares(self.matrix, self.learn.task.target.metric_options.get("void"))
        columns = {
            "IoU": shared,
            "precision": torch.where(shared.isnan(), torch.nan, right / predicted),
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
        """The `k` (5) worst images, actual beside predicted; returns the figure."""
        losses, positions = self.top_losses(how_many(k, len(self.losses), 5), largest)
        found: Predictions = of_part(self.learn, self.side, positions.tolist())
        captions = [f"loss {float(loss):.2f}" for loss in losses]
        return draw(found, range(len(found)), 2, figsize, captions)
