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
import inspect
import io
import os
import re
import shutil
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path
from typing import Any

import jupytext
import matplotlib

import onecycle
from onecycle.names import EVERYTHING

ROOT = Path(__file__).parents[1]
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


def reference() -> str:
    """Every public name with its signature and docstring, by module."""
    by_module: dict[str, list[str]] = {}
    for name, module in sorted(EVERYTHING.items()):
        by_module.setdefault(module, []).append(name)
    parts = ["# Every public name\n\n`from onecycle import NAME`"]
    for module, names in sorted(by_module.items()):
        things = {name: getattr(onecycle, name) for name in names}
        about = (inspect.getdoc(sys.modules[module]) or "").partition("\n\n")[0]
        parts.append(f"## {module}\n\n{about}")
        parts += [entry(name, thing) for name, thing in things.items()]
    return "\n\n".join(parts) + "\n"


def entry(name: str, thing: Any) -> str:
    """One name; of a class also its public methods, those of our base classes too."""
    text = [f"### {name}"]
    if callable(thing):
        with contextlib.suppress(TypeError, ValueError):
            call = textwrap.fill(name + _signature(thing), 88, subsequent_indent="    ")
            text.append(f"```python\n{call}\n```")
    text.append(_prose(inspect.getdoc(thing) or ""))
    if inspect.isclass(thing):
        for method, function in inspect.getmembers(thing, inspect.isfunction):
            ours = function.__module__.startswith("onecycle.")
            if not method.startswith("_") and function.__doc__ and ours:
                first = inspect.getdoc(function) or ""
                title = _prose(first.splitlines()[0])
                text.append(f"- `.{method}{_signature(function)}`: {title}")
    return "\n\n".join(text)


def _signature(thing: Any) -> str:
    """As it is written: annotations without the quotes that they have as text."""
    return re.sub(r"(: |-> )'([^']*)'", r"\1\2", str(inspect.signature(thing)))


def _prose(doc: str) -> str:
    """A docstring as Markdown: what is not code between backticks is taken as it stands."""
    parts = doc.split("`")
    plain = (html.escape(part, quote=False) for part in parts[::2])
    parts[::2] = [re.sub(r"([\\*\[\]_])", r"\\\1", part) for part in plain]
    return "`".join(parts)


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
