"""Build the documentation: run the tutorials, write the reference, and let zensical make the site.

python scripts/build_docs.py [--tiny]
"""

from __future__ import annotations

import argparse
import contextlib
import inspect
import io
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import jupytext

import onecycle
from onecycle.names import EVERYTHING

ROOT = Path(__file__).parents[1]
PAGES = ROOT / "build/docs"


def run_page(source: Path, sizes: dict[str, int]) -> str:
    """A percent script as Markdown: its text, its code, and what the code printed."""
    names: dict[str, Any] = {"__name__": "__main__", **sizes}
    parts: list[str] = []
    for cell in jupytext.read(source).cells:
        if cell.cell_type == "markdown":
            parts.append(cell.source)
            continue
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(cell.source, str(source), "exec"), names)
        parts.append(f"```python\n{cell.source}\n```")
        if printed.getvalue().strip():
            parts.append(f"```text\n{printed.getvalue().rstrip()}\n```")
    return "\n\n".join(parts) + "\n"


def reference() -> str:
    """Every public name with its signature and docstring, by module."""
    by_module: dict[str, list[str]] = {}
    for name, module in sorted(EVERYTHING.items()):
        by_module.setdefault(module, []).append(name)
    parts = ["# Every public name\n\n`from onecycle import NAME`"]
    for module, names in sorted(by_module.items()):
        parts.append(f"## {module}")
        parts += [entry(name, getattr(onecycle, name)) for name in names]
    return "\n\n".join(parts) + "\n"


def entry(name: str, thing: Any) -> str:
    """One name; of a class also its public methods."""
    text = [f"### {name}"]
    if callable(thing):
        with contextlib.suppress(TypeError, ValueError):
            text.append(f"```python\n{name}{inspect.signature(thing)}\n```")
    text.append(f"```text\n{inspect.getdoc(thing) or ''}\n```")
    if inspect.isclass(thing):
        for method, function in inspect.getmembers(thing, inspect.isfunction):
            if not method.startswith("_") and function.__doc__ and method in vars(thing):
                first = inspect.getdoc(function) or ""
                text.append(f"- `.{method}{inspect.signature(function)}`: {first.splitlines()[0]}")
    return "\n\n".join(text)


def write_pages(tiny: bool) -> Path:
    """All pages as Markdown below build/docs."""
    shutil.rmtree(PAGES, ignore_errors=True)
    shutil.copytree(ROOT / "docs", PAGES, ignore=shutil.ignore_patterns("*.py"))
    sizes = {"TILES": 60, "PICTURES": 60} if tiny else {"TILES": 600, "PICTURES": 400}
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            for source in sorted((ROOT / "docs").rglob("*.py")):
                page = PAGES / source.relative_to(ROOT / "docs").with_suffix(".md")
                page.write_text(run_page(source, sizes), encoding="utf-8")
        finally:
            os.chdir(before)
    (PAGES / "reference.md").write_text(reference(), encoding="utf-8")
    return PAGES


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--tiny", action="store_true", help="small data, for tests")
    given = parser.parse_args()
    write_pages(given.tiny)
    subprocess.run([sys.executable, "-m", "zensical", "build"], cwd=ROOT, check=True)


if __name__ == "__main__":
    main()
