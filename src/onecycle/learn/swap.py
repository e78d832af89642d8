"""Other data for a learner: may it take the place of the data that the learner was made for?"""

from __future__ import annotations

from warnings import warn

from onecycle.core.errors import OnecycleWarning, UsageError
from onecycle.data.task import Task


def check_swap(ours: Task, theirs: Task) -> None:
    """Raise where the answers differ (other classes, another width), warn of other statistics."""
    old, new = ours.target.to_json(), theirs.target.to_json()
    differ = [k for k in old if k != "thresh" and old[k] != new.get(k)]
    if differ:
        raise UsageError(
            f"the other data has other answers: {differ[0]} is {new.get(differ[0])}, this "
            f"learner was made for {old[differ[0]]}"
        )
    before, after = (getattr(task.input, "mean", None) for task in (ours, theirs))
    if before != after:
        warn(
            f"the other data is normalised by the mean {after}, this learner's was by {before}: "
            "call normalize() on it with the same statistics",
            OnecycleWarning,
            stacklevel=3,
        )
