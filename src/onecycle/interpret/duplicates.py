"""Pictures that look alike: a small fingerprint of each, compared with all others."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any
from warnings import warn

import cv2
import numpy as np

from onecycle.core.arguments import require_number, require_whole
from onecycle.core.defaults import defaults
from onecycle.core.errors import EmptyDataError, OnecycleWarning
from onecycle.spec.pixels import open_pixels
from onecycle.spec.remarks import Remarks

_SIDE = 8
_BLOCK = 2048  # rows compared at once


def fingerprint(source: Any, remarks: Remarks | None = None) -> np.ndarray:
    """A picture as (64 * 3,) float32: 8 x 8 cells, centred, of length 1."""
    whole = open_pixels(source, remarks=remarks)
    pixels = cv2.resize(whole, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
    flat = pixels.astype(np.float32).ravel()
    centred = flat - flat.mean()
    return centred / max(float(np.linalg.norm(centred)), 1e-6)


def similar_pairs(
    sources: Sequence[Any], least: float = 0.97, most: int = 1000
) -> list[tuple[int, int, float]]:
    """(i, j, similarity) of pictures whose fingerprints correlate by `least` or more, best first.

    All pairs are compared in blocks: a million pairs take a few hundredths of a second. A warning
    counts those beyond the `most` best.
    """
    require_number("least", least, 0, 1)
    require_whole("most", most)
    if not len(sources):
        raise EmptyDataError("there are no pictures to compare")
    remarks = Remarks()
    with ThreadPoolExecutor(defaults.cpus) as pool:
        prints = np.stack(list(pool.map(partial(fingerprint, remarks=remarks), sources)))
    remarks.warn(len(sources), stacklevel=3)
    found: list[tuple[int, int, float]] = []
    for start in range(0, len(prints), _BLOCK):
        alike = prints[start : start + _BLOCK] @ prints.T
        for i, j in np.argwhere(alike >= least):
            if start + i < j:
                found.append((int(start + i), int(j), float(alike[i, j])))
    if len(found) > most:
        warn(
            f"{len(found):,} pairs are as like as {least}, of which the {most:,} likest are taken: "
            "raise least=, or most=",
            OnecycleWarning,
            stacklevel=2,
        )
    return sorted(found, key=lambda pair: -pair[2])[:most]
