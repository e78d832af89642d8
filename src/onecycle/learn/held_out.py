"""Figures of a labelled test side: each with a confidence interval, and looked at once.

The intervals are percentiles of a bootstrap over the items (Efron 1979): as many items are drawn
from them, with repetition, and every figure is computed of each such draw, all of the same draws.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from onecycle.core.display import bar
from onecycle.core.errors import UsageError, WriteError, require_number, require_whole, warn
from onecycle.core.files import require_writable, write_atomically
from onecycle.core.json_text import parse_json
from onecycle.core.rng import preserve_rng
from onecycle.data.databunch import DatasetType
from onecycle.data.groups import groups_of, numbers_of
from onecycle.data.label_list import LabelList
from onecycle.learn import loop, predictions
from onecycle.learn.evaluate import Foreign, Mean, State, Sum, Whole, as_number, states_of
from onecycle.learn.metric import names_of
from onecycle.learn.settings import contents_of

if TYPE_CHECKING:
    import pandas as pd

_LOOKS = "test_looks.json"
_NEAR = 1e-4  # by which the mean of items and that of batches may differ


@dataclass(frozen=True)
class Figure:
    """A figure, and the ends of its interval; None where there is none, and `note` says why."""

    value: float
    low: float | None
    high: float | None
    note: str = ""


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Loss and metrics of a test side: `result["accuracy"].low` is the lower end of an interval.

    `looks` says which look at this test side it was, by learners that write to the same folder; 0
    of a side that is no test.
    """

    figures: Mapping[str, Figure]
    how: str
    looks: int

    def __getitem__(self, name: str) -> Figure:
        if name not in self.figures:
            raise UsageError(f"there is no figure {name!r}: there are {', '.join(self.figures)}")
        return self.figures[name]

    def to_frame(self) -> "pd.DataFrame":
        """A row for each figure: value, low, high, note."""
        import pandas as pd

        rows = {name: vars(figure) for name, figure in self.figures.items()}
        return pd.DataFrame.from_dict(rows, orient="index")

    def __repr__(self) -> str:
        wide, lines = max(map(len, self.figures)), [self.how]
        for name, figure in self.figures.items():
            ends = "" if figure.low is None else f"{figure.low:.4f} to {figure.high:.4f}"
            lines.append(f"{name:{wide}}  {figure.value:.4f}  {ends}  {figure.note}".rstrip())
        return "\n".join(lines)


def evaluate_test(
    learner: Any,
    test: DatasetType | LabelList,
    metrics: Any,
    level: float,
    resamples: int,
    seed: int,
    group_by: Any,
) -> Evaluation:
    """Loss and metrics of a labelled side with intervals; see `Learner.evaluate`."""
    level = require_number("level", level, 0.5, 0.999)
    require_whole("resamples", resamples, 100)
    wanted = learner.metrics if metrics is None else metrics
    wanted = list(wanted) if isinstance(wanted, list | tuple) else [wanted]
    names, batches = ["loss", *names_of(wanted)], _batches(learner, test)
    side = batches.dataset
    predictions.require_labels(side, "loss and metrics")
    if not learner.task.target.one_row_an_item:
        raise UsageError("a stream of tokens has no items to draw from: learn.validate(dl)")
    groups = numbers_of(range(len(side)) if group_by is None else groups_of(side.x, group_by))
    if groups.max(initial=0) < 1:
        raise UsageError(f"intervals are drawn over two items (or groups) or more, not {groups}")
    order = getattr(batches, "order", None)  # texts come by length
    placed = groups if order is None else groups[np.asarray(order)]
    with preserve_rng(torch):
        parts = _parts(learner, batches, wanted)
        rows = [part.figures(placed, level, resamples, seed) for part in parts]
    found = dict(zip(names, chain.from_iterable(rows), strict=True))
    is_test = isinstance(test, LabelList) or DatasetType(test) is DatasetType.Test
    looks = _note_look(learner, side, found) if is_test else 0
    over = f"{len(side)} items" if group_by is None else f"{groups.max() + 1} groups of items"
    about = f"look {looks} at {len(side)} test items; " if is_test else f"{len(side)} items; "
    how = f"{level:.0%} intervals, percentiles of {resamples:,} bootstraps over {over}"
    return Evaluation(found, about + how, looks)


def _batches(learner: Any, test: DatasetType | LabelList) -> Any:
    """The loader of a side of the learner's data, or of one that was labelled elsewhere."""
    if not isinstance(test, LabelList):
        return learner.data.in_order(test)
    how = {k: learner.data.options[k] for k in ("num_workers", "device", "seed")}
    own = replace(test, task=learner.task, augment=False)
    return learner.task.input.loader(own, batch_size=learner.data.options["val_bs"], **how)


def _parts(learner: Any, batches: Any, metrics: Sequence[Any]) -> list["_Part"]:
    """Loss and metrics of a loader, after one pass over it."""
    states = states_of(learner.loss_func, metrics, learner.task.target)
    parts = [_Part(state) for state in states]
    with loop.each_batch(learner.model, batches, learner.engine) as pairs:
        for outputs, y in pairs:
            for part in parts:
                part.add(outputs, y)
    return parts


def _draws(groups: np.ndarray, resamples: int, seed: int) -> Iterator[np.ndarray]:
    """How often each item is in a draw of as many groups as there are, (n,) each."""
    rng, count = np.random.default_rng(seed), int(groups.max()) + 1
    for _ in range(resamples):
        yield np.bincount(rng.integers(count, size=count), minlength=count)[groups]


