"""The table of planted faults fits the code, and its runner tells seen from unseen."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "scripts"))  # of its own modules
spec = importlib.util.spec_from_file_location("plant_faults", ROOT / "scripts/plant_faults.py")
plant_faults = importlib.util.module_from_spec(spec)
sys.modules["plant_faults"] = plant_faults  # its dataclasses look there
spec.loader.exec_module(plant_faults)

TABLE = """
[[fault]]
name = "the sum is a difference"
file = "src/sums.py"
old = "a + b"
new = "a - b"
tests = "tests"

[[fault]]
name = "a comment is gone"
file = "src/sums.py"
old = "  # exact"
new = ""
tests = "tests"
green = "comments are not run"
"""

OLD = """| table | planted | seen |
|---|---|---|
| other | 7 | 6 |
| sums | 9 | 9 |
| **all** | 16 | 15 |

- other: a word. It is only a word.
- sums: old. Gone.
"""


@pytest.fixture
def project(tmp_path):
    files = {
        "src/sums.py": "def add(a, b):\n    return a + b  # exact\n",
        "tests/test_sums.py": "from sums import add\ndef test_add():\n    assert add(2, 3) == 5\n",
        "scripts/faults/sums.toml": TABLE,
        "docs/reliability.md": f"# R\n{plant_faults.BEGIN}\n{OLD}{plant_faults.END}\nend\n",
    }
    for name, text in files.items():
        path = tmp_path / "project" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    subprocess.run(["git", "init", "-q", str(tmp_path / "project")], check=True)
    return tmp_path / "project"


def test_every_fault_of_the_tables_can_be_planted():
    plant_faults.check(plant_faults.read_tables(ROOT), ROOT)


def test_a_fault_that_the_tests_notice_is_told_from_one_that_stays_green(project):
    faults = plant_faults.read_tables(project)
    results = plant_faults.plant(faults, project, jobs=1, libraries=())
    assert [result.seen for result in results] == [True, False]
    assert (project / "src/sums.py").read_text().count("a + b") == 1  # only the copy was touched
    plant_faults.write_page(project / "docs/reliability.md", results)
    page = (project / "docs/reliability.md").read_text()
    assert page.splitlines()[2:9] == [
        "| table | planted | seen |",
        "|---|---|---|",
        "| other | 7 | 6 |",
        "| sums | 2 | 1 |",
        "| **all** | 9 | 7 |",
        "",
        "Green, with the reason:",
    ]
    assert "- sums: a comment is gone. comments are not run" in page
    assert "- other: a word. It is only a word." in page
    assert "old" not in page
    assert page.endswith("end\n")


def test_an_old_text_that_is_gone_or_stands_twice_is_an_error_of_the_table(project):
    (project / "src/sums.py").write_text(
        "def add(a, b):\n    return sum((a, b))  # exact  # exact\n"
    )
    with pytest.raises(plant_faults.TableError, match=r"occurs 0 times(.|\n)*gone"):
        plant_faults.check(plant_faults.read_tables(project), project)


def test_tests_that_fail_without_a_fault_are_an_error_of_the_table(project):
    (project / "tests/test_sums.py").write_text("def test_add():\n    assert False\n")
    with pytest.raises(plant_faults.TableError, match="without a fault"):
        plant_faults.plant(plant_faults.read_tables(project), project, jobs=1, libraries=())


def test_a_run_without_an_end_is_cut_off_with_all_that_it_started(project):
    endless = """
import subprocess, sys
def test_it():
    subprocess.run([sys.executable, "-c", "import time; time.sleep(600)", "of endless test"])
"""
    (project / "tests/test_endless.py").write_text(endless)
    warm = plant_faults.Warm(project, ())
    try:
        status, seconds, _ = warm.run("tests/test_endless.py", limit=3)
        assert status is None
        assert 3 <= seconds < 30
        alive = [" ".join(p.info["cmdline"] or []) for p in psutil.process_iter(["cmdline"])]
        assert not [words for words in alive if "of endless test" in words]
        assert warm.run("tests/test_sums.py")[0] == plant_faults.PASSED
        (project / "src/sums.py").write_text("def add(a, b):\n    return a - b\n")
        assert warm.run("tests/test_sums.py", limit=60)[0] == plant_faults.FAILED
    finally:
        warm.close()
