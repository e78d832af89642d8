"""Series from arrays, tables and files to a trained network."""

import json
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
import torch

from onecycle import models
from onecycle.core.errors import DataError, EmptyDataError, LabelError, TableError, UsageError
from onecycle.data.databunch import DatasetType
from onecycle.interpret.classification import ClassificationInterpretation
from onecycle.learn.metrics import accuracy
from onecycle.runtime.predictor import Predictor
from onecycle.runtime.task import task_from_json, task_to_json
from onecycle.series.encode import jitter, scaling, series_transforms, window_warp
from onecycle.series.input import as_series
from onecycle.series.learner import series_learner
from onecycle.series.lists import SeriesList
from onecycle.vision.tta import TTA

mpl.use("Agg")
REAL = Path(__file__).parents[2].parent / "shared" / "data" / "timeseries"

with_gaps = pytest.mark.filterwarnings("ignore:.* gaps in .* series")


def waves(n=200, t=40, channels=1):
    """Sines and square waves with random phases."""
    rng = np.random.default_rng(0)
    turn = np.linspace(0, 12, t) + rng.uniform(0, 6, (n, channels, 1))
    kind = np.arange(n) % 2
    x = np.where(kind[:, None, None], np.sin(turn), np.sign(np.sin(turn)))
    return x + rng.normal(0, 0.1, x.shape), np.array(["square", "sine"])[kind]


def bunch(tfms=None, channels=1, bs=16, **options):
    x, y = waves(channels=channels)
    labelled = SeriesList.from_array(x, y, **options).split_by_rand_pct(0.3, seed=1)
    return labelled.label_from_df("label").transform(tfms, size=16).databunch(bs=bs, device="cpu")


def test_a_network_tells_sines_from_square_waves():
    torch.manual_seed(0)
    data = bunch(series_transforms())
    learn = series_learner(data, models.small, metrics=accuracy)
    learn.fit_one_cycle(6, 1e-2)
    learn.unfreeze()
    learn.fit_one_cycle(3, 3e-3)
    assert learn.validate()[1] > 0.85
    assert learn.predict(waves()[0][1])[0].obj in {"sine", "square"}


@pytest.mark.parametrize("by", ["series", "train"])
@pytest.mark.parametrize("scale", ["minmax", "zscore"])
@pytest.mark.parametrize("encodings", [("gasf",), ("gadf", "mtf"), ("gasf", "gadf", "recurrence")])
def test_images_have_three_planes_in_range(encodings, scale, by):
    x, _ = bunch(channels=3, encodings=encodings, scale=scale, by=by).one_batch()
    assert x.shape == (16, 3, 32, 32)
    assert x.isfinite().all()
    assert x.abs().max() <= 1 + 1e-5


def test_channels_lie_side_by_side():
    spec = bunch(channels=2).task.input
    x = torch.randn(1, 2, 40, generator=torch.manual_seed(0))
    one = bunch(channels=1).task.input
    torch.testing.assert_close(spec.prepare(x)[..., 16:], one.prepare(x[:, 1:]))


def test_the_spec_survives_json():
    task = bunch(by="train").task
    back = task_from_json(json.loads(json.dumps(task_to_json(task.input, task.target))))
    assert back[0].to_json() == task.input.to_json()


@with_gaps
def test_unequal_lengths_are_stretched_and_gaps_filled():
    x = [np.arange(20.0), np.arange(40.0), np.where(np.arange(30) == 7, np.nan, np.arange(30.0))]
    items = SeriesList.from_array(x, ["a", "b", "a"]).split_none().label_from_df("label")
    got = [items.train.sample(i, None).x for i in range(3)]
    assert [g.shape for g in got] == [(1, 40)] * 3
    np.testing.assert_allclose(got[2][0], np.linspace(0, 29, 40), atol=1e-5)


@pytest.mark.parametrize("change", [jitter(), scaling(), window_warp()])
def test_changes_change_a_little_and_keep_the_shape(change):
    x = waves(1)[0][0]
    got = change(x, np.random.default_rng(0))
    assert got.shape == x.shape
    assert not np.allclose(got, x)
    assert np.abs(got).max() < 2


