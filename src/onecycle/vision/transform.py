"""What a random transform is: parameters are drawn, recorded, and then applied as they stand."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import exp, log
from typing import Any

import numpy as np

from onecycle.core.errors import UsageError
from onecycle.runtime.inputs.image import PADDING_MODES

Params = dict[str, Any]


@dataclass(frozen=True)
class Uniform:
    """Uniform between `low` and `high`; with `count` that many numbers."""

    low: float
    high: float
    count: int | None = None

    def __call__(self, rng: np.random.Generator) -> Any:
        return rng.uniform(self.low, self.high, self.count)


@dataclass(frozen=True)
class LogUniform:
    """Uniform on a logarithmic scale between `low` and `high`."""

    low: float
    high: float

    def __call__(self, rng: np.random.Generator) -> float:
        return exp(rng.uniform(log(self.low), log(self.high)))


@dataclass(frozen=True)
class Whole:
    """A whole number from `low` to `high`, both included."""

    low: int
    high: int

    def __call__(self, rng: np.random.Generator) -> int:
        return int(rng.integers(self.low, self.high + 1))


@dataclass(frozen=True)
class Always:
    """The same value every time; nothing is drawn."""

    value: Any

    def __call__(self, rng: np.random.Generator) -> Any:
        return self.value


@dataclass(frozen=True)
class Signed:
    """`value` or its negative, as often."""

    value: float

    def __call__(self, rng: np.random.Generator) -> float:
        return self.value if rng.random() < 0.5 else -self.value


Draw = Uniform | LogUniform | Whole | Always | Signed


def within(name: str, value: Any, low: float, high: float, ends: bool = True) -> Any:
    """A value or a (low, high) pair, if it lies from `low` to `high` (`ends`: both included)."""
    for number in value if isinstance(value, tuple | list) else (value,):
        if not (low <= number <= high if ends else low < number < high):
            limits = f"{low:g} to {high:g}" + ("" if ends else ", both excluded")
            raise UsageError(f"{name} lies from {limits}, not {value!r}")
    return value


def as_draw(value: Any, kind: type[Any] = Uniform, **options: Any) -> Draw:
    """A (low, high) pair as a draw of that kind; a single value as itself."""
    if isinstance(value, tuple | list):
        if len(value) != 2 or value[0] > value[1]:
            raise UsageError(f"a range is (low, high), not {value!r}")
        return kind(*value, **options)
    return Always(value)


@dataclass(frozen=True)
class Transform:
    """With probability `p`, draw each of `draws` and do what the subclass does with them."""

    name: str
    draws: Mapping[str, Draw] = field(default_factory=dict)
    p: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.p <= 1:
            raise UsageError(f"{self.name}: p is a probability, not {self.p}")

    @property
    def constants(self) -> Params:
        """The parameters that are the same every time."""
        return {name: draw.value for name, draw in self.draws.items() if isinstance(draw, Always)}

    def draw(self, rng: np.random.Generator) -> Params | None:
        """The parameters for one sample, or None where the transform rests."""
        if self.p < 1 and rng.random() >= self.p:
            return None
        return {name: draw(rng) for name, draw in self.draws.items()}

    def draw_all(self, rng: np.random.Generator) -> list[tuple["Transform", Params]]:
        """What acts on one sample, each with its parameters: this one, or those it chooses."""
        params = self.draw(rng)
        return [] if params is None else [(self, params)]


@dataclass(frozen=True)
class Geometric(Transform):
    """`matrix(h, w, **params)` says where each pixel of an (h, w) window looks."""

    matrix: Callable[..., np.ndarray] = field(kw_only=True)


@dataclass(frozen=True)
class Lighting(Transform):
    """`logits(**params)` gives (factor, summand) for the logits of all pixel values."""

    logits: Callable[..., tuple[float, float]] = field(kw_only=True)


@dataclass(frozen=True)
class Choice(Transform):
    """Draws `which` of `among` acts, `count` times; the same one may come again."""

    among: tuple[Transform, ...] = field(kw_only=True)
    count: int = field(default=1, kw_only=True)

    def draw_all(self, rng: np.random.Generator) -> list[tuple[Transform, Params]]:
        drawn = [self.draw(rng) for _ in range(self.count)]
        return [pair for d in drawn if d for pair in self.among[d["which"]].draw_all(rng)]


@dataclass(frozen=True)
class Crop(Transform):
    """Draws `row_pct` and `col_pct`: where in the room that resizing leaves the window sits.

    `size` (h, w) is used where `transform()` names no size; `padding` adds room on every side.
    """

    size: tuple[int, int] | None = field(default=None, kw_only=True)
    padding: int = field(default=0, kw_only=True)
    padding_mode: str | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.padding_mode not in (None, *PADDING_MODES):
            modes = ", ".join(PADDING_MODES)
            raise UsageError(f"{self.name}: the mode is one of {modes}, not {self.padding_mode!r}")
        if self.padding < 0:
            raise UsageError(f"{self.name}: padding is 0 or more pixels, not {self.padding}")


@dataclass(frozen=True)
class Pixels(Transform):
    """`change(pixels, rng, **params)` edits an (h, w, 3) uint8 array after the warp."""

    change: Callable[..., np.ndarray] = field(kw_only=True)


@dataclass(frozen=True)
class Foreign(Transform):
    """Any callable on torchvision's typed tensors (its v2 transforms), run last.

    One that does not move labels is refused where these lie on the image.
    """

    call: Callable[..., Any] = field(kw_only=True)
    moves_labels: bool = field(default=True, kw_only=True)


def as_transform(tfm: Any) -> Transform:
    """Our transforms as they are, anything else that can be called as a foreign one."""
    if isinstance(tfm, Transform):
        return tfm
    if isinstance(tfm, type):
        raise UsageError(f"a transform is wanted, not its class: {tfm.__name__}(...)")
    if callable(tfm) and not str(getattr(tfm, "__module__", "")).startswith("onecycle."):
        return Foreign(getattr(tfm, "__name__", type(tfm).__name__), call=tfm)
    raise UsageError(f"a transform is made by a function such as rotate(...), not {tfm!r}")


def flatten(tfms: Sequence[Any]) -> tuple[Transform, ...]:
    """Lists within the list (rand_pad and others return lists) laid flat."""
    flat: list[Transform] = []
    for tfm in tfms:
        flat += flatten(tfm) if isinstance(tfm, list | tuple) else [as_transform(tfm)]
    return tuple(flat)
