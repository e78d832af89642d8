"""Write tests/series/pyts_reference.npz: what pyts makes of a few series (it must be installed).

pyts takes half a minute to import, so the tests compare with this file instead.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pyts.approximation import PiecewiseAggregateApproximation
from pyts.image import GramianAngularField, MarkovTransitionField, RecurrencePlot


def main() -> None:
    """Random walks of three lengths, two of them no multiple of the size."""
    rng = np.random.default_rng(0)
    found = {}
    for t, size in ((48, 16), (50, 16), (37, 37)):
        x = rng.normal(size=(3, t)).cumsum(1)
        key = f"{t}_{size}"
        found[f"x_{key}"] = x
        for name in ("summation", "difference"):
            found[f"{name}_{key}"] = GramianAngularField(size, method=name).transform(x)
        found[f"mtf_{key}"] = MarkovTransitionField(size, n_bins=6).transform(x)
        small = PiecewiseAggregateApproximation(None, size, overlapping=False).transform(x)
        found[f"recurrence_{key}"] = RecurrencePlot().transform(small)
        found[f"states_{key}"] = RecurrencePlot(3, 2, threshold=1.0).transform(small)
    file = Path(__file__).parents[1] / "tests" / "series" / "pyts_reference.npz"
    np.savez_compressed(file, **found)


if __name__ == "__main__":
    main()