@pytest.mark.parametrize(
    ("bad", "why"),
    [([1.0], "shape"), ([np.nan] * 3, "no number"), ([1, np.inf], "infinite"), (["a"], "number")],
)
def test_what_is_no_series_is_refused(bad, why):
    with pytest.raises(DataError, match=why):
        as_series(bad)


def test_images_larger_than_the_series_are_refused():
    x, y = waves(t=8)
    with pytest.raises(UsageError, match="at most 8 pixels"):
        SeriesList.from_array(x, y).split_none().label_from_df("label").databunch(bs=4)


def test_tables_give_the_same_series_as_arrays(tmp_path):
    x, y = waves(6)
    frame = pd.DataFrame(x[:, 0]).assign(label=y)
    frame.to_csv(tmp_path / "s.csv", index=False)
    read = SeriesList.from_csv(tmp_path, "s.csv")
    np.testing.assert_allclose(as_series(read.items[3]), x[3], rtol=1e-5)
    with pytest.raises(TableError, match="no column 'x'"):
        SeriesList.from_df(frame, cols=["x"])


@with_gaps
def test_archive_files_are_read_with_labels_gaps_and_lengths(tmp_path):
    (tmp_path / "a.ts").write_text("@dimensions 2\n@data\n1,?,3:4,5,6:up\n1,2:3,4:down\n")
    (tmp_path / "b.tsv").write_text("up\t1\t2\tNaN\n")
    items = SeriesList.from_ts(tmp_path / "a.ts")
    assert [x.shape for x in items.items] == [(2, 3), (2, 2)]
    assert items.frame["label"].tolist() == ["up", "down"]
    assert as_series(SeriesList.from_ts(tmp_path / "b.tsv").items[0]).shape == (1, 2)
    (tmp_path / "a.ts").write_text("@data\n1,2:3:up\n")
    with pytest.raises(TableError, match="line 2"):
        SeriesList.from_ts(tmp_path / "a.ts")


def test_show_batch_draws_series_and_image():
    figure = bunch().show_batch(2)
    assert all(len(ax.child_axes) == 2 for ax in figure.axes[:4])


@pytest.mark.skipif(not REAL.exists(), reason="needs the shared data")
def test_real_files_have_their_known_shapes():
    folder = REAL / "BasicMotions"
    items = SeriesList.from_ts(folder / "BasicMotions_TRAIN.ts", folder / "BasicMotions_TEST.ts")
    sides = items.split_by_file()
    assert (len(sides.train), len(sides.valid)) == (40, 40)
    assert items.items[0].shape == (6, 100)


@pytest.mark.parametrize(
    ("columns", "options", "messages"),
    [
        ({"target": [0, 1] * 3}, {}, "no column 'label'"),
        ({"label": ["a", "b"] * 3}, {"label_col": "labell"}, "no column 'labell'"),
        ({"label": ["a", "b"] * 3, "is_valid": [False, True] * 3}, {}, "'is_valid' seems"),
        ({"label": ["a", "b"] * 3, "Unnamed: 0": range(6)}, {}, "'Unnamed: 0' seems"),
        ({"label": ["a", "b"] * 3, "ID": range(6)}, {}, "'ID' seems"),
        ({"fold": [0, 1] * 3}, {"label_col": None}, "'fold' seems"),
        ({"label": ["a", "b"] * 3, "at": pd.date_range("2020", periods=6)}, {}, "'at' holds dat"),
        ({"label": ["a", "b"] * 3, "for": pd.to_timedelta(range(6))}, {}, "'for' holds timed"),
    ],
)
def test_an_answer_does_not_become_a_step(columns, options, messages):
    x, _ = waves(6)
    frame = pd.DataFrame(x[:, 0]).assign(**columns)
    with pytest.raises(TableError, match=messages):
        SeriesList.from_df(frame, **options)
    named = SeriesList.from_df(frame, cols=list(range(x.shape[2])), **options)
    assert as_series(named.items[0]).shape == x[0].shape


