"""The file of a network of series answers as its learner does, for series of any length."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from test_series import waves

from onecycle import models
from onecycle.core.errors import DataError, ExportError, UsageError
from onecycle.export import series as exporting
from onecycle.runtime.predictor import Predictor
from onecycle.series.lists import SeriesList
from onecycle.vision.learner import create_cnn

WAYS = [
    {"channels": 1},
    {"channels": 3, "encodings": ("gadf", "recurrence"), "scale": "zscore"},
    {"channels": 2, "encodings": ("gasf", "mtf"), "by": "train", "layout": "planes"},
]


def trained(path, channels=1, unit=1, **options):
    x, y = waves(60, channels=channels)
    torch.manual_seed(0)
    items = SeriesList.from_array(x * unit, y, path=path, **options)
    items = items.split_by_rand_pct(0.3, seed=1, stratify=False)
    data = items.label_from_df("label").transform(None, size=16).databunch(bs=8, device="cpu")
    learn = create_cnn(data, models.small, pretrained=False, silent=True)
    return learn.fit_one_cycle(2, 3e-3)


@pytest.mark.parametrize("options", WAYS)
def test_the_file_answers_as_the_learner_for_series_of_any_length(options, tmp_path):
    learn = trained(tmp_path, **options)
    predictor = Predictor(learn.export("waves.onnx"))
    rng = np.random.default_rng(2)
    lengths = (2, 3, 39, 40, 41, 95, 1000)
    series = [rng.normal(size=(options["channels"], t)).cumsum(1) for t in lengths]
    series += [np.round(x) for x in series]  # equal values: borders of the quantiles
    series += [*waves(85, channels=options["channels"])[0], np.full((options["channels"], 9), 3.0)]
    assert len(series) == 100
    for x, answer in zip(series, predictor.predict_batch(series), strict=True):
        category, index, probabilities = learn.predict(x)
        np.testing.assert_allclose(answer.probabilities, probabilities.numpy(), atol=1e-4)
        assert (str(answer), answer.answer.data) == (str(category), index)


@pytest.mark.parametrize("unit", [1, 1e-13])
@pytest.mark.parametrize("options", WAYS)
def test_the_file_answers_as_the_learner_for_series_of_any_unit(options, unit, tmp_path):
    learn = trained(tmp_path, unit=unit, **options)
    predictor = Predictor(learn.export("waves.onnx"))
    own = options.get("by", "series") == "series"
    for x in waves(4, channels=options["channels"])[0]:
        wanted = learn.predict(x * unit)[2].numpy()
        for other in (1, 1e-4, 1e-9, 1e-16):
            messages = predictor.predict(x * other).probabilities
            np.testing.assert_allclose(messages, learn.predict(x * other)[2].numpy(), atol=1e-4)
            if own:
                np.testing.assert_allclose(messages, wanted, atol=1e-3)


def test_small_files_answer_nearly_the_same(tmp_path):
    learn = trained(tmp_path)
    whole = Predictor(learn.export("waves.onnx"))
    size = (tmp_path / "waves.onnx").stat().st_size
    series = list(waves(40)[0])
    for precision, share, apart in (("fp16", 0.6, 0.02), ("int8", 0.4, 0.2)):
        path = learn.export(f"{precision}.onnx", precision=precision)
        assert path.stat().st_size < share * size
        np.testing.assert_allclose(
            Predictor(path).probabilities(series), whole.probabilities(series), atol=apart
        )


def test_a_file_needs_no_torch_and_takes_arrays_lists_and_tables(tmp_path):
    learn = trained(tmp_path)
    learn.export("waves.onnx")
    x = np.round(waves()[0][1, 0], 3)
    (tmp_path / "wave.csv").write_text("height\n" + "\n".join(map(str, x)) + "\n")
    code = (
        "import sys; sys.modules['torch'] = sys.modules['pandas'] = None\n"
        "import numpy as np\n"
        "from onecycle.runtime.predictor import Predictor\n"
        f"p = Predictor({str(tmp_path / 'waves.onnx')!r})\n"
        f"x = {x.tolist()}\n"
        f"rows = p.predict_batch([x, np.array(x), [x], {str(tmp_path / 'wave.csv')!r}])\n"
        "print(len({tuple(r.probabilities) for r in rows}), p.classes)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "1 ('sine', 'square')"
    with pytest.raises(DataError, match="2 channels"):
        Predictor(tmp_path / "waves.onnx").predict([x, x])


def test_an_encoding_that_differs_is_not_written(tmp_path, monkeypatch):
    learn = trained(tmp_path)
    stretch = exporting._stretch
    monkeypatch.setattr(
        exporting, "_stretch", lambda given, version: _swapped(stretch(given, version))
    )
    with pytest.raises(ExportError, match="encoding differs"):
        learn.export("waves.onnx")
    assert not (tmp_path / "waves.onnx").exists()


def _swapped(graph):
    """The graph with each value taken from its right neighbour."""
    for node in graph.graph.node:
        node.input[:] = [
            "high" if name == "low" and node.op_type == "Gather" else name for name in node.input
        ]
    return graph


def test_one_plane_for_each_encoding_of_each_channel():
    x, y = waves(8, channels=2)
    items = SeriesList.from_array(x, y, layout="planes", encodings=["gasf", "gadf"])
    data = items.split_none().label_from_df("label").transform(None, size=16).databunch(bs=4)
    images = data.one_batch()[0]
    assert images.shape == (4, 4, 16, 16)
    spec = data.task.input
    one = SeriesList.from_array(x[:, 1:], y, encodings=["gasf", "gadf"])
    alone = one.split_none().label_from_df("label").transform(None, size=16).databunch(bs=4)
    series = torch.randn(1, 2, 40, generator=torch.manual_seed(0))
    wanted = alone.task.input.prepare(series[:, 1:])[:, :2]
    torch.testing.assert_close(spec.prepare(series)[:, 2:], wanted)
    with pytest.raises(UsageError, match="layout"):
        SeriesList.from_array(x, y, layout="rows")
