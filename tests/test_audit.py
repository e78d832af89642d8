"""The audit fails where something is known, and never takes a silence for "nothing is known"."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))
import audit

sys.path.pop(0)
CLEAN = {"name": "starlette", "version": "1.0", "vulns": []}
WEAK = {"name": "pillow", "version": "9.0", "vulns": [{"id": "CVE-7", "fix_versions": ["9.1"]}]}
UNKNOWN = {"name": "secret", "skip_reason": "Dependency not found on PyPI"}


@pytest.mark.parametrize(
    ("rows", "status", "words"),
    [
        ([CLEAN], 0, "0 of"),
        ([CLEAN, WEAK], 1, "pillow 9.0: CVE-7, mended in 9.1"),
        ([UNKNOWN, UNKNOWN], 0, "SKIPPED"),  # an index without advisories
        ([CLEAN, UNKNOWN], 0, "not audited: secret"),
        ([WEAK, UNKNOWN], 1, "CVE-7"),
        (None, 0, "pypi: no network"),
    ],
)
def test_what_pip_audit_says_decides(rows, status, words, monkeypatch, capsys):
    def run(command, **options):
        pins = Path(command[command.index("-r") + 1]).read_text()
        assert "starlette==" in pins
        assert "onecycle" not in pins
        output = "" if rows is None else json.dumps({"dependencies": rows})
        return subprocess.CompletedProcess(command, 1, output, "Traceback\nno network\n")

    monkeypatch.setattr(audit.subprocess, "run", run)
    assert audit.main() == status
    assert words in capsys.readouterr().out
