"""Which items are held out: a share of all, of each class, or of whole groups; plain numbers."""

import heapq
from collections import Counter, defaultdict
from collections.abc import Hashable, Sequence

import numpy as np

from onecycle.data.groups import numbers_of

_DRAWS = 8  # of groups, of which the best is taken
Names = Sequence[tuple[Hashable, ...]]  # the classes of each item: one of a label, any of tags


def hold_out(
    order: np.ndarray,
    count: int,
    names: Names | None,
    groups: Sequence[Hashable] | None,
    keep: int = 1,
) -> np.ndarray:
    """Those positions of the random `order` that are held out, `count` of them or nearly so.

    Of `names` each is held out in proportion, and is on both sides where two items (of `groups`,
    two groups) or more have it; where one has it, that one is not held out. A group is held out
    whole, and so that `keep` groups are left.
    """
    if not count or not len(order) or (names is None and groups is None):
        return order[:count]
    if groups is None and names is not None and all(len(own) == 1 for own in names):
        return order[_in_proportion(numbers_of([names[i] for i in order]), count)]
    units = _units(order, groups)
    sizes = np.array([len(unit) for unit in units])
    if names is None:
        chosen = _whole_groups(sizes, count, len(sizes) - keep)
    else:
        rows = [Counter(name for i in unit for name in names[i]) for unit in units]
        placing = _Placing(rows, sizes, count)
        placing.place()
        placing.mend()
        chosen = placing.side == 1
        if groups is not None:
            rng = np.random.default_rng(order[:8])
            chosen = _best(chosen, rows, sizes, (count, len(sizes) - keep), rng)
    held = [i for unit, out in zip(units, chosen, strict=True) if out for i in unit]
    return np.array(held, np.int64)


def on_one_side(
    train: np.ndarray, held: np.ndarray, names: Names
) -> dict[Hashable, tuple[int, int]]:
    """The classes that only one of the sides has, each with its items on both."""
    counts = [Counter(name for i in side for name in names[i]) for side in (train, held)]
    known = dict.fromkeys(name for count in counts for name in count)
    found = {name: (counts[0][name], counts[1][name]) for name in known}
    return {name: pair for name, pair in found.items() if not all(pair)}


def _units(order: np.ndarray, groups: Sequence[Hashable] | None) -> list[list[int]]:
    """What is held out as a whole, in random order: groups, or single items."""
    if groups is None:
        return [[int(i)] for i in order]
    found = defaultdict[Hashable, list[int]](list)
    for i in order:
        found[groups[i]].append(int(i))
    return list(found.values())


