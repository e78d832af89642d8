"""Which training items a pass is made of: each once, or of every class as many."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from onecycle.core.errors import UsageError
from onecycle.data.targets import Target

SAMPLERS = ("balanced",)


def require_sampler(name: str | None, target: Target) -> None:
    """UsageError for a sampler that is none, or that these answers have no classes for."""
    if name is None:
        return
    if name not in SAMPLERS:
        raise UsageError(f'sampler is "balanced", or None for each item once, not {name!r}')
    if not target.named_classes():
        raise UsageError(
            f'sampler="balanced" draws of every class as many items, and the labels of a '
            f"{target.kind} name no classes: leave it out"
        )


def groups_of(target: Target, labels: Sequence[Any]) -> list[np.ndarray]:
    """The positions of the items of each class, in the order of the classes; of several labels
    also those of the items without any. Classes without an item have none.
    """
    places: dict[Any, list[int]] = {name: [] for name in (*target.named_classes(), None)}
    for position, label in enumerate(labels):
        for name in target.classes_of(label) or [None]:
            places[name].append(position)
    return [np.array(found) for found in places.values() if found]


def draw_balanced(groups: Sequence[np.ndarray], count: int, rng: np.random.Generator) -> np.ndarray:
    """`count` positions, of each group as many (or one more), in random order.

    Of a group that has more items some are left out, others in each pass; of one that has fewer
    each comes again before any comes a third time. Item i that comes for the n-th time (from 0) is
    i + n * `count`, by which it is augmented otherwise than before.
    """
    sizes = np.full(len(groups), count // len(groups))
    sizes[rng.permutation(len(groups))[: count % len(groups)]] += 1
    parts = []
    for group, size in zip(groups, sizes, strict=True):
        turns = [rng.permutation(group) for _ in range(-(-size // len(group)))]
        parts.append(np.concatenate(turns)[:size] if turns else group[:0])
    drawn = np.concatenate(parts)
    order = np.argsort(drawn, kind="stable")
    times = np.empty(len(drawn), int)
    times[order] = np.arange(len(drawn)) - np.searchsorted(drawn[order], drawn[order])
    return rng.permutation(drawn + times * count)
