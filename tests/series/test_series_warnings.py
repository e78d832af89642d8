"""What is stretched, filled or guessed of series and arrays is counted, or refused."""

import warnings

import numpy as np
import pandas as pd
import pytest
import torch

from onecycle.core.errors import DataError, ModelError, OnecycleWarning, TableError, UsageError
from onecycle.data.arrays import TensorList, from_arrays
from onecycle.models.head import mlp
from onecycle.series.encode import jitter, scaling, window_warp
from onecycle.series.lists import SeriesList

X = np.random.default_rng(0).normal(size=(12, 20)).cumsum(1)
Y = ["a", "b", "b"] * 4


def reported(make):
    """What is warned of, and what is made."""
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        made = make()
    assert all(issubclass(w.category, OnecycleWarning) for w in found)
    return [str(w.message) for w in found], made


def bunch(x=X, y=Y, **options):
    items = SeriesList.from_array(x, y, **options).split_by_idx([0, 1, 2])
    return items.label_from_df().transform(None, size=4).databunch(bs=3, device="cpu")


def test_series_of_other_lengths_are_counted_unless_their_length_was_asked_for():
    """The three that validate have 15 steps, one that trains has 12 and the others 20."""
    rows = [row[:15] if i < 3 else row[:12] if i == 7 else row for i, row in enumerate(X)]
    messages, data = reported(lambda: bunch(rows))
    (message,) = messages
    assert message.startswith("4 of 12 series have 12 to 15 steps and are stretched to the 20 of")
    assert data.task.input.length == 20
    assert reported(lambda: bunch(rows, length=20))[0] == []
    longer = [*X[:2], np.arange(31.0), *X[3:]]  # of those that validate
    assert reported(lambda: bunch(longer))[0][0].startswith("1 of 12 series have 31 steps and are")


def test_gaps_are_counted_with_their_series():
    x = X.copy()
    x[4, 3:6] = x[9, 0] = np.nan
    messages, _ = reported(lambda: bunch(x))
    (message,) = messages
    assert message.startswith("4 gaps in 2 of 12 series (4, 9) are filled by straight lines")
    frame = pd.DataFrame(x, index=[f"p{i}" for i in range(12)]).assign(label=Y)
    messages, _ = reported(lambda: SeriesList.from_df(frame))
    assert messages[0].startswith("4 gaps in 2 of 12 series ('p4', 'p9') are")
    x[2, 18:] = np.nan  # at the end: that series is shorter
    messages, _ = reported(lambda: bunch(x))
    assert [message[:16] for message in messages] == ["4 gaps in 2 of 1", "1 of 12 series h"]
    assert reported(bunch)[0] == []


def test_arrays_with_the_steps_first_are_counted():
    turned = X.reshape(12, 20, 1).repeat(3, 2)
    messages, made = reported(lambda: SeriesList.from_array(turned, Y))
    assert made.items[0].shape == (20, 3)
    assert messages[0].startswith("12 of 12 series have more channels than steps (20 and 3)")
    assert reported(lambda: SeriesList.from_array(turned.transpose(0, 2, 1), Y))[0] == []
    assert reported(lambda: SeriesList.from_array(X, Y))[0] == []


@pytest.mark.parametrize(
    ("options", "messages"),
    [
        ({"bins": 5, "encodings": "gasf"}, "bins are those of the encoding 'mtf'"),
        ({"scale": "zscore", "encodings": "mtf"}, "scale has no effect on 'mtf'"),
        ({"by": "train", "encodings": ["mtf"]}, "by has no effect on 'mtf'"),
        ({"encodings": ["gasf", "gasf"]}, "encodings are 1 to 3 of"),
    ],
)
def test_options_without_effect_are_refused(options, messages):
    with pytest.raises(UsageError, match=messages):
        SeriesList.from_array(X, Y, **options)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"bins": 5}, {"bins": 9}),
        ({"scale": "zscore", "encodings": ["gasf", "mtf"]}, {"encodings": ["gasf", "mtf"]}),
        ({"length": 12}, {}),
        ({"layout": "planes"}, {"layout": "grid"}),
        ({"by": "train"}, {}),
        ({"encodings": "gasf"}, {"encodings": "gadf"}),
    ],
)
def test_each_option_shows_and_two_lists_need_the_same(first, second):
    lists = [SeriesList.from_array(X, Y, **options) for options in (first, second)]
    with pytest.raises(UsageError, match=f"other options: {next(iter(first))} is"):
        lists[0].split_by_list(*lists)
    with pytest.raises(UsageError, match="other options"):
        lists[0].add(lists[1])
    images = []
    for options in (first, second):
        given = bunch(np.repeat(X[:, None], 2, 1) * [[1], [-3]], **options).task.input
        x = torch.from_numpy(given.stretch(np.float32([X[5], X[6]])))[None]
        images.append(given.prepare(x))
    assert images[0].shape != images[1].shape or not torch.allclose(*images, atol=1e-3)
    assert len(lists[0].add(lists[0])) == 24
    assert len(lists[0].split_by_list(lists[0], lists[0]).train) == 12
    with pytest.raises(UsageError):
        lists[0].add(TensorList.from_arrays(X))