def test_a_step_is_neither_label_nor_split(tmp_path):
    x, y = waves(6)
    frame = (
        pd.DataFrame(x[:, 0]).add_prefix("t").assign(label=y, t50=np.arange(6.0), t51=[0, 1] * 3)
    )
    frame.to_csv(tmp_path / "a.csv", index=False)
    for items in (SeriesList.from_df(frame), SeriesList.from_csv(tmp_path, "a.csv")):
        for take in (
            lambda items: items.split_none().label_from_df("t50"),
            lambda items: items.split_none().label_from_df(["label", "t50"]),
            lambda items: items.split_none().label_from_df(-2),
            lambda items: items.split_from_df("t51"),
        ):
            with pytest.raises(TableError, match=r"column '(t50|t51)' is a step .*cols=\["):
                take(items)
    with pytest.raises(TableError, match="column 't51' is a step"):
        SeriesList.from_df(frame.drop(columns="label"), label_col=None).split_from_df("t51")
    named = SeriesList.from_df(frame, cols=[f"t{i}" for i in range(40)]).split_from_df("t51")
    assert named.label_from_df("t50").train.labels == (0.0, 2.0, 4.0)


def test_a_table_without_labels_says_so():
    x, _ = waves(6)
    assert len(SeriesList.from_df(pd.DataFrame(x[:, 0]), label_col=None).items[0]) == x.shape[2]


def test_headers_of_archive_files_are_followed(tmp_path):
    (tmp_path / "a.TS").write_text(
        "# made up\n@Dimensions 2\n@ClassLabel false\n@DATA\n1,2:3,4\n# between\n5,6:7,8\n"
    )
    items = SeriesList.from_ts(tmp_path / "a.TS")
    assert [x.tolist() for x in items.items] == [[[1, 2], [3, 4]], [[5, 6], [7, 8]]]
    assert items.frame["label"].tolist() == ["", ""]
    for body, messages in [
        ("1,2:up", "1 channels, not 2"),
        ("1,2:3,4:left", "none of the header's"),
    ]:
        (tmp_path / "b.ts").write_text(f"@dimensions 2\n@classLabel true up down\n@data\n{body}\n")
        with pytest.raises(TableError, match=messages):
            SeriesList.from_ts(tmp_path / "b.ts")
    with pytest.raises(UsageError, match="one file"):
        SeriesList.from_ts()


@with_gaps
def test_blanks_and_commas_around_labels_are_no_part_of_them(tmp_path):
    (tmp_path / "a.ts").write_text("@classLabel true up, down\n@data\n1,2: up\n3,4:down \n")
    assert SeriesList.from_ts(tmp_path / "a.ts").frame["label"].tolist() == ["up", "down"]
    (tmp_path / "a.csv").write_text("1,0.5,0.6\n2, 0.7, NaN, 0.8\n")
    items = SeriesList.from_ts(tmp_path / "a.csv")
    assert items.frame["label"].tolist() == ["1", "2"]
    np.testing.assert_array_equal(items.items[1], [[0.7, np.nan, 0.8]])


def test_faults_of_several_files_are_named_by_file_and_line(tmp_path):
    (tmp_path / "a.tsv").write_text("1\t0.5\t0.6\n2\t0.7\t0.8\n")
    (tmp_path / "b.tsv").write_text("1\t0.5\t0.6\n\n2\tNaN\tNaN\n")
    with pytest.raises(DataError, match=r"b\.tsv, line 3: channel 0 holds no number"):
        SeriesList.from_ts(tmp_path / "a.tsv", tmp_path / "b.tsv")
    (tmp_path / "b.tsv").write_text("1\t0.5\t0.6\n3\t1\t2\n")
    files = SeriesList.from_ts(tmp_path / "a.tsv", tmp_path / "b.tsv").split_by_file()
    with pytest.raises(LabelError, match=r"b\.tsv, line 2"):
        files.label_from_df()


def test_series_have_no_files_to_be_split_or_labelled_by():
    x, y = waves(8)
    items = SeriesList.from_array(x, y)
    for step in (
        lambda: items.split_by_folder(),
        lambda: items.split_by_files(["a"]),
        lambda: items.filter_by_folder(["a"]),
        lambda: items.split_none().label_from_folder(),
        lambda: items.split_none().label_from_re("(.*)"),
        lambda: items.split_none().label_from_re("(.*)", full_path=True),
    ):
        with pytest.raises(UsageError, match=r"no files.*label_from_df\(\).*split_by_rand_pct"):
            step()