class _Part:
    """What the values of a metric need of each item, so that any draw of items has one."""

    def __init__(self, state: State) -> None:
        self.state, self.items = state, list[Any]()

    def add(self, outputs: Tensor, y: Tensor) -> None:
        """Take one batch in; metrics see copies."""
        self.state.update(outputs.clone(), y.clone())
        if isinstance(self.state, Mean | Sum):
            pairs = zip(outputs.split(1), y.split(1), strict=True)
            self.items += [self._of_item(o.clone(), label.clone()) for o, label in pairs]
        elif isinstance(self.state, Foreign):  # a Whole keeps all by itself
            self.items.append((outputs.cpu(), y.cpu()))

    def _of_item(self, outputs: Tensor, y: Tensor) -> Any:
        if isinstance(self.state, Sum):
            return self.state.counts(outputs, y)
        assert isinstance(self.state, Mean)
        weight = float(self.state.weight(y))
        try:
            return as_number(self.state.func(outputs, y), self.state.name) if weight else 0, weight
        except Exception:  # of whatever kind, it is the user's: one item is too few for it
            return np.nan, weight

    def join(self) -> None:
        """Put together what came batch by batch, once all are there."""
        if isinstance(self.state, Mean):
            self.items = list(np.array(self.items, np.float64).T)
        elif isinstance(self.state, Sum):
            self.items = [torch.stack(self.items).cpu().double()]
        else:
            pairs = self.state.batches if isinstance(self.state, Whole) else self.items
            self.items = [torch.cat(column) for column in zip(*pairs, strict=True)]

    def value_of(self, counts: np.ndarray) -> list[float]:
        """The values of a draw that has each item as often as `counts` says."""
        state, items = self.state, self.items
        if isinstance(state, Mean):
            return [float(counts * items[1] @ items[0] / (counts @ items[1]))]
        if isinstance(state, Sum):
            total = torch.tensordot(torch.as_tensor(counts).double(), items[0], dims=1)
            return [as_number(state.value(total), state.name)]
        outputs, y = (x[np.repeat(np.arange(len(counts)), counts)] for x in items)
        if isinstance(state, Whole):
            return [as_number(state.func(outputs, y), state.name)]
        assert isinstance(state, Foreign)
        state.metric.reset()
        state.update(outputs, y)
        return state.compute()

    def figures(self, groups: np.ndarray, level: float, draws: int, seed: int) -> list[Figure]:
        """Each value of the whole set, with the percentiles of those of the draws."""
        self.join()
        whole = self.state.compute()
        ones = np.ones(len(groups), np.int64)
        if isinstance(self.state, Mean) and not np.isclose(self.value_of(ones), whole, _NEAR).all():
            note = "no interval: it is no mean of items. Mark it with whole_set"
            return [Figure(value, None, None, note) for value in whole]
        drawn = np.full((draws, len(whole)), np.nan)
        for row, counts in zip(drawn, bar(_draws(groups, draws, seed), draws), strict=True):
            with suppress(Exception):  # such as of a draw without a positive: it stays NaN
                row[:] = self.value_of(counts)
        units = int(groups.max()) + 1
        return [_figure(*pair, level, units) for pair in zip(whole, drawn.T, strict=True)]


def _figure(value: float, drawn: np.ndarray, level: float, count: int) -> Figure:
    known = drawn[np.isfinite(drawn)]
    if not len(known):
        return Figure(value, None, None, "no interval: it has no value in any draw")
    low, high = np.percentile(known, [50 * (1 - level), 50 * (1 + level)]).tolist()
    lost = len(drawn) - len(known)
    note = f"without {lost} of {len(drawn)} draws, in which it has no value" if lost else ""
    if low == high:
        note = f"all {count} agree: what is rarer than 3 in {count} does not show"
    return Figure(value, low, high, note)


def _note_look(learner: Any, side: LabelList, figures: Mapping[str, Figure]) -> int:
    """Write down that this side was looked at; warns from the second look on. Its number."""
    path, key = Path(learner.path) / learner.model_dir / _LOOKS, contents_of(side)
    try:
        known = parse_json(path.read_bytes()) if path.is_file() else {}
        looks = [*known.get(key, [])]
    except (OSError, ValueError, AttributeError, TypeError):
        warn(f"{path} cannot be read: looks at test sets are counted anew", 4)
        known, looks = {}, []
    finite = {n: f.value if np.isfinite(f.value) else None for n, f in figures.items()}  # as JSON
    looks.append({"time": datetime.now().isoformat(" ", "minutes"), **finite})
    if len(looks) > 1:
        first = ", ".join(
            f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}"
            for name, value in looks[0].items()
        )
        warn(
            f"this is look {len(looks)} at a test set of {len(side)} items (the first: {first}). "
            "What is chosen by it flatters: choose by the validation set, and say how often you "
            f"looked; {path} has all looks",
            4,
        )
    if learner.engine.agree(True) and learner.engine.main:  # once all have read the file
        text = json.dumps({**known, key: looks}, indent=1, default=float)
        try:
            require_writable(path)
            write_atomically(path, lambda to: _write(to, text))
        except WriteError as error:
            warn(f"this look at the test set is not counted: {error}", 4)
    return len(looks)


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
