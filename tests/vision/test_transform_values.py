"""Numbers that no transform can do anything with are refused when it is made, not in a worker."""

import pytest

from onecycle.core.errors import UsageError
from onecycle.vision.augment import dihedral, rotate, skew, tilt


@pytest.mark.parametrize(
    "make",
    [
        lambda: dihedral(8),
        lambda: dihedral((0, 8)),
        lambda: dihedral(2.5),
        lambda: tilt(4, 0.2),
        lambda: tilt((-1, 3), 0.2),
        lambda: skew(8, 0.2),
        lambda: tilt(0, float("inf")),
        lambda: skew(0, (float("nan"), 0.1)),
        lambda: rotate(float("nan")),
        lambda: rotate((-5.0, float("inf"))),
    ],
)
def test_a_value_out_of_range_is_refused(make):
    with pytest.raises(UsageError, match=r"is (from 0 to \d|a finite number), not"):
        make()


def test_both_ends_of_the_range_are_taken():
    names = [dihedral((0, 7)).name, tilt((0, 3)).name, skew((0, 7)).name, rotate((-180, 180)).name]
    assert names == ["dihedral", "tilt", "skew", "rotate"]
