"""Build the documentation: run the tutorials, write the reference, and let zensical make the site.

python scripts/build_docs.py [--tiny]

A page that runs is a jupytext percent script below docs/. What it prints, draws and ends a cell
with stands below the cell. `n = 600  # tiny: 60` is 60 in a tiny build; the note is not shown.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import html
import io
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import jupytext
import matplotlib
import reference_pages

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src/onecycle"
PAGES = ROOT / "build/docs"
NARROW = 640  # pixels: a wider figure keeps this width on a phone
TINY = re.compile(r"^(\s*\w+ = )(.*?)  # tiny: (.+)$", re.MULTILINE)


def run_page(source: Path, page: Path, tiny: bool) -> None:
    """Run a percent script in the folder at hand and write what it shows as Markdown to `page`."""
    names: dict[str, Any] = {"__name__": "__main__"}
    parts: list[str] = []
    page.parent.mkdir(parents=True, exist_ok=True)
    for number, cell in enumerate(jupytext.read(source).cells):
        if cell.cell_type == "markdown":
            parts.append(cell.source)
            continue
        shown = TINY.sub(r"\1\2", cell.source)
        parts.append(f"```python\n{shown}\n```")
        code = TINY.sub(r"\1\3", cell.source) if tiny else cell.source
        parts += _run_cell(
            code, names, page.with_name(f"{page.stem}-{number}"), f"{source}[{number}]"
        )
    page.write_text("\n\n".join(parts) + "\n", encoding="utf-8")


def _run_cell(code: str, names: dict[str, Any], stem: Path, where: str) -> list[str]:
    """Run one cell; what it shows, as Markdown. Images go to files named after `stem`."""
    printed = io.StringIO()
    tree = ast.parse(code)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    with contextlib.redirect_stdout(printed):
        exec(compile(tree, where, "exec", dont_inherit=True), names)
        value = eval(compile(ast.Expression(last.value), where, "eval"), names) if last else None
    shown = [f"```text\n{printed.getvalue().rstrip()}\n```"] if printed.getvalue().strip() else []
    shown += _figures(stem)
    return shown if _quiet(value) else [*shown, _as_markdown(value)]


def _quiet(value: Any) -> bool:
    """Nothing to read, or drawn already: axes, legends, lists of them."""
    first = value[0] if isinstance(value, list | tuple) and value else value
    return value is None or hasattr(first, "figure") or repr(value).startswith("<")


def _figures(stem: Path) -> list[str]:
    from matplotlib import pyplot as plt

    found = []
    for count, figure in enumerate(map(plt.figure, plt.get_fignums())):
        file = stem.with_name(f"{stem.name}-{count}.png")
        figure.savefig(file, dpi=90)
        titles = [figure.get_suptitle(), *(ax.get_title() for ax in figure.axes)]
        title = next((title for title in titles if title), stem.name).replace("\n", ", ")
        found.append(_image(re.sub(r"[][]", "", title), file.name, figure.get_figwidth() * 90))
    plt.close("all")
    return found


def _image(title: str, name: str, width: float) -> str:
    """Plots side by side are not squeezed on a phone: the reader moves them sideways."""
    if width <= NARROW:
        return f"![{title}]({name})"
    image = f'<img src="{name}" alt="{html.escape(title)}" style="min-width: {NARROW}px">'
    return f'<div style="overflow-x: auto">{image}</div>'


def _as_markdown(value: Any) -> str:
    if hasattr(value, "_repr_html_"):
        table = value._repr_html_().replace('<table border="1" class="dataframe">', "<table>")
        return f'<div class="shown" style="overflow-x: auto">{table}</div>'
    return f"```text\n{value!r}\n```"


def write_pages(tiny: bool) -> Path:
    """All pages as Markdown below build/docs."""
    matplotlib.use("Agg")
    shutil.rmtree(PAGES, ignore_errors=True)
    shutil.copytree(ROOT / "docs", PAGES, ignore=shutil.ignore_patterns("*.py"))
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            for source in sorted((ROOT / "docs").rglob("*.py")):
                begun = time.perf_counter()
                run_page(source, PAGES / source.relative_to(ROOT / "docs").with_suffix(".md"), tiny)
                print(
                    f"{source.relative_to(ROOT)}: {time.perf_counter() - begun:.0f} s", flush=True
                )
        finally:
            os.chdir(before)
    (PAGES / "reference").mkdir()
    for name, text in reference_pages.pages().items():
        (PAGES / f"reference/{name}.md").write_text(text, encoding="utf-8")
    for file in SOURCE.rglob("*.py"):  # as text, which browsers show and do not download
        copy = PAGES / "source" / file.relative_to(SOURCE).with_suffix(".py.txt")
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, copy)
    return PAGES


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--tiny", action="store_true", help="small data, for tests")
    given = parser.parse_args()
    write_pages(given.tiny)
    subprocess.run([sys.executable, "-m", "zensical", "build"], cwd=ROOT, check=True)
    site = shlex.quote(str(ROOT / "build/site"))
    print(f"The site is in {site}. To read it, with its search:")
    print(f"  {shlex.quote(sys.executable)} -m http.server -b 127.0.0.1 -d {site} 8001")
    print("and open http://127.0.0.1:8001")


if __name__ == "__main__":
    main()
