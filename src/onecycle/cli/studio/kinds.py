"""How the studio's jobs work with each kind of items that have labels here."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from onecycle.cli import layouts, train
from onecycle.cli.layouts import Found
from onecycle.cli.studio.contents import series_of
from onecycle.cli.studio.rows import read_rows
from onecycle.core.errors import TableError, listing
from onecycle.data.databunch import LabelledItems
from onecycle.data.targets import Category
from onecycle.learn.learner import Learner
from onecycle.series.lists import SeriesList
from onecycle.vision.learner import load_cnn


@dataclass(frozen=True)
class Kind:
    """`find` finds the items by their options and the folder with the tables; `learner` makes a
    learner on them for given weights, and `alone` one of weights without data (None: it cannot).

    `source` is an example as a predictor takes it.
    """

    find: Callable[[Any, Path], Found]
    learner: Callable[[Any, LabelledItems, Path], Learner]
    source: Callable[[Any], Any]
    alone: Callable[[Path], Learner] | None = None

    def trained(self, where: Any, how: Any, folder: Path) -> Learner:
        """The learner of a run with its data, on which the cost of a precision is measured."""
        weights = (folder / "model.safetensors").absolute()
        learn = self.learner(how, self.find(where, folder).labelled(), weights)
        return learn.load(weights, with_opt=False)


def _of_texts(how: Any, labelled: LabelledItems, weights: Path) -> Learner:
    return train.text_classifier(how, train.read_as(labelled, weights))


def labelled_series(where: Any, folder: Path) -> Found:
    """The series of a source with the labels and sides that stand in a folder's tables.

    TableError where the source no longer holds some of them.
    """
    names, series, _, _ = series_of(where.source)
    at = {name: i for i, name in enumerate(names)}
    rows = read_rows(folder / "labels.csv")
    tested = read_rows(folder / "test.csv")
    gone = [name for name, *_ in (*rows, *tested) if name not in at]
    _require_all(where.source, "series", gone)

    def items(of: list[tuple[str, str, str]]) -> SeriesList:
        return SeriesList.from_array([series[at[n]] for n, *_ in of], [label for _, label, _ in of])

    held = [i for i, (*_, valid) in enumerate(rows) if valid == "True"]
    return Found(
        [items(rows).split_by_idx(held)],
        lambda split: split.label_from_df(label_cls=Category),
        items(tested) if tested else None,
    )


def labelled_masks(where: Any, folder: Path) -> Found:
    """The images of a source with the sides that stand in a folder's table, and their masks.

    TableError where the source no longer holds some of them.
    """
    found = layouts.masks(where)
    both, root = found.splits[0], where.source.absolute()
    items = replace(both.train, items=(*both.train.items, *both.valid.items))
    at = {Path(x).absolute().relative_to(root).as_posix(): i for i, x in enumerate(items.items)}
    rows = read_rows(folder / "labels.csv")
    _require_all(where.source, "images", [name for name, *_ in rows if name not in at])
    held = [i for i, (*_, valid) in enumerate(rows) if valid == "True"]
    kept: Any = items.take([at[name] for name, *_ in rows])
    return Found([kept.split_by_idx(held)], found.label)


def _require_all(source: Path, what: str, gone: list[str]) -> None:
    if gone:
        raise TableError(f"{source} no longer holds {len(gone)} {what}: {listing(gone)}")


KINDS = {
    "images": Kind(
        lambda where, _: layouts.images(where),
        lambda how, labelled, _: train.image_learner(how, labelled),
        Path,
        load_cnn,
    ),
    "masks": Kind(
        labelled_masks, lambda how, labelled, _: train.mask_learner(how, labelled), Path, load_cnn
    ),
    "text": Kind(lambda where, _: layouts.texts(where), _of_texts, str),
    "series": Kind(
        labelled_series, lambda how, labelled, _: train.series_classifier(how, labelled), np.asarray
    ),
}
