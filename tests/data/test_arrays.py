"""Plain arrays with the same learner: classes and numbers are learned."""

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from onecycle import models
from onecycle.core.errors import (
    DataError,
    EmptyDataError,
    LabelError,
    ModelError,
    OnecycleWarning,
    UsageError,
)
from onecycle.data.arrays import TensorList, from_arrays
from onecycle.data.databunch import DatasetType
from onecycle.data.targets import Category, MultiCategory, Numbers
from onecycle.learn.learner import Learner
from onecycle.learn.metrics import accuracy
from onecycle.models.head import mlp
from onecycle.series.lists import SeriesList
from onecycle.vision.learner import cnn_learner


@pytest.fixture
def plane():
    return np.random.default_rng(0).uniform(-1, 1, (400, 2)).astype(np.float32)


def test_a_net_learns_xor_where_a_line_is_at_chance(plane):
    torch.manual_seed(0)
    data = from_arrays(plane, (plane[:, 0] * plane[:, 1] > 0).astype(int), bs=32)
    learn = Learner(data, mlp([2, 32, 2]), metrics=accuracy)
    learn.fit_one_cycle(10, 0.03)
    line = Learner(data, mlp([2, 2]), metrics=accuracy)
    line.fit_one_cycle(10, 0.03)
    assert learn.validate()[1] > 0.9 > 0.75 > line.validate()[1]


def test_numbers_are_met(plane):
    torch.manual_seed(0)
    data = from_arrays(plane, plane[:, 0] ** 2, bs=32)
    learn = Learner(data, mlp([2, 32, 1], nn.Tanh))
    learn.fit_one_cycle(30, 0.03)
    assert learn.validate()[0] < 0.1 * float((plane[:, 0] ** 2).var())


def test_normalize_takes_the_training_sets_statistics(plane):
    data = from_arrays(plane * [3, 0] + 5, plane[:, 0], bs=320).normalize()
    x, _ = data.one_batch()
    assert abs(x.mean()) < 1e-3
    assert abs(x[:, 0].std() - 1) < 1e-2


def test_rows_of_other_shapes_and_gaps_are_refused(plane):
    split = TensorList.from_arrays(np.where(plane > 0.99, np.nan, plane), plane[:, 0]).split_none()
    with pytest.raises(DataError, match="NaN"):
        split.label_from_df("label").databunch(bs=4)
    with pytest.raises(UsageError, match="3 labels in y"):
        TensorList.from_arrays(plane, [1, 2, 3])


def test_one_width_is_no_network():
    with pytest.raises(ModelError, match="two"):
        mlp([3])


def test_a_network_of_another_width_than_the_labels_is_refused():
    x = np.random.default_rng(0).normal(size=(40, 3)).astype("float32")
    for y, widths in ((x, [3, 8, 1]), (x[:, :1], [3, 8, 3]), (x[:, 0] > 0, [3, 8, 1])):
        learn = Learner(from_arrays(x, y, bs=8), mlp(widths), silent=True)
        with pytest.raises(ModelError, match=r"labels of \d (numbers|classes)"):
            learn.fit(1)


def test_arrays_for_validation_come_with_their_labels():
    x, y = np.zeros((10, 2), "float32"), [0, 1] * 5
    with pytest.raises(EmptyDataError, match="no validation items"):
        from_arrays(x, y, x[:0], y[:0], bs=2)
    for pair in ({"valid_x": x}, {"valid_y": y}):
        with pytest.raises(UsageError, match="come together"):
            from_arrays(x, y, bs=2, **pair)


def test_arrays_that_cannot_be_used_are_named():
    x, y = np.zeros((10, 2), "float32"), [0, 1] * 5
    masked = np.ma.masked_equal(np.where(np.arange(20).reshape(10, 2) == 6, -9, 1.0), -9)
    ragged = [[1.0, 2.0]] * 9 + [[1.0]]
    words = pd.DataFrame({"a": [1.0] * 10, "b": ["x"] * 10})
    for wrong, messages in (
        (masked, "array 3"),
        (ragged, "array 9"),
        (words, "array 0 .*no number"),
    ):
        with pytest.raises(DataError, match=messages):
            from_arrays(wrong, y, bs=2)
    with pytest.raises(UsageError, match=r"array .* or a list"):
        from_arrays((row for row in x), y)
    with pytest.raises(UsageError, match="whole numbers"):
        from_arrays(x, np.eye(2, dtype=int)[y], bs=2)
    learn = Learner(from_arrays(torch.tensor(x, requires_grad=True), y, bs=2), mlp([2, 2]))
    for item in ([1], x[:2], None, [1, float("nan")]):
        with pytest.raises(DataError, match="the array"):
            learn.predict(item)
    tags = from_arrays(x, [["p"], ["p", "q"]] * 5, label_cls=MultiCategory, bs=2)
    assert tags.classes == ["p", "q"]


