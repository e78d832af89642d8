"""The wheel holds the library and works where the source tree is not."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import time
import tomllib
import zipfile
from contextlib import suppress
from pathlib import Path
from urllib.request import urlopen

import pytest
from packaging.requirements import Requirement

from onecycle.core.lazy import TRAINING
from onecycle.export.hosts import PACKAGES

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
def test_the_wheel_works_without_the_source_tree(tmp_path):
    pytest.importorskip("hatchling")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    done = subprocess.run(build, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as opened:
        names = set(opened.namelist())
        opened.extractall(tmp_path / "installed")
    files = [p for kind in ("*.py", "*.pyi") for p in (ROOT / "src").rglob(kind)]
    sources = {path.relative_to(ROOT / "src").as_posix() for path in files}
    assert sources <= names
    assert {
        "onecycle/py.typed",
        "onecycle/interpret/cleaner.html",
        "onecycle/cli/studio/page/words/de.json",
    } <= names
    assert {"onecycle/runtime/page/index.html", "onecycle/runtime/page/app.js"} <= names
    code = f"""
import sys
import sysconfig
import tarfile
sys.path.insert(0, {str(tmp_path / "installed")!r})
import onecycle, onecycle.course
assert onecycle.__file__.startswith({str(tmp_path)!r}), onecycle.__file__
for name in onecycle.__all__:
    getattr(onecycle, name)
print(len(onecycle.__all__))
"""
    done = subprocess.run(
        [sys.executable, "-I", "-c", code], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 100
    assert "planet" in command(tmp_path, "demo", "--help").stdout
    if not any(name.startswith("onecycle/runtime/page/ort/") for name in names):
        pytest.skip("the browser's runtime is not here (make web): `onecycle site` is not tried")
    model = ROOT / "tests/runtime/golden/format1_images.onnx"
    done = command(tmp_path, "site", str(model), str(tmp_path / "site"))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "site/index.html").is_file()


def command(folder, *given):
    """`onecycle ...` from the unpacked wheel, in a process that does not see the source tree."""
    code = (
        f"import sys; sys.path.insert(0, {str(folder / 'installed')!r}); sys.argv[0] = 'onecycle'\n"
        "from onecycle.cli.main import app; import onecycle\n"
        f"assert onecycle.__file__.startswith({str(folder)!r}); app()"
    )
    wanted = [sys.executable, "-I", "-c", code, *given]
    return subprocess.run(wanted, cwd=folder, capture_output=True, text=True, timeout=120)


def built(root, kind, out):
    """What hatchling makes of the tree at `root`, and what it says."""
    build = [sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", str(out)]
    done = subprocess.run(build, cwd=root, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return next(out.glob("*.whl" if kind == "wheel" else "*.tar.gz")), done.stdout + done.stderr


def test_a_wheel_made_of_the_sdist_has_the_page_and_its_runtime_or_says_that_it_has_not(tmp_path):
    """As `uv build` and pip do it: the sdist is unpacked, and the wheel is made of that alone."""
    pytest.importorskip("hatchling")
    sdist, _ = built(ROOT, "sdist", tmp_path)
    with tarfile.open(sdist) as packed:
        packed.extractall(tmp_path, filter="data")
    (tree,) = (p for p in tmp_path.iterdir() if p.is_dir())
    wheel, reported = built(tree, "wheel", tmp_path)
    page = ROOT / "web" / "page"
    here = {f"onecycle/runtime/page/{p.relative_to(page)}" for p in page.rglob("*") if p.is_file()}
    assert len(here) > 14
    with zipfile.ZipFile(wheel) as opened:
        assert {n for n in opened.namelist() if n.startswith("onecycle/runtime/page/")} == here
    assert ("make web" in reported) == (not (page / "ort").is_dir())
    shutil.rmtree(tree / "web" / "page" / "ort", ignore_errors=True)
    _, reported = built(tree, "wheel", tmp_path / "without")
    assert "page/ort is missing" in reported
    assert "make web" in reported


@pytest.mark.slow
def test_what_uv_builds_makes_a_site_in_a_fresh_environment(tmp_path):
    """The wheel goes through the sdist; what it needs comes from this environment."""
    uv = shutil.which("uv")
    if uv is None or not (ROOT / "web" / "page" / "ort").is_dir():
        pytest.skip("uv (pip install uv) and the browser's runtime (make web) are wanted")

    def run(*command):
        plain = {n: v for n, v in os.environ.items() if not n.startswith(("PYTHON", "VIRTUAL_ENV"))}
        done = subprocess.run(
            command, cwd=tmp_path, env=plain, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    run(uv, "build", str(ROOT), "--out-dir", "dist")
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    run(uv, "venv", "--python", sys.executable, "fresh")
    fresh = tmp_path / "fresh" / "bin"
    run(uv, "pip", "install", "--no-deps", "--python", str(fresh / "python"), str(wheel))
    (packages,) = (tmp_path / "fresh").glob("lib/python*/site-packages")
    (packages / "others.pth").write_text(sysconfig.get_path("purelib"))
    where = run(str(fresh / "python"), "-c", "import onecycle; print(onecycle.__file__)")
    assert where.startswith(str(packages))
    model = ROOT / "tests/runtime/golden/format1_images.onnx"
    found = json.loads(run(str(fresh / "onecycle"), "site", str(model), "site", "--json"))
    assert found["site"] == "site"
    (runtime,) = (tmp_path / "site" / "ort").glob("*/*.wasm.gz")
    assert runtime.stat().st_size > 1_000_000
    assert (tmp_path / "site" / "index.html").is_file()


# --- the half that answers, without the one that trains ------------------------------------

MODULES = {"opencv-python-headless": "cv2", "pyyaml": "yaml"}  # others are named as their packages
MODEL = ROOT / "tests/runtime/golden/format1_images.onnx"


def project(file):
    return tomllib.loads((ROOT / file).read_text("utf-8"))["project"]


WHOLE, LIGHT = project("pyproject.toml"), project("packaging/runtime/pyproject.toml")
TRAINS = [line for line in WHOLE["dependencies"] if line not in LIGHT["dependencies"]]


def test_the_light_package_wants_of_the_whole_one_what_does_not_train():
    assert set(LIGHT["dependencies"]) < set(WHOLE["dependencies"])
    names = {Requirement(line).name for line in TRAINS}
    assert {MODULES.get(name, name) for name in names} == TRAINING | {"onnxscript"}
    both = LIGHT["optional-dependencies"]
    assert both.items() <= WHOLE["optional-dependencies"].items()
    assert {"text", "tiff", "dicom", "heic", "large", "lan", "parquet"} == set(both)
    assert LIGHT["requires-python"] == WHOLE["requires-python"]
    assert LIGHT["scripts"] == WHOLE["scripts"]


def test_containers_have_no_package_that_is_not_installed_with_the_library():
    assert set(PACKAGES) <= {Requirement(line).name for line in LIGHT["dependencies"]}


WITHOUT = """
import sys
for gone in {gone!r}:
    sys.modules[gone] = None
