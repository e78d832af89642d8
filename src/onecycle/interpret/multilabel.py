"""Where a model with several labels errs: per label, over thresholds, and on single items."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from onecycle.core.arguments import require_number
from onecycle.core.draw import NAME, axes, drawables
from onecycle.core.errors import UsageError
from onecycle.interpret.classification import Interpretation
from onecycle.learn import metrics
from onecycle.learn.learner import Learner
from onecycle.learn.predictions import Predictions

if TYPE_CHECKING:
    import pandas as pd

_STEPS = torch.arange(1, 100) / 100


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
    def thresh(self) -> float:
        """The decision threshold of the task."""
        return float(self.predictions.task.target.thresh)  # type: ignore[attr-defined]

    def per_label(self, thresh: float | None = None) -> pd.DataFrame:
        """One row per label: how often it is true and said, precision, recall, F1, AP."""
        import pandas as pd

        p, y = self.predictions.probabilities, self.predictions.targets
        limit = self.thresh if thresh is None else require_number("thresh", thresh, 0, 1)
        how = {"average": "none", "thresh": limit, "sigmoid": False}
        areas = [float(metrics.average_precision(p[:, [i]], y[:, [i]])) for i in range(p.shape[1])]
        columns: dict[str, Any] = {
            "true": y.sum(0).int(),
            "said": (p > limit).sum(0),
            "precision": metrics.precision(p, y, **how),
            "recall": metrics.recall(p, y, **how),
            "f1": metrics.f1(p, y, **how),
            "average_precision": areas,
        }
        plain = {k: v.tolist() if isinstance(v, Tensor) else v for k, v in columns.items()}
        return pd.DataFrame(plain, index=self.classes)

    def plot_per_label(self, thresh: float | None = None, ax: Any = None) -> Any:
        """Bars of precision and recall for every label, the rarest label first."""
        table = self.per_label(thresh).sort_values("true")
        ax = axes(ax, (7, 1 + 0.4 * len(table)))
        table[["precision", "recall"]].plot.barh(ax=ax, width=0.8)
        names = drawables(table.index, NAME)
        ax.set_yticklabels([f"{n} ({c})" for n, c in zip(names, table["true"], strict=True)])
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
        ax.plot(_STEPS, fbeta_curve(p, y, beta), label=f"F{beta:g} per item")
        for metric in (metrics.precision, metrics.recall):
            how = {"average": "micro", "sigmoid": False}
            values = [float(metric(p, y, thresh=float(t), **how)) for t in _STEPS]
            ax.plot(_STEPS, values, label=f"{metric.__name__} (micro)")
        ax.axvline(self.best_threshold(beta), ls=":", color="red", label="best")
        ax.axvline(self.thresh, ls=":", color="grey", label="in force")
        ax.set(xlabel="threshold", ylim=(0, 1))
        ax.legend()
        return ax.figure


def fbeta_curve(probabilities: Tensor, targets: Tensor, beta: float) -> list[float]:
    """Per-item F-beta at the thresholds .01, .02, ... .99."""
    return [
        float(metrics.fbeta(probabilities, targets, thresh=t, beta=beta, sigmoid=False))
        for t in _STEPS.tolist()
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
