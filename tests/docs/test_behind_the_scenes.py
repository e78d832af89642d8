"""The tutorial runs from top to bottom, in tiny form."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_tutorial_runs_and_draws(tmp_path):
    more = {"ONECYCLE_TINY": "1", "ONECYCLE_PLOTS": str(tmp_path), "MPLBACKEND": "Agg"}
    done = subprocess.run(
        [sys.executable, ROOT / "docs" / "behind-the-scenes.py"],
        env={**os.environ, **more},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert {f.stem for f in tmp_path.iterdir()} == {"width", "gradients", "barrier"}
    linear = next(row for row in done.stdout.splitlines() if "nothing between" in row)
    assert float(linear.rpartition(" ")[2]) < 1e-12
