"""Which series are changed, and which file's series validate."""

import numpy as np
import torch

from onecycle.data.databunch import DatasetType
from onecycle.series.lists import SeriesList

X = np.random.default_rng(0).normal(size=(12, 20)).cumsum(1)


def add(step):
    """A change that is easily seen."""
    return lambda x, rng: x + step * rng.integers(1, 9) * np.arange(x.shape[1])


def bunch(*changes, **options):
    items = SeriesList.from_array(X, ["a", "b"] * 6, by="train", encodings="gasf")
    labelled = items.split_by_idx([3, 5]).label_from_df().transform((list(changes), []), size=5)
    return labelled.databunch(bs=10, device="cpu", **options)


def test_training_is_changed_anew_in_every_epoch_and_validation_never():
    plain, data = bunch(), bunch(add(0.1), add(3.0))
    for side in (DatasetType.Valid, DatasetType.Fix):
        torch.testing.assert_close(data.one_batch(side)[0], plain.one_batch(side)[0])
        torch.testing.assert_close(data.one_batch(side)[0], data.one_batch(side)[0])
    first, second = (next(iter(data.train_dl)) for _ in range(2))
    again = next(iter(bunch(add(0.1), add(3.0)).train_dl))
    other = next(iter(bunch(add(0.1), add(3.0), seed=1).train_dl))
    torch.testing.assert_close(first, again)
    assert not torch.equal(first[0].sum(0), plain.one_batch()[0].sum(0))
    for x, _ in (second, other):
        assert not torch.allclose(x.sum(0), first[0].sum(0))  # whatever the order


def test_changes_come_one_after_the_other():
    data = bunch(lambda x, rng: x + 1, lambda x, rng: x * 10)
    raw = data.task.input.load(X[0], np.int64(0), data.task.target, np.random.default_rng(0)).x
    np.testing.assert_allclose(raw, (X[:1] + 1) * 10, rtol=1e-5)


def test_the_first_file_trains_and_the_others_validate(tmp_path):
    for n, name in enumerate(("a", "b", "c")):
        rows = [f"{i % 2},{n}.5,{i}.25,1" for i in range(n + 2)]
        (tmp_path / f"{name}.csv").write_text("\n".join(rows))
    files = [tmp_path / f"{name}.csv" for name in "bca"]
    sides = SeriesList.from_ts(*files).split_by_file()
    assert [x[0, 0] for x in sides.train.items] == [1.5] * 3
    assert [x[0, 0] for x in sides.valid.items] == [2.5] * 4 + [0.5] * 2
