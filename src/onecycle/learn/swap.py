"""Other data for a learner: may it take the place of the data that the learner was made for?"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any
from warnings import warn

from onecycle.core.errors import OnecycleWarning, UsageError
from onecycle.data.task import Task
from onecycle.spec.plain import Plain

_LONG = 60  # characters of a value in a message


def check_swap(ours: Task, theirs: Task) -> None:
    """Raise where the answers differ (other classes, another width), warn of other statistics."""
    old, new = ours.target.to_json(), theirs.target.to_json()
    differ = [k for k in old | new if k != "thresh" and old.get(k) != new.get(k)]
    if differ:
        raise UsageError(
            f"the other data has other answers: {differ[0]} is {new.get(differ[0])}, this "
            f"learner was made for {old.get(differ[0])}"
        )
    # Another size is what data is swapped for.
    without = ("size", "window", "vocab")
    found = different(ours.input.to_json(), theirs.input.to_json(), ours.input, without)
    if found:
        warn(
            f"the other data is normalised or resized otherwise than this learner's: "
            f"{'; '.join(found)}. Make it in the same way: normalize() with the same statistics, "
            "transform() with the same ways of resizing",
            OnecycleWarning,
            stacklevel=3,
        )


def different(
    old: Mapping[str, Any],
    new: Mapping[str, Any],
    spec: Any,
    without: Collection[str] = (),
    only: Collection[str] | None = None,
) -> list[str]:
    """What differs between two specs as JSON, in words.

    Fields that one does not know are none, but for those that the `spec` of either leaves out at
    their default.
    """
    known = spec.left_out() if isinstance(spec, Plain) else {}
    new = json.loads(json.dumps({**known, **new}, default=str))
    old = json.loads(json.dumps({**known, **old}, default=str))
    return [
        f"{name} was {_short(old[name])}, here it is {_short(new[name])}"
        for name in old
        if name in new
        and name not in without
        and (only is None or name in only)
        and old[name] != new[name]
    ]


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= _LONG else f"{text[:_LONG]}..."