@with_gaps
def test_an_empty_cell_of_a_tab_separated_file_is_a_gap_in_its_place(tmp_path):
    (tmp_path / "a.tsv").write_bytes("\ufeff1\t0.5\t\t0.7\n".encode())
    items = SeriesList.from_ts(tmp_path / "a.tsv")
    np.testing.assert_allclose(items.items[0], [[0.5, np.nan, 0.7]], rtol=1e-6)
    assert items.frame["label"].tolist() == ["1"]


def test_labels_in_a_tensor_are_classes_as_in_an_array():
    x, _ = waves(8)
    made = [
        SeriesList.from_array(x, y).split_none().label_from_df("label").train.task.target
        for y in (np.arange(8) % 2, torch.arange(8) % 2)
    ]
    assert made[0] == made[1]
    assert made[1].classes == (0, 1)


def test_a_learner_takes_files_and_names_wrong_channels(tmp_path):
    data = bunch()
    learn = series_learner(data, models.small, pretrained=False, silent=True)
    x = data.valid_ds.items[0]
    np.savetxt(tmp_path / "one.csv", as_series(x).T)
    torch.testing.assert_close(learn.predict(tmp_path / "one.csv")[2], learn.predict(x)[2])
    with pytest.raises(DataError, match="2 channels, the model takes 1"):
        learn.predict(np.zeros((2, 40)))


def test_series_that_cannot_be_used_are_named_by_their_row():
    x, y = waves(20)
    rows = list(x[:, 0])
    rows[7] = np.full(40, np.nan)
    with pytest.raises(DataError, match="series 7: channel 0"):
        SeriesList.from_array(rows, y)
    frame = pd.DataFrame(np.stack(rows), index=[f"p{i}" for i in range(20)])
    with pytest.raises(DataError, match="series p7: channel 0"):
        SeriesList.from_df(frame, label_col=None)
    rows[7] = np.zeros((2, 40))
    with pytest.raises(DataError, match="series 7 has 2 channels, the first has 1"):
        SeriesList.from_array(rows, y)


def test_what_is_no_set_of_series_is_refused():
    x, y = waves(20)
    made = SeriesList.from_array(pd.DataFrame(x[:, 0]), y)
    assert np.array_equal(made.items[3], x[3, 0])
    with pytest.raises(EmptyDataError):
        SeriesList.from_array([])
    for wrong in (3, "abc"):
        with pytest.raises(UsageError, match="array or a list of series"):
            SeriesList.from_array(wrong)
    with pytest.raises(UsageError, match="no option 'encoding': there are encodings"):
        SeriesList.from_array(x, y, encoding="gasf")
    assert SeriesList.from_array(x, y, encodings="gadf").input.encodings == ("gadf",)
    with pytest.raises(UsageError, match="come from no files"):
        made.split_by_file()
    with pytest.raises(UsageError, match="pair"):
        bunch([jitter()])


def test_labels_are_those_that_the_list_came_with(tmp_path):
    x, y = waves(20)
    frame = pd.DataFrame(x[:, 0], columns=[f"s{i}" for i in range(40)]).assign(kind=y)
    made = SeriesList.from_df(frame, label_col="kind").split_by_rand_pct(0.2, seed=0)
    assert made.label_from_df().classes == ["sine", "square"]
    for name in ("a.tsv", "b.tsv"):
        rows = ["\t".join([label, *map(str, row)]) for label, row in zip(y, x[:, 0], strict=True)]
        (tmp_path / name).write_text("\n".join(rows))
    files = SeriesList.from_ts(tmp_path / "a.tsv", tmp_path / "b.tsv").split_by_file()
    assert files.label_from_df().classes == ["sine", "square"]


