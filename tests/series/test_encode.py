"""Fields against what pyts made of the same series (scripts/pyts_reference.py)."""

from pathlib import Path

import numpy as np
import pytest
import torch

from onecycle.core.errors import UsageError
from onecycle.series.encode import gadf, gasf, mtf, recurrence

FILE = Path(__file__).with_name("pyts_reference.npz")


@pytest.fixture(scope="module")
def stored():
    with np.load(FILE, allow_pickle=False) as found:
        return dict(found)


@pytest.mark.parametrize("key", ["48_16", "50_16", "37_37"])
@pytest.mark.parametrize(
    ("name", "encode"),
    [
        ("summation", gasf),
        ("difference", gadf),
        ("mtf", lambda x, size: mtf(x, size, bins=6)),
        ("recurrence", recurrence),
        ("states", lambda x, size: recurrence(x, size, 3, 2, threshold=1.0)),
    ],
)
def test_fields_are_those_of_pyts(stored, name, encode, key):
    x = torch.from_numpy(stored[f"x_{key}"])
    got = encode(x, int(key.partition("_")[2]))
    np.testing.assert_allclose(got.numpy(), stored[f"{name}_{key}"], atol=1e-6)


@pytest.mark.parametrize("encode", [gasf, gadf, mtf, recurrence])
def test_constant_series_give_finite_images(encode):
    assert encode(torch.full((2, 3, 20), 7.0), 5).isfinite().all()


@pytest.mark.parametrize("encode", [gasf, gadf, mtf, recurrence])
def test_a_gap_never_becomes_a_number(encode):
    x = torch.randn(2, 20, generator=torch.manual_seed(0))
    x[1, 7] = float("nan")
    fields = encode(x, 10)
    assert fields[0].isfinite().all()
    assert fields[1, 3].isnan().all()


@pytest.mark.parametrize("encode", [gasf, gadf, mtf, recurrence])
def test_channels_are_encoded_one_by_one(encode):
    x = torch.randn(2, 3, 20, generator=torch.manual_seed(0))
    torch.testing.assert_close(encode(x, 6)[1, 2], encode(x[1, 2][None], 6)[0])


@pytest.mark.parametrize("encode", [gasf, gadf, mtf, recurrence])
def test_a_series_shorter_than_the_image_is_refused(encode):
    with pytest.raises(UsageError, match="4 steps"):
        encode(torch.zeros(1, 4), 5)


def test_states_that_do_not_fit_are_refused():
    with pytest.raises(UsageError, match="no states"):
        recurrence(torch.zeros(1, 4), dimension=3, delay=2)


@pytest.mark.parametrize("encode", [gasf, gadf, mtf, recurrence])
def test_whole_numbers_and_numpys_arrays_are_encoded(encode):
    x = np.random.default_rng(0).integers(0, 9, (3, 20))
    torch.testing.assert_close(encode(x, 5), encode(torch.tensor(x, dtype=torch.float32), 5))
