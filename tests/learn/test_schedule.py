"""The schedules, against values worked out by hand from the course's definition."""

from math import inf, nan

import pytest

from onecycle.core.errors import UsageError
from onecycle.learn.callbacks import OneCycle
from onecycle.learn.optimizer import cosine, exponential, one_cycle, rates_by_group

EXACT = {"rel": 0, "abs": 1e-9}


def test_a_cosine_is_at_the_quarters_where_paper_says():
    """cos(pi/3) = 1/2 and cos(2 pi/3) = -1/2, so a third of the way covers a quarter."""
    assert cosine(2.0, 10.0, 0) == pytest.approx(2.0, **EXACT)
    assert cosine(2.0, 10.0, 1 / 3) == pytest.approx(4.0, **EXACT)
    assert cosine(2.0, 10.0, 2 / 3) == pytest.approx(8.0, **EXACT)
    assert cosine(2.0, 10.0, 1) == pytest.approx(10.0, **EXACT)


def test_an_exponential_multiplies_by_the_same_factor_at_every_step():
    assert exponential(1e-7, 10, 0.25) == pytest.approx(1e-5, rel=1e-9)
    assert exponential(1e-7, 10, 0.5) == pytest.approx(1e-3, rel=1e-9)
    assert exponential(1e-7, 10, 0.75) == pytest.approx(1e-1, rel=1e-9)


def test_one_cycle_of_ten_steps_by_hand():
    """Phase 1 has int(.3 * 10) = 3 steps, phase 2 the other 7; the peak is at step 3."""
    ends = (0.04, 1.0, 0.00001)
    rates = [one_cycle(step, 10, ends) for step in range(10)]
    falling = [  # (cos(k pi / 7) + 1) / 2 for k = 0..6
        1.0,
        0.950484433951209,
        0.811744900929367,
        0.611260466978157,
        0.388739533021843,
        0.188255099070633,
        0.049515566048790,
    ]
    wanted = [0.04, 0.04 + 0.25 * 0.96, 0.04 + 0.75 * 0.96]
    wanted += [0.00001 + 0.99999 * share for share in falling]
    assert rates == pytest.approx(wanted, **EXACT)


def test_the_first_phase_is_rounded_down():
    """int(.3 * 11) = 3 and int(.9 * 11) = 9."""
    assert one_cycle(3, 11, (0.04, 1.0, 0.0)) == 1.0
    assert one_cycle(9, 11, (0.04, 1.0, 0.0), 0.9) == 1.0
    assert one_cycle(8, 11, (0.04, 1.0, 0.0), 0.9) < 1.0


def test_momentum_goes_down_while_the_rate_goes_up():
    moms = [one_cycle(step, 10, (0.95, 0.85, 0.95)) for step in range(10)]
    assert moms[:4] == pytest.approx([0.95, 0.925, 0.875, 0.85], **EXACT)
    assert moms[9] == pytest.approx(0.95 - 0.1 * 0.049515566048790, **EXACT)


def test_a_cycle_too_short_for_a_first_phase_starts_at_the_peak():
    assert [one_cycle(s, 2, (0.04, 1.0, 0.0)) for s in range(2)] == pytest.approx([1.0, 0.5])


def test_a_cycle_without_a_second_phase_only_climbs():
    assert [one_cycle(s, 3, (0.0, 1.0, 0.0), 1.0) for s in range(3)] == pytest.approx(
        [0, 0.25, 0.75]
    )


def test_a_number_is_every_groups_rate():
    assert rates_by_group(3e-3, 3) == [3e-3, 3e-3, 3e-3]


def test_a_slice_with_one_end_gives_a_tenth_to_all_groups_but_the_last():
    assert rates_by_group(slice(3e-3), 3) == pytest.approx([3e-4, 3e-4, 3e-3], **EXACT)
    assert rates_by_group(slice(3e-3), 1) == [3e-3]


def test_a_slice_with_two_ends_is_geometric_over_the_groups():
    assert rates_by_group(slice(1e-6, 1e-4), 3) == pytest.approx([1e-6, 1e-5, 1e-4], rel=1e-9)
    assert rates_by_group(slice(2e-5, 16e-5), 4) == pytest.approx(
        [2e-5, 4e-5, 8e-5, 16e-5], rel=1e-9
    )


def test_a_list_gives_each_group_its_own_rate():
    assert rates_by_group([1e-5, 1e-3, 1e-4], 3) == [1e-5, 1e-3, 1e-4]
    with pytest.raises(UsageError, match="2 learning rates for 3 layer groups"):
        rates_by_group([1e-5, 1e-4], 3)


@pytest.mark.parametrize("rate", [0, -1e-3, nan, inf, slice(0, 1e-3), slice(-1e-3), [1e-3, 0, 1]])
def test_a_rate_that_is_not_a_finite_number_above_zero_is_refused(rate):
    with pytest.raises(UsageError, match="above 0"):
        rates_by_group(rate, 3)


@pytest.mark.parametrize("rate", ["fast", None, slice(None), slice("a", "b")])
def test_a_rate_that_is_no_number_at_all_is_refused(rate):
    with pytest.raises(UsageError, match="learning rate"):
        rates_by_group(rate, 3)


@pytest.mark.parametrize("share", [-0.1, 1.5])
def test_a_first_phase_outside_the_cycle_is_refused(share):
    with pytest.raises(UsageError, match="pct_start"):
        OneCycle([0.1], (0.95, 0.85), 25, share, 1e5)