@with_gaps
def test_what_is_masked_is_a_gap_and_a_bad_cell_has_its_place():
    masked = np.ma.masked_equal([[1.0, 2, -999, 4, 5, 6]] * 4, -999)
    made = SeriesList.from_array(masked, list("abab"))
    assert as_series(made.items[0])[0].tolist() == [1, 2, 3, 4, 5, 6]
    frame = pd.DataFrame({"a": ["1", "2"], "b": ["1", "oops"], "label": ["x", "y"]})
    with pytest.raises(TableError, match="row 1, column 'b': 'oops'"):
        SeriesList.from_df(frame)


def test_views_of_images_say_that_these_are_none():
    data = bunch()
    learn = series_learner(data, models.small, metrics=accuracy, silent=True)
    with pytest.raises(UsageError, match="these are none"):
        TTA(learn)
    with pytest.raises(UsageError, match=r"images|images"):
        ClassificationInterpretation.from_learner(learn).plot_top_losses(2, heatmap=True)
    item = data.valid_ds[0][0]
    torch.testing.assert_close(learn.predict(item)[2], learn.predict(item.data)[2])


@with_gaps
def test_gaps_at_the_end_are_padding_wherever_a_series_comes_from(tmp_path):
    x = np.array([[1, 2, 3, 4, 5], [1, 2, np.nan, 4, np.nan], [3, 1, 2, np.nan, np.nan]])
    frame = pd.DataFrame(x).assign(label=[0, 1, 0])
    frame.to_csv(tmp_path / "a.csv", index=False, na_rep="?")
    rows = [f"{i % 2}\t" + "\t".join(map(str, row)) for i, row in enumerate(x)]
    (tmp_path / "a.tsv").write_text("\n".join(rows))
    for items in (
        SeriesList.from_array(x, [0, 1, 0]),
        SeriesList.from_df(frame),
        SeriesList.from_csv(tmp_path, "a.csv"),
        SeriesList.from_ts(tmp_path / "a.tsv"),
    ):
        found = [as_series(item).tolist() for item in items.items]
        assert found == [[[1, 2, 3, 4, 5]], [[1, 2, 3, 4]], [[3, 1, 2]]]
    two = np.array([[1, np.nan, np.nan], [1, 2, np.nan]])
    assert as_series(two).tolist() == [[1, 1], [1, 2]]
    with pytest.raises(DataError, match="gaps at its end"):
        as_series([1, np.nan, np.nan])


@with_gaps
def test_every_mark_of_a_gap_is_one_in_a_table(tmp_path):
    (tmp_path / "a.csv").write_text(
        "a,b,c,d,e,f,g,h,label\n1,?,, NA ,nan,Null,7,8,x\n1,2,3,4,5,6,oops,8,y"
    )
    with pytest.raises(TableError, match="row 1, column 'g': 'oops'"):
        SeriesList.from_csv(tmp_path, "a.csv")
    made = SeriesList.from_csv(tmp_path, "a.csv", cols=list("abcdefh"))
    assert made.items[0].tolist() == pytest.approx([1, *[np.nan] * 5, 8], nan_ok=True)


@pytest.mark.parametrize("scale", ["minmax", "zscore"])
def test_distances_on_the_training_sets_scale_tell_large_waves_from_small(scale):
    noise = torch.randn(1, 1, 40, generator=torch.manual_seed(0)) / 3
    for by, messages in (("train", True), ("series", False)):
        spec = bunch(encodings="recurrence", by=by, scale=scale).task.input
        small, large = (1 - spec.prepare(x) for x in (noise / 2, noise))
        wanted = small * 2 if messages else small
        torch.testing.assert_close(large, wanted, rtol=1e-4, atol=1e-4)
    own = bunch(encodings="recurrence", scale=scale).task.input.prepare(noise)
    assert (own.min() > -0.99) == (scale == "zscore")


