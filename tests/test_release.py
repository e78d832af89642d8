"""The wheel holds the library and works where the source tree is not."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest

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