def _in_proportion(classes: np.ndarray, count: int) -> np.ndarray:
    """The first of each class: as many as are due to it of `count`."""
    sizes = np.bincount(classes)
    due = _due(sizes, count)
    by_class = np.argsort(classes, kind="stable")
    rank = np.empty(len(classes), np.int64)  # of an item within its class
    rank[by_class] = np.arange(len(classes)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return rank < due[classes]


def _due(sizes: np.ndarray, count: int) -> np.ndarray:
    """How many of each class make `count`: in proportion, but one at least and never all.

    A class of one gives none. By largest remainders, of equal ones the first.
    """
    most = np.maximum(sizes - 1, 0)
    least = np.minimum(most, 1)
    exact = sizes * (count / sizes.sum())
    due = np.clip(np.floor(exact), least, most).astype(np.int64)
    while left := count - int(due.sum()):
        step = 1 if left > 0 else -1
        able = due < most if step > 0 else due > least
        if not able.any():
            break
        gaps = np.where(able, step * (exact - due), -np.inf)
        due[np.argsort(-gaps, kind="stable")[: min(abs(left), int(able.sum()))]] += step
    return due


def _whole_groups(sizes: np.ndarray, count: int, most: int) -> np.ndarray:
    """Groups as they come, `most` of them, while they fit into `count`; else the smallest."""
    chosen, held = np.zeros(len(sizes), bool), 0
    for unit, size in enumerate(sizes):
        if held + size <= count and chosen.sum() < most:
            chosen[unit], held = True, held + size
    if not held and most > 0:
        chosen[sizes.argmin()] = True
    return chosen


def _best(
    placed: np.ndarray,
    rows: Sequence[Counter[Hashable]],
    sizes: np.ndarray,
    most: tuple[int, int],
    rng: np.random.Generator,
) -> np.ndarray:
    """Of the groups that were placed, and of random draws of groups, those that fit best.

    A few large groups can hardly be placed one by one: each brings many classes at once. First no
    class may be unknown to training, then none unmeasured; then shares are as near as can be.
    `most` are the items that are wanted, and the groups that may be taken.
    """
    count, groups = most
    number = {name: n for n, name in enumerate({name: 0 for row in rows for name in row})}
    table = np.zeros((len(rows), len(number) + 1))
    table[:, -1] = sizes
    for unit, row in enumerate(rows):
        for name, many in row.items():
            table[unit, number[name]] = many
    total, several = table.sum(0), (table > 0).sum(0) > 1

    def misfit(chosen: np.ndarray) -> tuple[bool, int, int, float]:
        held = chosen @ table
        gap = np.abs(held / total - count / sizes.sum())
        missing = int((held == total).sum()), int(((held == 0) & several).sum())
        return chosen.sum() > groups, *missing, float(gap[:-1].mean() + gap[-1])

    orders = [rng.permutation(len(rows)) for _ in range(_DRAWS)]
    drawn = (_whole_groups(sizes[order], count, groups)[np.argsort(order)] for order in orders)
    return min([placed, *drawn], key=misfit)


class _Placing:
    """Iterative stratification (Sechidis, Tsoumakas & Vlahavas 2011, algorithm 1), two sides.

    `side` is 0 for what trains, 1 for what is held out, -1 for what is not placed yet; `wanted`
    says how many items of each name the sides still want, `room` how many in all.
    """

    def __init__(self, rows: Sequence[Counter[Hashable]], sizes: np.ndarray, count: int) -> None:
        self.rows, self.sizes = rows, sizes
        self.side = np.full(len(rows), -1)
        self.room = [float(sizes.sum() - count), float(count)]
        self.holders = defaultdict[Hashable, list[int]](list)
        for unit, row in enumerate(rows):
            for name in row:
                self.holders[name].append(unit)
        share = count / sizes.sum()
        self.wanted = {name: self._wanted(name, share) for name in self.holders}
        self.left = {name: len(own) for name, own in self.holders.items()}
        self.number = {name: n for n, name in enumerate(self.holders)}
        self.queue = [(many, self.number[name], name) for name, many in self.left.items()]
        heapq.heapify(self.queue)

    def _wanted(self, name: Hashable, share: float) -> list[float]:
        """How many items training and the held-out side want: a unit at least, if they can."""
        many = [self.rows[unit][name] for unit in self.holders[name]]
        held = min(max(share * sum(many), min(many)), sum(many) - min(many))
        return [sum(many) - held, held]

    def put(self, unit: int, to: int) -> None:
        """A unit that was not placed on one side."""
        self.side[unit] = to
        self.room[to] -= self.sizes[unit]
        for name, many in self.rows[unit].items():
            self.wanted[name][to] -= many
            self.left[name] -= 1
            heapq.heappush(self.queue, (self.left[name], self.number[name], name))

    def place(self) -> None:
        """The rarest name that is left goes first, and of its units the largest.

        Each goes to the side that wants most of that name, or else most items.
        """
        while self.queue:  # an entry that is out of date finds its units placed
            name = heapq.heappop(self.queue)[2]
            own = self.holders[name] if self.left[name] else []
            many = np.array([self.rows[unit][name] for unit in own])
            for unit in (own[i] for i in np.argsort(-many, kind="stable")):
                if self.side[unit] < 0:
                    train, held = zip(self.wanted[name], self.room, strict=True)
                    self.put(unit, int(held > train))
        for unit in map(int, np.flatnonzero(self.side < 0)):
            self.put(unit, int(self.room[1] > self.room[0]))

    def mend(self) -> None:
        """Move a unit of each name that one side lacks, if the other keeps all that it has.

        What cannot be learned is worse than what cannot be measured: it trains anyhow.
        """
        here = {n: np.bincount(self.side[own], minlength=2) for n, own in self.holders.items()}
        for name, own in self.holders.items():
            at = int(self.side[own[0]])
            free = (u for u in own if all(here[other][at] > 1 for other in self.rows[u]))
            unit = None if here[name].all() else next(free, own[0] if at else None)
            if unit is not None:
                self.side[unit] = 1 - at
                for other in self.rows[unit]:
                    here[other] += [1, -1] if at else [-1, 1]