@pytest.mark.parametrize("scale", ["minmax", "zscore"])
def test_a_small_wave_on_a_high_level_gives_the_image_of_the_wave(scale, tmp_path):
    x, y = waves(20)
    x = x.round(2)
    frames = [pd.DataFrame(v).assign(label=y) for v in (x[:, 0], x[:, 0] + 1e9)]
    rows = ["\t".join(map(str, [i % 2, *v])) for i, v in enumerate((x[:, 0] + 1e9).tolist())]
    (tmp_path / "high.tsv").write_text("\n".join(rows))
    lists = [SeriesList.from_df(frame, scale=scale) for frame in frames]
    lists.append(SeriesList.from_ts(tmp_path / "high.tsv", scale=scale))
    made = [
        items.split_none().label_from_df().transform(None, size=16).databunch(bs=20, device="cpu")
        for items in lists
    ]
    wanted, *others = [data.one_batch(DatasetType.Fix)[0] for data in made]
    for found in others:
        torch.testing.assert_close(found, wanted, rtol=0, atol=1e-3)
    learn = series_learner(made[1], models.small, pretrained=False, silent=True)
    predictor = Predictor(learn.export(tmp_path / "high.onnx"))
    wanted = learn.predict(x[3])[2].numpy()
    for given in (x[3], x[3] + 1e9):
        for messages in (learn.predict(given)[2].numpy(), predictor.predict(given).probabilities):
            np.testing.assert_allclose(messages, wanted, rtol=0, atol=1e-4)


@pytest.mark.parametrize("by", ["series", "train"])
@pytest.mark.parametrize("scale", ["minmax", "zscore"])
def test_the_unit_of_a_series_does_not_show_in_its_image(scale, by):
    x, y = waves(20, channels=2)
    options = {"scale": scale, "by": by, "encodings": ["gadf", "mtf", "recurrence"]}
    wanted, *others = [
        SeriesList.from_array(x * unit, y, **options)
        .split_none()
        .label_from_df()
        .transform(None, size=16)
        .databunch(bs=20, device="cpu")
        .one_batch(DatasetType.Fix)[0]
        for unit in (1, 1e-5, 1e-9, 1e-13, 1e-25)
    ]
    for found in others:
        torch.testing.assert_close(found, wanted, rtol=0, atol=1e-4)


def test_a_training_set_that_float32_would_blur_is_refused():
    x, y = waves(20)
    with pytest.raises(DataError, match=r"channel 0 .*smaller unit"):
        SeriesList.from_array(x * 1e-35, y, by="train").split_none().label_from_df()
    with pytest.raises(DataError, match=r'channel 0 .*float32.*by="series"'):
        SeriesList.from_array(x + 1e9, y, by="train").split_none().label_from_df()
    made = SeriesList.from_array(0 * x + 1e9, y, by="train").split_none().label_from_df()
    assert made.train.task.input.low == (1e9,)


def test_changes_and_encodings_are_public_and_others_refused():
    from onecycle import jitter as of_images
    from onecycle import series

    assert series.jitter is jitter
    assert series.gasf.__module__ == series.recurrence.__module__ == "onecycle.series.encode"
    assert len(series_transforms(max_warp=0)[0]) == 2
    for wrong in (of_images(), lambda x, rng: x[:, :3], 3):
        with pytest.raises(UsageError, match=r"no change of series|another shape"):
            bunch(([wrong], []))
    for wrong in (
        {"bins": 1},
        {"bins": "8"},
        {"length": 0},
        {"length": 20.5},
        {"encodings": None},
        {"encodings": 3},
        {"by": ["train"]},
        {"scale": None},
        {"layout": ["grid"]},
    ):
        with pytest.raises(UsageError, match=next(iter(wrong))):
            bunch(**wrong)


def test_strengths_and_columns_that_make_no_sense_are_named():
    for make in (
        lambda: window_warp(0.1, 0),
        lambda: window_warp(1.5),
        lambda: jitter(-1),
        lambda: scaling(float("nan")),
        lambda: series_transforms(max_warp=2),
        lambda: series_transforms(max_jitter="0.1"),
    ):
        with pytest.raises(UsageError, match=r"share is|stretch is"):
            make()
    frame = pd.DataFrame(waves(6)[0][:, 0]).assign(label=list("ababab"))
    with pytest.raises(TableError, match="no column 'abc'"):
        SeriesList.from_df(frame, cols="abc")
    for cols in (3, [3]):
        with pytest.raises(UsageError, match="cols are the names of two columns or more"):
            SeriesList.from_df(frame, cols=cols)
