"""The same training on every fold: the mean of its figures, and how far they lie apart."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from onecycle.core.errors import UsageError
from onecycle.data.labels import SplitItems
from onecycle.learn.learner import Learner
from onecycle.learn.metric import names_of

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class CrossValidation:
    """Loss and metrics of the validation side of each fold: `folds` are rows by name."""

    folds: tuple[dict[str, float], ...]

    @property
    def mean(self) -> dict[str, float]:
        """The mean of each figure over the folds."""
        return {name: float(np.mean(values)) for name, values in self._columns()}

    @property
    def spread(self) -> dict[str, float]:
        """The standard deviation of each figure between folds (of a sample: n - 1)."""
        return {name: float(np.std(values, ddof=1)) for name, values in self._columns()}

    def _columns(self) -> Iterable[tuple[str, list[float]]]:
        return ((name, [row[name] for row in self.folds]) for name in self.folds[0])

    def to_frame(self) -> "pd.DataFrame":
        """A row for each fold."""
        import pandas as pd

        return pd.DataFrame(self.folds)

    def __repr__(self) -> str:
        mean, spread = self.mean, self.spread
        rows = (f"{name} {mean[name]:.4f} ± {spread[name]:.4f}" for name in mean)
        return f"{len(self.folds)} folds, mean ± standard deviation: {', '.join(rows)}"


def cross_validate(
    splits: Iterable[SplitItems], train: Callable[[SplitItems], Learner]
) -> CrossValidation:
    """`train(split)`, which returns a trained learner, for each of the splits; see `kfold`.

    Every learner is made anew, so that no fold has seen the items of another, and is let go of
    once its validation side is measured. UsageError for fewer than two splits, for a function that
    returns no learner, and for learners with different metrics.
    """
    rows: list[dict[str, Any]] = []
    for split in splits:
        learner: Any = train(split)
        if not isinstance(learner, Learner):
            raise UsageError(f"train(split) returns a trained Learner, not {learner!r:.100}")
        names = ["loss", *names_of(learner.metrics)]
        row = dict(zip(names, learner.validate(), strict=True))
        if rows and row.keys() != rows[0].keys():
            raise UsageError(f"one fold has the figures {[*rows[0]]}, another {[*row]}")
        rows.append(row)
        del learner
    if len(rows) < 2:
        raise UsageError(f"two folds or more have a spread, not {len(rows)}: items.kfold(5)")
    return CrossValidation(tuple(rows))