@pytest.mark.parametrize("names", [range(20), [f"t{i}" for i in range(20)]])
def test_a_column_without_a_number_among_numbered_ones_is_no_step(names, tmp_path):
    frame = pd.DataFrame(X, columns=list(names)).assign(label=Y)
    assert len(SeriesList.from_df(frame).items[0]) == 20
    for name in ("age", "subject", "y", "2nd reading"):
        wide = frame.assign(**{name: np.arange(12)})
        wide.to_csv(tmp_path / "t.csv", index=False)
        for read in (
            lambda wide=wide: SeriesList.from_df(wide),
            lambda: SeriesList.from_csv(tmp_path, "t.csv"),
        ):
            with pytest.raises(TableError, match=f"column '{name}' seems to be no step"):
                read()
        assert len(SeriesList.from_df(wide, cols=[*names, name]).items[0]) == 21
    words = pd.DataFrame(X[:, :4], columns=["monday", "tuesday", "wednesday", "thursday"])
    assert len(SeriesList.from_df(words, label_col=None).items[0]) == 4


def read(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    return SeriesList.from_ts(tmp_path / name)


def test_a_channel_is_not_taken_for_a_label(tmp_path):
    body = "@data\n1,2,3:4,5,6\n7,8,9:1,2,3\n"
    with pytest.raises(TableError, match=r"line 2: '4,5,6' comes last and looks like values"):
        read(tmp_path, "a.ts", body)
    items = read(tmp_path, "a.ts", "@classLabel false\n" + body)
    assert items.items[1].tolist() == [[7, 8, 9], [1, 2, 3]]
    assert read(tmp_path, "a.ts", "@data\n1,2,3:up\n4,5,6:down\n").frame.label.iloc[0] == "up"


@pytest.mark.parametrize("header", ["label,0,1,2,3", "9,1,2,3,4"])
def test_a_row_of_names_is_no_series(tmp_path, header):
    rows = "".join(f"{i % 2},{i + 0.5},{i * 0.1},{i},2\n" for i in range(6))
    with pytest.raises(TableError, match=r"a\.csv, line 1: this seems to be a row of names"):
        read(tmp_path, "a.csv", f"{header}\n{rows}")
    assert len(read(tmp_path, "a.csv", f"0,0,1,2,3\n{rows}")) == 7


def test_labels_at_the_end_of_the_lines_are_noticed(tmp_path):
    def lines(*order):
        rows = [[f"{row[0]:.3f}", f"{row[1]:.3f}", str(i % 3)] for i, row in enumerate(X)]
        return "".join("\t".join(row[k] for k in order) + "\n" for row in rows)

    with pytest.raises(TableError, match="the labels seem to come last"):
        read(tmp_path, "a.tsv", lines(0, 1, 2))
    assert len(read(tmp_path, "a.tsv", lines(2, 0, 1))) == 12
    real = "".join(f"{v[0]:.3f},{v[1]:.3f},{v[2]:.3f}\n" for v in X)  # numbers to be met
    assert len(read(tmp_path, "b.csv", real)) == 12
    with pytest.raises(UsageError, match="named twice"):
        SeriesList.from_ts(tmp_path / "b.csv", tmp_path / "." / "b.csv")


@pytest.mark.parametrize(
    "x",
    [X + 1j, X.astype("M8[s]"), X.astype("m8[s]"), torch.complex(*2 * [torch.from_numpy(X)])],
)
def test_complex_numbers_and_times_are_no_numbers(x):
    with pytest.raises(
        DataError, match=r"series 0 holds (complex numbers|times) \((complex|time|date)"
    ):
        SeriesList.from_array(x, Y)
    for rows in (x, x[:, 0]):
        with pytest.raises(DataError, match=r"array 0 holds (complex numbers|times) \("):
            from_arrays(rows, Y, bs=2)


def test_a_change_of_nothing_changes_nothing_and_a_larger_one_more():
    rng = np.random.default_rng
    x = np.stack([X[0], X[1] * 5])
    for make in (jitter, scaling, window_warp):
        assert np.array_equal(make(0.0)(x, rng(0)), x)
        sizes = [np.abs(make(share)(x, rng(0)) - x).mean() for share in (0.05, 0.4)]
        assert 0 < sizes[0] < sizes[1]
    noise = jitter(0.5)(np.tile(x, 200), rng(1)) - np.tile(x, 200)
    assert noise.std(1) == pytest.approx(0.5 * x.std(1), rel=0.05)
    factors = np.array([(scaling(0.2)(x, rng(i)) / x).mean(1) for i in range(2000)])
    assert factors.mean() == pytest.approx(1, abs=0.02)
    assert factors.std() == pytest.approx(0.2, rel=0.05)
    assert abs(np.corrcoef(factors.T)[0, 1]) < 0.1  # each channel has its own
    slow, fast = (window_warp(0.25, stretch)(X[:1], rng(3)) for stretch in (1.0, 3.0))
    np.testing.assert_allclose(slow, X[:1], atol=1e-12)
    assert (fast[0, 0], fast[0, -1]) == (X[0, 0], X[0, -1])
    assert not np.allclose(fast, X[:1])


# --- arrays ---------------------------------------------------------------------------------------


def test_statistics_that_cannot_divide_are_refused():
    data = from_arrays(X[:, :3], Y, bs=2)
    for wrong in ((0, 0), (0, -1), ([0, 0, 0], [1, 1, 0])):
        with pytest.raises(UsageError, match="standard deviations are above 0"):
            data.normalize(wrong)
    flat = X[:, :3].copy()
    flat[:, 1] = 7
    x = from_arrays(flat, Y, bs=2).normalize().task.input
    mean, std = np.float32(flat[[i for i in range(12) if i % 5 != 4]]).mean(0), 1.0
    assert x.mean == pytest.approx(mean.tolist(), rel=1e-5)
    assert x.std[1] == std


def test_arrays_take_no_size_and_no_numbers_too_large():
    data = from_arrays(X, Y, bs=2)
    for wrong in ({"size": 32}, {"tfms": ([], [])}, {"tfm_y": True}, {"resize_method": "crop"}):
        with pytest.raises(UsageError, match="arrays have no transforms"):
            data.src.transform(**wrong)
    with pytest.raises(DataError, match="infinite values"):
        from_arrays(X * 1e300, Y, bs=2)


def test_every_fifth_row_validates_and_the_others_train():
    x = np.arange(23.0)[:, None]
    data = from_arrays(x, ["a", "b"] * 11 + ["a"], bs=2)
    assert [float(v[0]) for v in data.valid_ds.items] == [4, 9, 14, 19]
    assert len(data.train_ds) == 19
    given = from_arrays(x[:3], ["a", "b", "a"], x[3:], ["b"] * 20, bs=2)
    assert (len(given.train_ds), len(given.valid_ds)) == (3, 20)


@pytest.mark.parametrize("wrong", [{"dropout": "0.5"}, {"dropout": 1.0}, {"sizes": [True, 2]}])
def test_a_network_of_other_things_than_numbers_is_refused(wrong):
    with pytest.raises(ModelError):
        mlp(**({"sizes": [3, 4, 2]} | wrong))


def test_layers_of_a_network_come_in_their_order():
    kinds = lambda **o: [type(m).__name__ for m in mlp([3, 5, 4, 2], **o)][1:]  # noqa: E731
    assert kinds() == ["Linear", "ReLU"] * 2 + ["Linear"]
    everything = ["Linear", "BatchNorm1d", "Tanh", "Dropout"]
    found = kinds(batch_norm=True, dropout=0.3, activation=torch.nn.Tanh)
    assert found == everything * 2 + ["Linear"]
    assert kinds(activation=None) == ["Linear"] * 3
    assert [(m.in_features, m.out_features) for m in mlp([3, 5, 4, 2])[1::2]] == [
        (3, 5), (5, 4), (4, 2)
    ]  # fmt: skip


def test_a_series_of_quite_another_length_is_told_where_it_is_predicted(tmp_path):
    from onecycle import models
    from onecycle.series.learner import series_learner

    learn = series_learner(bunch(), models.small, pretrained=False, silent=True)
    for steps in (10, 20, 40):
        messages, found = reported(
            lambda steps=steps: learn.predict(np.sin(np.arange(float(steps))))
        )
        assert messages == []
        assert found[2].sum() == pytest.approx(1)
    np.savetxt(tmp_path / "long.csv", np.sin(np.arange(41.0)))
    with (tmp_path / "long.csv").open("rb") as opened:
        found = []
        for source, steps in ((np.arange(9.0), 9), (tmp_path / "long.csv", 41), (opened, 41)):
            (message,), answer = reported(lambda source=source: learn.predict(source))
            assert message.startswith(f"the series has {steps} steps, and is stretched to the 20")
            found.append(answer[2])
    torch.testing.assert_close(found[1], found[2])
