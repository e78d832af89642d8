"""Run a notebook of the 2018-19 course on onecycle: only its import lines are changed.

    python scripts/run_notebook.py lesson.ipynb [--program lesson.py] [--figures FOLDER]

`%` lines are left out, `!` lines are left out and named; every cell is timed.
"""

from __future__ import annotations

import argparse
import json
import re
import time
from pathlib import Path
from typing import Any

IMPORT = re.compile(r"^(\s*from\s+)fastai((?:\.\w+)*\s+import\s)", re.MULTILINE)


def with_our_imports(source: str) -> str:
    """`from fastai.vision import *` becomes `from onecycle.course.vision import *`."""
    return IMPORT.sub(r"\1onecycle.course\2", source)


def cells_of(notebook: Path) -> list[str]:
    """The code cells as plain Python; what only a notebook understands is commented out."""
    found = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    code = [cell["source"] for cell in found if cell["cell_type"] == "code"]
    texts = [text if isinstance(text, str) else "".join(text) for text in code]
    return [with_our_imports(_plain(text)) for text in texts if not text.startswith("%%")]


def _plain(text: str) -> str:
    return re.sub(r"^(\s*)([%!].*)$", r"\1pass  # left out: \2", text, flags=re.MULTILINE)


def program_of(notebook: Path) -> str:
    """The whole notebook as one program."""
    parts = [f"# cell {n}\n{text.rstrip()}\n" for n, text in enumerate(cells_of(notebook), 1)]
    return "\n".join(parts)


def run(notebook: Path, figures: Path | None = None, quiet: bool = False) -> dict[str, Any]:
    """Run all cells in one namespace; returns it. An error says which cell it was."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    names: dict[str, Any] = {"__name__": "__main__"}
    for number, text in enumerate(cells_of(notebook), 1):
        begun = time.perf_counter()
        try:
            exec(compile(text, f"{notebook.name}[{number}]", "exec"), names)
        except Exception as error:
            error.add_note(f"in cell {number} of {notebook}:\n{text}")
            raise
        for count, figure in enumerate(map(plt.figure, plt.get_fignums())):
            if figures is not None:
                figures.mkdir(parents=True, exist_ok=True)
                figure.savefig(figures / f"{notebook.stem}_{number:02}_{count}.png", dpi=60)
        plt.close("all")
        if not quiet:
            print(f"-- cell {number}: {time.perf_counter() - begun:.1f} s", flush=True)
    return names


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("notebook", type=Path)
    parser.add_argument("--program", type=Path, help="write the program here, and do not run it")
    parser.add_argument("--figures", type=Path, help="save the figures in this folder")
    given = parser.parse_args()
    if given.program:
        given.program.write_text(program_of(given.notebook), encoding="utf-8")
    else:
        run(given.notebook, given.figures)


if __name__ == "__main__":
    main()
