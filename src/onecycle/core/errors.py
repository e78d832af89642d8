"""The tree of errors: each says what was found, what was wanted, where, and what to do."""

import warnings
from collections.abc import Iterable
from math import inf, nan
from numbers import Integral, Real
from typing import Any

_LONGEST = 200  # characters of a value in a message
_LONGEST_MESSAGE = 2000
# What a terminal obeys instead of showing it (but for the ends of lines), and what turns a line
# round: a name in a message could rewrite it.
_OBEYED = {
    i: f"\\x{i:02x}" if i < 256 else f"\\u{i:04x}"
    for first, last in (
        *((0, 8), (11, 31), (127, 159)),
        *((0x61C, 0x61C), (0x200E, 0x200F), (0x202A, 0x202E), (0x2066, 0x2069)),
    )
    for i in range(first, last + 1)
}


def plain_message(text: str) -> str:
    """A message that may quote a stranger's names: not too long, and shown as it is."""
    if len(text) > _LONGEST_MESSAGE:
        text = f"{text[: _LONGEST_MESSAGE - 300]} ... {text[-290:]}"
    return text.translate(_OBEYED)


class OnecycleError(Exception):
    """Anything that onecycle refuses, with a reason a user can act on."""

    def __init__(self, message: object = "") -> None:
        super().__init__(plain_message(str(message)))


class DataError(OnecycleError, ValueError):
    """Something is wrong with files, tables or labels."""


class EmptyDataError(DataError):
    """A list, a table or one side of a split has nothing in it."""


class TableError(DataError):
    """A CSV file or a frame cannot be used as it is."""


class LabelError(DataError):
    """A label is blank, unknown, or of the wrong kind."""


class ImageError(DataError):
    """An image is missing, damaged, too large or of an unknown format."""


class DamagedImageError(ImageError):
    """A file was read whole, and is a broken image or none at all."""


class SizeError(DataError):
    """Images (or an image and its mask) differ in size where they must not."""


class ArchiveError(DataError):
    """An archive is damaged, too large when unpacked, or wants to write where it must not."""


class DownloadError(OnecycleError, OSError):
    """A file cannot be fetched whole."""


class HubError(OnecycleError, OSError):
    """The Hugging Face Hub is out of reach, or does not have or take what was asked for."""


class WriteError(OnecycleError, OSError):
    """A file or folder cannot be written; `reason` is the system's."""

    def __init__(self, path: object, reason: str) -> None:
        super().__init__(
            f"{path} cannot be written ({reason}): choose a folder that you may write to, with room"
        )
        self.reason = reason


class UsageError(OnecycleError, ValueError):
    """A step was called with arguments that do not fit, or at the wrong time."""


class ModelError(OnecycleError, ValueError):
    """An architecture or a model file is unknown, damaged, or cannot be taken apart."""


class WeightsError(OnecycleError):
    """Pretrained or saved weights are missing, damaged, or of another model."""


class ExportError(ModelError):
    """A model cannot be exported, or its exported file answers otherwise than it does."""


class CheckpointError(WeightsError):
    """A saved learner cannot be written or read."""


class TrainingError(OnecycleError, RuntimeError):
    """Training cannot go on."""


class DivergedError(TrainingError):
    """The loss is no longer a number; the weights of the last good epoch are back."""


class OnecycleWarning(UserWarning):
    """Something is allowed but probably not meant."""


def warn(message: str, stacklevel: int = 1) -> None:
    """Give an OnecycleWarning; `stacklevel` counts as that of `warnings.warn`."""
    warnings.warn(plain_message(message), OnecycleWarning, stacklevel + 1)


def undefined(kind: object, member: str) -> NotImplementedError:
    """The error of a kind of one's own that neither defines nor inherits what is needed of it."""
    return NotImplementedError(
        f"{type(kind).__name__} has no {member}() of its own: define it, or inherit it from a kind "
        "that has it, such as ImageInput or Category"
    )


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= _LONGEST else f"{text[:120]} ... {text[-70:]}"


def listing(values: Iterable[object], limit: int = 5) -> str:
    """The first `limit` values as text, and how many more there are."""
    rows = list(values)
    first = [str(row) if isinstance(row, Integral) else repr(_short(row)) for row in rows[:limit]]
    shown = ", ".join(first)
    return shown + (f" and {len(rows) - limit} more" if len(rows) > limit else "")


# Arguments that are looked at before anything is done with them.


def require_whole(name: str, value: Any, least: int | None = 1) -> int:
    """`value` as an int; UsageError for what is no whole number from `least` on."""
    whole = isinstance(value, Integral) and not isinstance(value, bool)
    if not whole or (least is not None and value < least):
        bound = "" if least is None else f" from {least} on"
        raise UsageError(f"{name} is a whole number{bound}, not {value!r}")
    return int(value)


def require_number(name: str, value: Any, low: float = -inf, high: float = inf) -> float:
    """`value` as a finite float from `low` to `high`; UsageError for anything else."""
    number = float(value) if isinstance(value, Real) and not isinstance(value, bool) else nan
    if not low <= number <= high or abs(number) == inf:
        limits = f" from {low:g}" * (low > -inf) + f" to {high:g}" * (high < inf)
        raise UsageError(f"{name} is a number{limits}, not {value!r}")
    return number


def require_share(name: str, value: Any, what: str = "") -> float:
    """`value` as a float from 0 to below 1; UsageError for anything else, such as per cents."""
    if not isinstance(value, Real) or isinstance(value, bool) or not 0 <= float(value) < 1:
        meaning = f", the share of {what}," if what else ""
        raise UsageError(f"{name}{meaning} is a number from 0 to below 1, not {value!r}")
    return float(value)
