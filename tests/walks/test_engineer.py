"""An engineer's walk: a typed program runs, and type checkers find what is wrong in it, no more."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import onecycle

SCRIPT = Path(__file__).with_name("engineer.py")
README = Path(__file__).parents[2] / "README.md"
SOURCE = Path(onecycle.__path__[0]).parent
COURSE = """
from onecycle.course.metrics import error_rate
from onecycle.course.vision import *
from onecycle.course.vision.models import resnet50

path = untar_data(URLs.PETS)
np.random.seed(2)
names = get_image_files(path / "images")
data = ImageDataBunch.from_name_re(
    path, names, r"/([^/]+)_\\d+.jpg$", ds_tfms=get_transforms(), size=224
).normalize(imagenet_stats)
learn = cnn_learner(data, resnet50, metrics=error_rate)
learn.fit_one_cycle(4)
interp = ClassificationInterpretation.from_learner(learn)
losses, idxs = interp.top_losses()
plt.plot(losses)
print(path.ls(), len(data.valid_ds), learn.no_such_thing)
"""
TEXTS = """
from onecycle.text import *

texts = TextList.from_csv("reviews", "texts.csv", cols="text").split_by_rand_pct(0.1, seed=0)
learn = language_model_learner(texts.label_for_lm().databunch(bs=32), AWD_LSTM, drop_mult=0.3)
print(learn.predict("This film", 10, temperature=0.7).upper(), learn.save_encoder("enc"))
labelled = texts.label_from_df("label").databunch()
classifier = text_classifier_learner(labelled, AWD_LSTM, drop_mult=0.5, wd=0.1)
answer, _, shares = classifier.predict("A fine film")
print(answer.text, shares.max().item(), classifier.predict("A fine film", return_x=True)[1].text)
print(answer.label)
"""


COLOURS = {"ash": (200, 60, 60), "beech": (60, 200, 60), "yew": (60, 60, 200)}


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Three classes that a few steps can tell apart by their colour."""
    folder, rng = tmp_path_factory.mktemp("walk") / "photos", np.random.default_rng(3)
    for name, colour in {
        "ash": (200, 60, 60),
        "beech": (60, 200, 60),
        "yew": (60, 60, 200),
    }.items():
        (folder / name).mkdir(parents=True)
        for i in range(16):
            pixels = np.clip(rng.normal(colour, 40, (40, 48, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{i}.png")
    return folder


def test_the_program_trains_measures_exports_and_serves(photos):
    done = subprocess.run(
        [sys.executable, "-W", "error", SCRIPT, photos], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "measured 8 rates"
    assert re.fullmatch(r"epoch 1: \d\.\d\d of 3 classes, \d\.\de-\d\d", lines[1]), lines[1]
    assert lines[-5].endswith(" 12 steps")  # three times the whole batches of 36 items by 8
    measured, answers = json.loads(lines[-4]), json.loads(lines[-2])
    assert measured["accuracy"] > 0.9
    assert measured["loss"] < 0.5
    assert len(answers) == 3
    assert [a["label"] for a in answers] == [a["file"].partition("/")[0] for a in answers]
    assert re.match(r"(ash|beech|yew) \(\d+%\)$", lines[-3])
    assert "absent.onnx" in lines[-1]
    assert lines[-1].startswith("refused: ")


def planted(text):
    """(line, kind) of each line that says that its fault is planted."""
    lines = enumerate(text.splitlines(), 1)
    return [(n, found[1]) for n, line in lines if (found := re.search(r"# planted: (\w+)", line))]


def test_mypy_finds_what_is_wrong_in_it_and_nothing_else(tmp_path):
    pytest.importorskip("mypy", reason="mypy is not installed: pip install 'onecycle[dev]'")
    (tmp_path / "mypy.ini").write_text(f"[mypy]\nmypy_path = {SOURCE}\n")
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file", tmp_path / "mypy.ini"]
    command += ["--cache-dir", tmp_path, "--no-error-summary", "--hide-error-context", SCRIPT]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    kinds = {"arg-type": "argument", "call-arg": "argument", "attr-defined": "attribute"}
    found = re.findall(r":(\d+): error: .*\[([a-z-]+)\]$", done.stdout, re.MULTILINE)
    assert [(int(n), kinds.get(code, code)) for n, code in found] == planted(SCRIPT.read_text())
    assert done.stderr == ""


@pytest.fixture(scope="module")
def findings(tmp_path_factory):
    """(line, rule) of all that pyright finds, by the file's name."""
    pytest.importorskip(
        "basedpyright", reason="basedpyright is not installed: pip install 'onecycle[dev]'"
    )
    folder = tmp_path_factory.mktemp("pyright")
    program = re.search(r"```python\n(.*?)```", README.read_text("utf-8"), re.DOTALL)
    (folder / "readme.py").write_text(program[1])
    (folder / "course.py").write_text(COURSE)
    (folder / "texts.py").write_text(TEXTS)
    (folder / "engineer.py").write_text("# pyright: strict\n" + SCRIPT.read_text())
    options = {"include": ["*.py"], "typeCheckingMode": "standard", "extraPaths": [str(SOURCE)]}
    (folder / "pyrightconfig.json").write_text(json.dumps(options))
    command = [sys.executable, "-m", "basedpyright", "--outputjson"]
    command += ["--pythonpath", sys.executable, "-p", folder]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    report = json.loads(done.stdout)
    assert report["summary"]["filesAnalyzed"] == 4, report
    found = {}
    for one in report["generalDiagnostics"]:
        row = one["range"]["start"]["line"] + 1, one["rule"]
        found.setdefault(Path(one["file"]).name, []).append(row)
    return found


KINDS = {
    "reportArgumentType": "argument",
    "reportCallIssue": "argument",
    "reportAttributeAccessIssue": "attribute",
    "reportUnknownArgumentType": "attribute",  # this and the next are said beside that one
    "reportUnknownMemberType": "attribute",
}


def test_pyright_finds_what_is_wrong_in_it_and_nothing_else(findings):
    found = {(n - 1, KINDS.get(rule, rule)) for n, rule in findings["engineer.py"]}
    assert sorted(found) == planted(SCRIPT.read_text())


def test_programs_with_star_imports_are_understood(findings):
    assert findings.get("readme.py") is None
    last = len(COURSE.splitlines())
    unread = [row for row in findings["course.py"] if row[1] != "reportMissingModuleSource"]
    assert unread == [(last, "reportAttributeAccessIssue")]
    last = len(TEXTS.splitlines())
    assert findings["texts.py"] == [(last, "reportAttributeAccessIssue")]
