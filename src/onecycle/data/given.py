"""Labels that are given beside the items: an array, a tensor, a frame or a list."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from typing import Any

import numpy as np
from torch import Tensor

from onecycle.core.errors import UsageError


def as_array(x: Any) -> Any:
    """A tensor or a frame as an array, anything else as it is."""
    if isinstance(x, Tensor):
        x = x.detach().cpu()
        return (x.float() if x.element_size() < 4 and x.is_floating_point() else x).numpy()
    return x.to_numpy() if hasattr(x, "to_numpy") else x


def label_frame(y: Any, count: int) -> Any:
    """A frame with one label in each of its `count` rows, in the column `label`.

    (n,), (n, 1), or (n, k) floats; of a list or another iterable its own values. UsageError for
    other shapes, for times and for another number of labels.
    """
    import pandas as pd

    labels = _listed(y)
    if len(labels) != count:
        raise UsageError(f"there are {count} items in x and {len(labels)} labels in y")
    return pd.DataFrame({"label": pd.Series(labels, dtype=object)})


def _listed(y: Any) -> list[Any]:
    y = as_array(y)
    if not isinstance(y, Iterable) or isinstance(y, str | bytes | Mapping | Set):
        raise UsageError(f"labels are an array (n,) or a list, not {type(y).__name__}")
    if not isinstance(y, np.ndarray):
        y = [as_array(label) if isinstance(label, Tensor) else label for label in y]
        if not y or not all(isinstance(label, np.ndarray) for label in y):
            return [
                v.item() if isinstance(v, np.generic) and v.dtype.kind not in "mM" else v for v in y
            ]
        if len({label.shape for label in y}) > 1:
            raise UsageError(f"labels are of several shapes: {y[0].shape}, ...")
        y = np.stack(y)
    if y.ndim == 2 and y.shape[1] == 1 and y.dtype.kind != "f":
        y = y[:, 0]
    if y.ndim == 2 and y.dtype.kind == "O":
        y = np.array(y.tolist())  # a frame of several kinds of numbers
    if y.dtype.kind in "mM":
        raise UsageError(f"labels are times ({y.dtype}): make them words, or floats to be met")
    if y.ndim == 0 or y.ndim > 2 or (y.ndim == 2 and y.dtype.kind != "f"):
        raise UsageError(
            f"labels of shape {y.shape}, {y.dtype}: an array (n,) is wanted, floats (n, k) to be "
            "met as numbers (whole numbers: y.astype(float)), or a list of lists of tags"
        )
    return y.tolist()