def test_the_activation_of_an_mlp_may_be_a_module():
    made = mlp([2, 3, 3, 1], nn.LeakyReLU(0.3))
    kinds = [m for m in made if isinstance(m, nn.LeakyReLU)]
    assert [m.negative_slope for m in kinds] == [0.3, 0.3]
    assert kinds[0] is not kinds[1]
    for wrong in (
        {"activation": torch.relu},
        {"activation": "relu"},
        {"sizes": [2.5, 3]},
        {"sizes": "23"},
        {"sizes": 5},
        {"dropout": 2},
    ):
        with pytest.raises(ModelError, match=r"activation|sizes|dropout"):
            mlp(**({"sizes": [2, 3, 1]} | wrong))


def test_arrays_of_several_planes_are_shown_side_by_side():
    mpl.use("Agg")
    x = np.arange(20 * 24, dtype="float32").reshape(20, 2, 3, 4)
    figure = from_arrays(x, [0, 1] * 10, bs=4).show_batch(1)
    assert figure.axes[0].images[0].get_array().shape == (3, 8)


def test_statistics_are_numbers_or_one_for_each_place(plane):
    data = from_arrays(plane, plane[:, 0], bs=320)
    half = data.normalize((0.0, 2.0)).one_batch(DatasetType.Fix)[0]
    torch.testing.assert_close(half, data.one_batch(DatasetType.Fix)[0] / 2)
    for wrong in ((np.zeros(3), np.ones(3)), (0.0,), 1.0, ("a", "b"), (0.0, float("nan"))):
        with pytest.raises(UsageError, match=r"\(mean, std\).* of shape \(2,\)"):
            data.normalize(wrong)


def test_statistics_of_another_shape_are_not_reordered():
    x = np.random.default_rng(0).normal(size=(20, 3, 5)).astype("float32")
    data = from_arrays(x, [0, 1] * 10, bs=16)
    mean, std = x.mean(0), x.std(0)
    wanted = data.normalize((mean, std)).one_batch(DatasetType.Fix)[0]
    flat = data.normalize((mean.ravel(), std.ravel())).one_batch(DatasetType.Fix)[0]
    torch.testing.assert_close(flat, wanted)
    one = data.normalize((mean[:, :1], std[:, :1])).one_batch(DatasetType.Fix)[0]
    torch.testing.assert_close(one[..., 0], wanted[..., 0])
    for wrong in ((mean.T, std.T), (mean[None].T, std)):
        with pytest.raises(UsageError, match=r"of shape \(3, 5\)"):
            data.normalize(wrong)


@pytest.mark.parametrize("pretrained", [False, "small"])
@pytest.mark.parametrize("planes", [1, 3, 4])
def test_a_network_of_images_takes_arrays_of_any_planes(planes, pretrained):
    x = np.random.default_rng(0).normal(size=(20, planes, 32, 24)).astype("float32")
    data = from_arrays(x, [0, 1] * 10, bs=8).normalize()
    learn = cnn_learner(data, models.small, pretrained=pretrained, silent=True)
    assert learn.fit(1, 1e-3).predict(x[0])[2].shape == (2,)


def test_arrays_that_are_no_images_say_which_axis_is_missing():
    x = np.zeros((20, 32, 32), "float32")
    for given, messages in ((x, r"\(32, 32\).*x\[:, None\]"), (x[:, 0], r"shape \(32,\)")):
        with pytest.raises(ModelError, match=messages):
            cnn_learner(from_arrays(given, [0, 1] * 10, bs=8), models.small, pretrained=False)


def test_a_row_of_plain_numbers_has_items_of_one_value():
    x = np.linspace(0, 1, 40, dtype="float32")
    for given in (x, x.tolist(), torch.tensor(x)):
        learn = Learner(from_arrays(given, x, bs=8).normalize(), mlp([1, 4, 1]), silent=True)
        assert learn.fit(1, 1e-2).predict(0.5)[2].shape == (1,)


def test_tensors_of_any_precision_are_taken():
    x = torch.linspace(-1, 1, 40).reshape(20, 2)
    learn = Learner(from_arrays(x.bfloat16(), x[:, 0].bfloat16(), bs=4), mlp([2, 1]), silent=True)
    learn.fit(1, 1e-2)
    assert torch.equal(learn.predict(x[3].bfloat16())[2], learn.predict(x[3].bfloat16().float())[2])
    assert len(from_arrays([*x.bfloat16()], [0, 1] * 10, bs=4).train_ds) == 16


