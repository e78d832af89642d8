"""A learner's walk in a notebook: what every cell shows, in a kernel without widgets."""

import os
import sys

import pytest

nbformat = pytest.importorskip("nbformat", reason="nbclient and ipykernel are not installed")
nbclient = pytest.importorskip("nbclient", reason="nbclient and ipykernel are not installed")
pytest.importorskip("ipykernel", reason="nbclient and ipykernel are not installed")

CELLS = {
    "data": """
from onecycle.vision import *
from onecycle import butterflies_sample
path = butterflies_sample("set", n=60, size=48, layout="folders")
data = ImageDataBunch.from_folder(path, size=32, bs=16, num_workers=0)
learn = cnn_learner(data, models.small, pretrained=False, metrics=accuracy)
data""",
    "batch": "data.show_batch(rows=2)",
    "rates": "learn.lr_find()",
    "curve": "learn.recorder.plot()",
    "train": "learn.fit_one_cycle(2, 1e-2)",
    "layers": "learn.summary()",
    "losses": "learn.recorder.plot_losses()",
    "results": "learn.show_results(rows=2); learn.validate()",
    "confusion": "ClassificationInterpretation.from_learner(learn).plot_confusion_matrix()",
    "two": "learn.recorder.plot_losses()\nlearn.recorder.plot_lr()",
    "run": """
from onecycle import Callback
class Look(Callback):
    def after_epoch(self, run):
        print(run)
learn.fit(1, 1e-3, callbacks=[Look()])""",
    "file": "learn.export('model.onnx')",
}


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    """The outputs of each cell by its name."""
    folder = tmp_path_factory.mktemp("notebook")
    cells = [nbformat.v4.new_code_cell(text.strip()) for text in CELLS.values()]
    notebook = nbformat.v4.new_notebook(cells=cells)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
        patch.setenv("JUPYTER_PLATFORM_DIRS", "1")
        patch.setenv("PYTHONWARNINGS", "ignore::DeprecationWarning")
        where = {"metadata": {"path": str(folder)}}
        nbclient.NotebookClient(notebook, timeout=300, resources=where).execute()
    return dict(zip(CELLS, (cell.outputs for cell in notebook.cells), strict=True))


def images(outputs):
    return [o for o in outputs if "image/png" in o.get("data", {})]


def value(outputs):
    """The text of the cell's value."""
    return next(o["data"]["text/plain"] for o in outputs if o["output_type"] == "execute_result")


@pytest.mark.parametrize(
    ("cell", "count"),
    [("batch", 1), ("curve", 1), ("losses", 1), ("results", 1), ("confusion", 1), ("two", 2)],
)
def test_a_figure_is_shown_once(shown, cell, count):
    assert len(images(shown[cell])) == count


def test_values_are_short_and_say_what_they_are(shown):
    for outputs in shown.values():
        for output in outputs:
            assert " at 0x" not in str(output.get("data", {}).get("text/plain", ""))
    assert value(shown["rates"]).startswith("RateCurve: ")
    assert len(value(shown["rates"])) < 100
    assert value(shown["train"]).count("\n") == 0
    assert "after 2 epochs train_loss" in value(shown["train"])
    assert value(shown["layers"]).startswith("Sequential\nlayer ")
    printed = "".join(o["text"] for o in shown["run"] if o["output_type"] == "stream")
    assert "Run: epoch 0 of 1, step 3 of 3" in printed
    assert "Conv2d" not in printed


def test_bars_are_gone_at_the_end_and_nothing_is_red(shown):
    bars = {name: [o for o in shown[name] if "text/html" in o.get("data", {})] for name in shown}
    assert len(bars["rates"]) == 1  # however many epochs a test of rates takes
    assert len(bars["train"]) == 2
    assert {o["data"]["text/html"] for found in bars.values() for o in found} == {""}
    for name in set(shown) - {"data"}:
        assert not [o for o in shown[name] if o.get("name") == "stderr"]
