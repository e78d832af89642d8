"""Images of series against the papers' formulas, written out with loops in float64."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch

from onecycle.core.errors import UsageError
from onecycle.series.encode import aggregate, gadf, gasf, gramian, mtf, recurrence, to_unit
from onecycle.series.input import SeriesInput

X = np.random.default_rng(5).normal(size=(3, 17)).cumsum(1)
SIZES = [None, 17, 8, 5, 1]


def means(row, size):
    """The mean of `size` neighbouring parts, which differ by one step at most."""
    if size is None:
        return list(row)
    bounds = [i * len(row) // size for i in range(size + 1)]
    return [sum(row[a:b]) / (b - a) for a, b in pairwise(bounds)]


def angles(row, size):
    """The arc cosines of the values on [-1, 1]."""
    row = means(row, size)
    low, high = min(row), max(row)
    if high == low:
        return [math.acos(0)] * len(row)
    return [math.acos(max(-1, min(1, (2 * v - low - high) / (high - low)))) for v in row]


def markov(row, size, bins):
    """How often a quantile's bin is followed by another's, for each pair of steps, and means."""
    borders = np.quantile(row, [i / bins for i in range(1, bins)])
    inside = [sum(v > border for border in borders) for v in row]
    counts = [[0] * bins for _ in range(bins)]
    for now, then in pairwise(inside):
        counts[now][then] += 1
    share = [[n / max(1, sum(line)) for n in line] for line in counts]
    field = np.array([[share[a][b] for b in inside] for a in inside])
    if size is None:
        return field
    edges = [i * len(row) // size for i in range(size + 1)]
    parts = list(pairwise(edges))
    return np.array([[field[a:b, c:d].mean() for c, d in parts] for a, b in parts])


def distances(row, size, dimension, delay):
    """Between all states of `dimension` values, `delay` steps apart."""
    row = means(row, size)
    count = len(row) - (dimension - 1) * delay
    states = [[row[i + k * delay] for k in range(dimension)] for i in range(count)]
    return np.array([[math.dist(a, b) for b in states] for a in states])


@pytest.mark.parametrize("size", SIZES)
def test_gramian_fields_are_sums_and_differences_of_angles(size):
    for row, sums, differences in zip(X, gasf(X, size), gadf(X, size), strict=True):
        a = angles(row, size)
        wanted = [[math.cos(p + q) for q in a] for p in a]
        np.testing.assert_allclose(sums, wanted, atol=1e-12)
        wanted = [[math.sin(p - q) for q in a] for p in a]
        np.testing.assert_allclose(differences, wanted, atol=1e-12)


def test_without_rescaling_values_count_as_they_are_and_are_cut():
    row = [0.5, -2.0, 1.0, -0.25]
    a = [math.acos(v) for v in (0.5, -1.0, 1.0, -0.25)]
    wanted = [[math.cos(p + q) for q in a] for p in a]
    np.testing.assert_allclose(
        gramian(torch.tensor(row).double(), rescale=False), wanted, atol=1e-9
    )
    assert not torch.allclose(gasf([row]), gasf([row], rescale=False))


@pytest.mark.parametrize("bins", [2, 3, 7])
@pytest.mark.parametrize("size", SIZES)
def test_transition_fields_are_those_of_each_pair_of_steps(size, bins):
    for row, found in zip(X, mtf(X, size, bins), strict=True):
        np.testing.assert_allclose(found, markov(row, size, bins), atol=1e-12)


@pytest.mark.parametrize(("dimension", "delay"), [(1, 1), (2, 1), (3, 2), (2, 5)])
@pytest.mark.parametrize("size", [None, 17, 8])
def test_recurrence_is_the_distance_of_states(size, dimension, delay):
    for row, found in zip(X, recurrence(X, size, dimension, delay), strict=True):
        wanted = distances(row, size, dimension, delay)
        np.testing.assert_allclose(found, wanted, atol=1e-12)
        limit = float(np.median(wanted)) * 1.001  # between two distances
        near = recurrence(row, size, dimension, delay, threshold=limit)
        assert near.tolist() == (wanted <= limit).astype(float).tolist()


def test_a_state_exactly_as_far_as_the_threshold_is_near():
    assert recurrence([0.0, 2.0, 3.0], threshold=2.0).tolist() == [[1, 1, 0], [1, 1, 1], [0, 1, 1]]


def test_means_are_of_neighbouring_parts():
    for size in (1, 3, 5, 16, 17):
        found = aggregate(torch.from_numpy(X), size)
        np.testing.assert_allclose(found, [means(row, size) for row in X], atol=1e-12)


def test_a_series_lies_between_minus_one_and_one_and_a_constant_one_at_zero():
    x = torch.tensor([[3.0, 5.0, 4.5], [7.0, 7.0, 7.0]])
    assert to_unit(x).tolist() == [[-1, 1, 0.5], [0, 0, 0]]


# --- the input ------------------------------------------------------------------------------------


def given(**options):
    return SeriesInput(**{"pixels": 4, "length": 6, "bins": 3, **options})


def batch(channels=1, seed=0):
    rng = torch.Generator().manual_seed(seed)
    return torch.randn(2, channels, 6, generator=rng, dtype=torch.float64).cumsum(-1)


@pytest.mark.parametrize("scale", ["minmax", "zscore"])
def test_a_series_is_scaled_by_itself_or_by_the_training_set(scale):
    x = batch(2)
    own = given(scale=scale, channels=2).rescale(x)
    messages = given(
        scale=scale, channels=2, by="train", low=(-1.0, 2.0), high=(3.0, 4.0),
        centre=(0.5, -2.0), spread=(2.0, 4.0),
    ).rescale(x)  # fmt: skip
    for n in range(2):
        for c in range(2):
            row = x[n, c].numpy()
            if scale == "minmax":
                wanted = 2 * (row - row.min()) / (row.max() - row.min()) - 1
                by_train = 2 * (row - (-1, 2)[c]) / (4, 2)[c] - 1
            else:
                wanted = (row - row.mean()) / row.std()
                by_train = (row - (0.5, -2.0)[c]) / (2, 4)[c]
            np.testing.assert_allclose(own[n, c], wanted, atol=1e-12)
            np.testing.assert_allclose(messages[n, c], by_train, atol=1e-12)


@pytest.mark.parametrize("names", [("gasf",), ("gadf", "mtf"), ("recurrence", "gasf", "mtf")])
def test_each_encoding_is_a_plane_and_what_is_missing_is_a_copy_or_the_mean(names):
    x = batch()
    made = {
        "gasf": gasf(x[:, 0], 4),
        "gadf": gadf(x[:, 0], 4),
        "mtf": 2 * mtf(x[:, 0], 4, 3) - 1,
        "recurrence": torch.stack([1 - 2 * far / far.max() for far in recurrence(x[:, 0], 4)]),
    }
    planes = [made[name] for name in names]
    if len(planes) == 1:
        planes *= 3
    elif len(planes) == 2:
        planes.append((planes[0] + planes[1]) / 2)
    found = given(encodings=names).prepare(x)
    torch.testing.assert_close(found, torch.stack(planes, 1), atol=1e-9, rtol=0)


def test_three_channels_fill_a_square_from_the_left_and_the_last_place_is_empty():
    x = batch(3)
    found = given(encodings=("gasf", "gadf", "mtf"), channels=3).prepare(x)
    one = given(encodings=("gasf", "gadf", "mtf"))
    assert found.shape == (2, 3, 8, 8)
    for c, (row, column) in enumerate(((0, 0), (0, 4), (4, 0))):
        wanted = one.prepare(x[:, c : c + 1])
        torch.testing.assert_close(found[..., row : row + 4, column : column + 4], wanted)
    assert not found[..., 4:, 4:].any()


def test_planes_are_channel_by_channel_and_encoding_by_encoding():
    x = batch(2)
    options = {"encodings": ("gadf", "mtf"), "layout": "planes"}
    found = given(**options, channels=2).prepare(x)
    assert found.shape == (2, 4, 4, 4)
    for c in range(2):
        torch.testing.assert_close(found[:, 2 * c], gadf(x[:, c], 4), atol=1e-9, rtol=0)
        torch.testing.assert_close(found[:, 2 * c + 1], 2 * mtf(x[:, c], 4, 3) - 1)


@pytest.mark.parametrize(("length", "t"), [(6, 6), (7, 4), (4, 7), (2, 5), (11, 3)])
def test_other_lengths_are_stretched_by_straight_lines(length, t):
    x = np.random.default_rng(1).normal(size=(2, t)).astype(np.float32)
    found = given(length=length, pixels=2).stretch(x)
    places = [i * (t - 1) / (length - 1) for i in range(length)]
    wanted = [np.interp(places, range(t), row) for row in x]
    np.testing.assert_allclose(found, wanted, atol=1e-6)


@pytest.mark.parametrize("encode", [gasf, gadf, mtf, recurrence])
@pytest.mark.parametrize("wrong", ["abc", ["a"], 3.0, np.zeros((2, 9), complex), None])
def test_what_is_no_series_of_real_numbers_is_refused(encode, wrong):
    with pytest.raises(UsageError, match="series are"):
        encode(wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda x: gasf(x, 2.5),
        lambda x: mtf(x, "8"),
        lambda x: mtf(x, 4, 2.5),
        lambda x: mtf(x, 4, 1),
        lambda x: mtf(x[:, :1]),
        lambda x: recurrence(x, None, 0),
        lambda x: recurrence(x, None, 2, 1.5),
        lambda x: recurrence(x, None, 1, 1, -0.1),
        lambda x: recurrence(x, None, 1, 1, "a"),
    ],
)
def test_sizes_bins_and_states_are_whole_numbers(wrong):
    with pytest.raises(UsageError):
        wrong(torch.from_numpy(X))
