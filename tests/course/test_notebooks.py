"""The course's programs, in small, from top to bottom with only their import lines changed."""

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from onecycle.core.errors import WeightsError
from onecycle.fetch.urls import URLs
from onecycle.learn import learner
from onecycle.models.awd_lstm import AWD_LSTM
from onecycle.runtime.inputs.words import SPECIAL, tokenize
from onecycle.text.pretrained import write_encoder

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests/data"))


def script(path):
    spec = importlib.util.spec_from_file_location(Path(path).stem, ROOT / path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


runner = script("scripts/run_notebook.py")


@pytest.fixture(scope="session")
def drawn(tmp_path_factory):
    return script("examples/notebooks/draw_data.py").draw_all(tmp_path_factory.mktemp("home"), 0.1)


@pytest.fixture(scope="session")
def encoder(drawn):
    """An encoder as large as three layers need, in place of the published one."""
    texts = [file.read_text("utf-8") for file in sorted((drawn / "data/imdb").rglob("*.txt"))]
    words = [*SPECIAL, *sorted({t for text in texts for t in tokenize(text)} - {*SPECIAL})]
    return write_encoder(drawn / "tiny.safetensors", AWD_LSTM(len(words), 12, 16, 3), words)


@pytest.fixture
def home(drawn, encoder, monkeypatch):
    """Drawn data, tiny networks without published weights, and range tests of a few steps."""
    import timm

    from onecycle import defaults

    monkeypatch.setenv("ONECYCLE_HOME", str(drawn))
    create = timm.create_model

    def tiny(name, pretrained=False, **options):
        return create("test_resnet", pretrained=False, **options)

    monkeypatch.setattr(timm, "create_model", tiny)
    monkeypatch.setattr("onecycle.models.weights._require_hub", lambda name: None)
    find = learner.find_lr
    short = lambda learn, first, last, count, *more: find(learn, first, last, 12, *more)  # noqa: E731
    monkeypatch.setattr(learner, "find_lr", short)
    monkeypatch.setattr(URLs, "WT103_FWD", str(encoder))
    monkeypatch.setattr(defaults, "device", "cpu")
    monkeypatch.setattr(defaults, "progress", False)
    return drawn


def run(name):
    return runner.run(ROOT / f"examples/notebooks/{name}.ipynb", quiet=True)


pytestmark = pytest.mark.filterwarnings("ignore::onecycle.core.errors.OnecycleWarning")


def test_pets(home):
    names = run("pets")
    assert len(names["data"].classes) == names["data"].c > 2
    assert (names["images"] / "models/stage-1.safetensors").is_file()


def test_planet_ends_with_a_submission(home):
    names = run("planet")
    rows = (names["path"] / "submission.csv").read_text().splitlines()
    assert rows[0] == "image_name,tags"
    assert len(rows) == 11
    assert rows[1].startswith("test_0,")


def test_camvid(home):
    names = run("camvid")
    assert names["data"].c == len(names["codes"])
    assert names["learn"].history[-1]["acc_camvid"] > 0.1


def test_head_pose_has_points_in_shares_of_the_image(home):
    """Three epochs on 40 images find no face; that points are learnt is seen elsewhere."""
    names = run("head_pose")
    targets = names["learn"].predictions().targets
    spread = float(((targets - targets.mean(0)) ** 2).mean())
    assert spread < 1  # shares of the image, though the program says pixels
    assert np.abs(np.asarray(targets)).max() < 1


def test_own_data_is_downloaded_checked_trained_exported_and_loaded(home, monkeypatch):
    from web_helpers import serving

    folder = home / "data/colours"
    folder.mkdir(exist_ok=True)
    rng = np.random.default_rng(0)
    with serving() as site:
        for colour, rgb in {"teal": (0, 128, 128), "orange": (255, 165, 0)}.items():
            urls = [f"{site.url}/gone_{colour}.jpg"]
            for i in range(11):
                noisy = np.array(rgb) + rng.integers(-40, 40, (40, 40, 3))
                Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(folder / "p.png")
                site.files[f"/{colour}{i}.png"] = (folder / "p.png").read_bytes()
                urls.append(f"{site.url}/{colour}{i}.png")
            (folder / f"urls_{colour}.csv").write_text("\n".join(urls))
        (folder / "p.png").unlink()
        names = run("own_data")
    assert len(list((folder / "teal").iterdir())) == 11
    assert str(names["pred_class"]) in {"teal", "orange"}
    assert len(names["idxs"]) == 22


def test_imdb_from_files_to_a_classifier(home):
    names = run("imdb")
    assert names["data_clas"].classes == ["neg", "pos"]
    assert list(names["data_clas"].vocab) == list(names["data_lm"].vocab)
    assert names["data_lm"].vocab.itos[:2] == ["xxunk", "xxpad"]
    assert str(names["learn"].predict("It was great.")[0]) in {"neg", "pos"}
    assert (names["path"] / "models/fine_tuned_enc.safetensors").is_file()


def test_sgd_by_hand_and_by_a_learner(home):
    names = run("sgd")
    for losses in (names["by_hand"], names["by_adam"]):
        assert np.mean(losses[-10:]) < np.mean(losses[:10]) - 0.1
    assert names["data"].classes == list(range(10))
    assert names["learn"].history[-1]["accuracy"] > 0.5


@pytest.mark.filterwarnings("ignore:__array__:DeprecationWarning")  # of a tensor in imshow
def test_looking_inside_pads_and_finds_what_the_network_looked_at(home):
    names = run("looking_inside")
    black = {mode: float((x.sum(1) == 0).float().mean()) for mode, x in names["looks"].items()}
    assert black["zeros"] > 0  # of 24 draws, each with a corner turned in or not
    assert black["border"] == black["reflection"] == 0
    acts, grad = names["acts"], names["grad"]
    assert acts.shape == grad.shape
    assert grad.abs().sum() > 0
    assert names["mult"].shape == acts.shape[1:]
    first = names["data"].train_ds.items[0]
    shown, given = names["xb_im"], names["open_image"](first)
    assert shown.size == (96, 96)
    assert abs(float(shown.data.mean() - given.data.mean())) < 0.02


def test_digits_train_a_residual_network_of_one_plane(home):
    from onecycle import defaults, load_learner

    names = run("digits")
    defaults.cmap = None
    assert names["xb"].shape == (20, 1, 28, 28)
    assert names["learn"].history[-1]["accuracy"] > 0.5
    files = names["data"].valid_ds.items[:10]
    loaded = load_learner(names["path"])
    for file in files:
        assert str(loaded.predict(file)[0]) == str(names["learn"].predict(file)[0])


def test_number_words_are_learnt_by_a_network_that_remembers(home):
    names = run("number_words")
    assert names["three"] < 0.6 < names["remembering"]
    assert names["data"].bptt == 20
    assert names["y1"][0, :-1].tolist() == names["x1"][0, 1:].tolist()


def test_untrained_asks_for_no_published_weights(home, monkeypatch):
    def nothing_from_hubs(name):
        raise AssertionError(f"weights of {name} were asked for")

    monkeypatch.setattr("onecycle.models.weights._require_hub", nothing_from_hubs)
    notebook = ROOT / "examples/notebooks/head_pose.ipynb"
    with pytest.raises(WeightsError, match="were asked for"):
        runner.run(notebook, quiet=True)
    names = runner.run(notebook, quiet=True, untrained=True)
    assert len(names["learn"].history) >= 3


def test_import_lines_are_changed_and_nothing_else(tmp_path):
    text = "from fastai import *\nfrom fastai.callbacks.hooks import *\nx = 'from fastai.vision'\n"
    changed = runner.with_our_imports(text)
    assert changed.splitlines() == [
        "from onecycle.course import *",
        "from onecycle.course.callbacks.hooks import *",
        "x = 'from fastai.vision'",
    ]


@pytest.mark.parametrize(
    ("line", "ours"),
    [
        ("import fastai.vision as v", "import onecycle.course.vision as v"),
        ("import fastai, os", "import onecycle.course as fastai, os"),
        ("import fastai.text", "import onecycle.course.text, onecycle.course as fastai"),
        ("é = 1; from fastai.vision import *", "é = 1; from onecycle.course.vision import *"),
        ("if 1: from fastai.vision import (\n    a)", None),
        ("t = '''\nfrom fastai.vision import *\n'''", "t = '''\nfrom fastai.vision import *\n'''"),
        ("import fastai2; from .fastai import x", "import fastai2; from .fastai import x"),
    ],
)
def test_every_form_of_import_is_changed_and_no_text(line, ours):
    assert runner.with_our_imports(line) == (ours or line.replace("fastai", "onecycle.course"))


def test_lines_of_a_command_and_display_are_what_a_notebook_gives(tmp_path, capsys):
    cells = [
        "word = 'b'\nlines = !echo a; echo {word}\nif 1:\n    x = !echo 'c'",
        "display(lines)\nimport fastai.vision as v, fastai.vision\nassert v is fastai.vision",
    ]
    notebook = tmp_path / "n.ipynb"
    made = [{"cell_type": "code", "source": cell} for cell in cells]
    notebook.write_text(json.dumps({"cells": made}))
    names = runner.run(notebook)
    assert (names["lines"], names["x"]) == (["a", "b"], ["c"])
    assert "['a', 'b']" in capsys.readouterr().out
    exec(runner.program_of(notebook), {})


def test_an_error_names_its_cell(tmp_path):
    import json

    cells = [{"cell_type": "code", "source": ["1\n"]}, {"cell_type": "code", "source": ["1/0"]}]
    (tmp_path / "a.ipynb").write_text(json.dumps({"cells": cells}))
    with pytest.raises(ZeroDivisionError) as error:
        runner.run(tmp_path / "a.ipynb", quiet=True)
    assert "cell 2" in error.value.__notes__[0]


def test_a_tensor_of_points_is_in_pixels_of_its_image(tmp_path):
    import torch

    from onecycle import PointsItemList

    Image.new("RGB", (20, 10)).save(tmp_path / "a.png")
    Image.new("RGB", (40, 10)).save(tmp_path / "b.png")
    src = (
        PointsItemList.from_folder(tmp_path)
        .split_by_idx([1])
        .label_from_func(lambda file: torch.tensor([2.0, 7.0]))
    )
    assert src.train.y[0].data.tolist() == [[-0.5, -0.25]]
    assert src.valid.y[0].data.tolist() == [[-0.5, -0.625]]


def test_what_only_a_notebook_understands_is_left_out_and_named(tmp_path, capsys):
    cells = [
        "%matplotlib inline\nimport os",
        "%%time\nx = 41",
        "%time y = 3\n!ls\nos?",
        "s = ('a %d'\n   % x)\nt = '''\n% text\n'''",
        "for i in range(2):\n    %timeit z = 1\n    w = i",
        "%%bash\nls -l",
        "assert (s, y, z, w, t) == ('a 41', 3, 1, 1, '\\n% text\\n')\nraise KeyError",
    ]
    notebook = tmp_path / "n.ipynb"
    made = [{"cell_type": "code", "source": cell} for cell in cells]
    notebook.write_text(json.dumps({"cells": made}))
    with pytest.raises(KeyError) as messages:
        runner.run(notebook)
    assert "in cell 7" in "".join(messages.value.__notes__)
    reported = capsys.readouterr().out
    for line in ("%matplotlib inline", "!ls", "os?", "%%bash"):
        assert f"left out: {line}" in reported
    notebook.write_text("{}")
    with pytest.raises(SystemExit, match="no notebook"):
        runner.cells_of(notebook)