sys.argv = ["onecycle", *{given!r}]
{code}
"""
RUN = "from onecycle.cli.main import app; app()"


def without_training(code=RUN, *given):
    """A process in which nothing that trains can be imported."""
    names = [Requirement(line).name for line in TRAINS]
    gone = [MODULES.get(name, name) for name in names]
    code = WITHOUT.format(gone=gone, given=list(map(str, given)), code=code)
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["predict", MODEL, ROOT / "docs/planet.png"], "partly_cloudy;primary"),
        (["site", MODEL, "OUT"], "Look at it here first"),
        (["deploy", "--to", "docker", MODEL, "OUT"], "ready"),
        (["train", "images", "--help"], "--epochs"),
    ],
)
def test_commands_of_the_half_that_answers_need_nothing_of_the_other(tmp_path, given, words):
    if "site" in given and not (ROOT / "web" / "page" / "ort").is_dir():
        pytest.skip("the browser's runtime is not here (make web)")
    given = [tmp_path / "out" if each == "OUT" else each for each in given]
    done = without_training(RUN, *given)
    assert done.returncode == 0, done.stderr
    assert words in done.stdout


@pytest.mark.parametrize(
    ("given", "missing"),
    [
        (["train", "images", ROOT / "docs"], "torch"),
        (["studio", ROOT / "docs"], "torch"),
        (["demo", "planet"], "torch"),
        (["eval", MODEL, ROOT / "docs"], "torch"),
    ],
)
def test_commands_that_train_say_what_to_install(given, missing):
    done = without_training(RUN, *given)
    assert done.returncode == 2
    assert f"{missing} is not installed" in done.stderr
    assert "pip install onecycle" in done.stderr
    assert "Traceback" not in done.stderr


def test_programs_that_train_get_the_same_error_and_others_their_own():
    done = without_training("from onecycle.vision import *")
    assert "UsageError: torch is not installed" in done.stderr
    done = without_training("from onecycle import Predictor; print(Predictor.__name__)")
    assert done.stdout == "Predictor\n"
    done = without_training("sys.modules['numpy'] = None\nfrom onecycle import Predictor")
    assert "ModuleNotFoundError" in done.stderr
    assert "pip install onecycle" not in done.stderr


@pytest.mark.slow
def test_a_light_install_predicts_serves_and_makes_a_page(tmp_path):
    """From the wheel and a package index into a fresh environment, which then has no torch."""
    uv = shutil.which("uv")
    if uv is None or not (ROOT / "web" / "page" / "ort").is_dir():
        pytest.skip("uv (pip install uv) and the browser's runtime (make web) are wanted")
    plain = {n: v for n, v in os.environ.items() if not n.startswith(("PYTHON", "VIRTUAL_ENV"))}

    def run(*command):
        how = {"cwd": tmp_path, "env": plain, "capture_output": True, "text": True}
        done = subprocess.run(list(map(str, command)), timeout=300, **how)
        assert done.returncode == 0, done.stderr
        return done.stdout

    run(uv, "build", "--wheel", ROOT / "packaging" / "runtime", "--out-dir", "dist")
    run(uv, "venv", "--python", sys.executable, "fresh")
    fresh = tmp_path / "fresh" / "bin"
    run(uv, "pip", "install", "--python", fresh / "python", *(tmp_path / "dist").glob("*.whl"))
    assert "torch" not in run(uv, "pip", "freeze", "--python", fresh / "python")
    assert "partly_cloudy" in run(fresh / "onecycle", "predict", MODEL, ROOT / "docs/planet.png")
    run(fresh / "onecycle", "site", MODEL, "site")
    assert (tmp_path / "site" / "index.html").is_file()
    command = [fresh / "onecycle", "serve", str(MODEL), "--port", "8377"]
    server = subprocess.Popen(command, cwd=tmp_path, env=plain, stderr=subprocess.DEVNULL)
    try:
        for _ in range(100):
            with suppress(OSError), urlopen("http://127.0.0.1:8377/healthz") as reply:
                assert reply.status == 200
                break
            time.sleep(0.1)
        else:
            pytest.fail("it does not answer")
    finally:
        server.terminate()
        server.wait(20)