def test_lists_of_tags_are_several_categories(plane):
    data = from_arrays(plane[:20], [[], ["p"], ["p", "q"], ["q"]] * 5, bs=2)
    assert data.classes == ["p", "q"]
    assert isinstance(data.task.target, MultiCategory)


def test_a_network_of_another_width_than_the_items_is_refused(plane):
    learn = Learner(from_arrays(plane, plane[:, 0], bs=8), mlp([5, 1]), silent=True)
    with pytest.raises(ModelError, match="takes 5 values an item, the items have 2"):
        learn.fit(1)


def test_the_widths_may_be_an_array():
    assert str(mlp(np.array([4, 8, 3]))) == str(mlp([4, 8, 3]))
    with pytest.raises(ModelError, match="sizes"):
        mlp(np.array([4.5, 3]))


@pytest.mark.filterwarnings("ignore:the 20 labels are 2 whole numbers stored as real ones")
@pytest.mark.parametrize(
    ("labels", "kind"),
    [
        ([3, 2.5, 4, 3.5], Numbers),
        ([2.5, 3, 4, 3], Numbers),
        ([[1, 2], [1.5, 2], [2, 2], [3, 2]], Numbers),
        ([3, 2, 4, 3], Category),
        (["3", "b", "b", "3"], Category),
    ],
)
def test_all_labels_say_whether_they_are_numbers(labels, kind):
    x = np.arange(40, dtype="float32").reshape(20, 2)
    assert isinstance(from_arrays(x, labels * 5, bs=2).task.target, kind)
    series = SeriesList.from_array(x, labels * 5).split_none().label_from_df()
    assert isinstance(series.train.task.target, kind)


def test_whole_numbers_as_floats_are_numbers_with_a_word_about_both_ways():
    x = np.arange(40, dtype="float32").reshape(20, 2)
    with pytest.warns(OnecycleWarning, match="label_cls=Category"):
        data = from_arrays(x, [3.0, 4.0, 3.0, 4.0] * 5, bs=2)
    assert isinstance(data.task.target, Numbers)


@pytest.mark.parametrize("own", [["a", "b"], [3, 1], [True, False]])
def test_a_column_of_labels_is_a_row_of_labels(own):
    x, labels = np.arange(40, dtype="float32").reshape(20, 2), own * 10
    table = np.array(labels)[:, None]
    for y in (labels, table, pd.DataFrame(table), table.astype(object), iter(labels), list(table)):
        made = SeriesList.from_array if isinstance(y, np.ndarray) else TensorList.from_arrays
        assert made(x, y).frame["label"].tolist() == labels
    for y in (table, pd.DataFrame({"y": labels})):
        assert from_arrays(x, y, bs=2).classes == sorted(own)
        series = SeriesList.from_array(x, y).split_none().label_from_df()
        assert series.classes == sorted(own)


def test_labels_of_other_shapes_are_refused():
    x = np.arange(40, dtype="float32").reshape(20, 2)
    for made in (TensorList.from_arrays, SeriesList.from_array, from_arrays):
        for y, messages in (
            (np.array([["a", "b"]] * 20), r"shape \(20, 2\)"),
            (np.ones((20, 3), int), r"shape \(20, 3\).*astype"),
            (np.ones((20, 1, 1)), r"shape \(20, 1, 1\)"),
            (pd.DataFrame({"a": ["p"] * 20, "b": ["q"] * 20}), r"shape \(20, 2\)"),
            ([np.zeros(2), np.zeros(3)] * 10, "several shapes"),
            (pd.date_range("2020", periods=20).to_series(), "times .*datetime64"),
            ({"a": 1}, "not dict"),
            ("ab" * 10, "not str"),
            (5, "not int"),
            ([1] * 19, "20 items in x and 19 labels"),
        ):
            with pytest.raises(UsageError, match=messages):
                made(x, y)
    with pytest.raises(LabelError, match="2020"):
        from_arrays(x, list(pd.date_range("2020", periods=20)), bs=2)
    with pytest.raises(UsageError, match="labels, not None"):
        from_arrays(x, None)
    two = pd.DataFrame({"a": [1, 2] * 10, "b": [0.5, 1] * 10}, dtype=object)
    assert TensorList.from_arrays(x, two).frame["label"].tolist() == [[1, 0.5], [2, 1]] * 10


def test_the_export_of_arrays_is_refused_with_the_way_to_write_the_network(plane, tmp_path):
    data = from_arrays(plane, plane[:, 0], bs=64)
    learn = Learner(data, mlp([2, 1]), path=tmp_path)
    with pytest.raises(UsageError, match=r"torch\.onnx\.export\(learn\.model"):
        learn.export()
    assert list(tmp_path.iterdir()) == []
