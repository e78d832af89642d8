"""Run a notebook of the 2018-19 course on onecycle: only its import lines are changed.

    python scripts/run_notebook.py lesson.ipynb [--program FILE] [--figures FOLDER] [--untrained]

What only a notebook understands (`%` and `!` lines, `name?`) is left out and named; what stands
behind `%time` is run, and `x = !command` gives the command's lines. After any other `x = %magic`
`x` has no value. Every cell is timed.
"""

from __future__ import annotations

import argparse
import ast
import inspect
import json
import re
import time
from functools import partial
from pathlib import Path
from typing import Any

FASTAI = re.compile(r"fastai(?=$|[.\s])")
ASSIGNED = re.compile(r"""(\w[\w, .\[\]'"]*?)\s*=\s*([!%].*)""")
TIMED = re.compile(
    r"%%?(?:time|timeit|capture|prun)\b(?:\s+(?:-[slTD]\s*\S+|--[\w-]+|-\w+(?:\s+\d+)?))*"
)
MAGIC = re.compile(r"[%!?]|[^#'\"]*\?$")


def with_our_imports(source: str) -> str:
    """`from fastai.vision import *` becomes `from onecycle.course.vision import *`."""
    lines = [line.encode() for line in source.split("\n")]  # columns are counted in bytes
    try:
        nodes = list(ast.walk(ast.parse(source)))
    except SyntaxError:  # it is told when the cell is run
        return source
    found = [node for node in nodes if isinstance(node, ast.Import | ast.ImportFrom)]
    for node in sorted(found, key=lambda node: (node.lineno, node.col_offset), reverse=True):
        line, row = lines[node.lineno - 1], node.lineno - 1
        if isinstance(node, ast.Import) and node.end_lineno == node.lineno:
            begin, end = node.col_offset, node.end_col_offset
            lines[row] = line[:begin] + _imported(node).encode() + line[end:]
        elif (
            isinstance(node, ast.ImportFrom) and FASTAI.match(node.module or "") and not node.level
        ):
            before, after = line[: node.col_offset], line[node.col_offset :]
            lines[row] = before + after.replace(b"fastai", b"onecycle.course", 1)
    return b"\n".join(lines).decode()


def _imported(node: ast.Import) -> str:
    """`import fastai.vision as v` with our names; without `as` the name `fastai` is there too."""
    parts = []
    for name in node.names:
        ours = FASTAI.sub("onecycle.course", name.name, count=1)
        named = f" as {name.asname}" if name.asname else ""
        if ours == name.name or named:
            parts.append(ours + named)
        else:
            parts += [ours] * ("." in name.name) + ["onecycle.course as fastai"]
    return f"import {', '.join(parts)}"


def cells_of(notebook: Path) -> list[str]:
    """The code cells as plain Python; what only a notebook understands is commented out."""
    try:
        found = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
        code = [cell["source"] for cell in found if cell["cell_type"] == "code"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SystemExit(f"{notebook} is no notebook of format 4: {error!r}") from error
    texts = [text if isinstance(text, str) else "".join(text) for text in code]
    return [with_our_imports(_plain(text)) for text in texts]


def _plain(text: str) -> str:
    """The cell without a notebook's own lines; a cell of another language is commented out."""
    first, _, rest = text.lstrip().partition("\n")
    if first.startswith("%%"):
        timed = TIMED.match(first)
        note = f"pass  # left out: {first}\n"
        return note + (_plain(rest) if timed else re.sub("^", "# ", rest, flags=re.MULTILINE))
    done: list[str] = []
    lines = text.split("\n")
    while lines:
        line = lines.pop(0)
        bare = line.strip()
        indent = line[: len(line) - len(line.lstrip())]
        begins = _whole([*done, f"{indent}pass"])  # else it goes on with a statement or a text
        notebooks = MAGIC.match(bare) or ASSIGNED.fullmatch(bare)
        if begins and notebooks and not _whole([*done, line]):
            while bare.endswith("\\") and lines:
                bare = f"{bare[:-1].rstrip()} {lines.pop(0).strip()}"
            line = indent + _python(bare)
        done.append(line)
    return "\n".join(done)


def _python(line: str) -> str:
    """A notebook's own line as Python; what is left out of it stands behind as a comment."""
    assigned = ASSIGNED.fullmatch(line)
    if not assigned:
        timed = TIMED.match(line)
        kept = line[timed.end() :].strip() if timed else ""
        return f"{kept or 'pass'}  # left out: {line}"
    names, magic = assigned.groups()
    if magic.startswith("!"):
        return f"{names} = command_lines({magic[1:]!r}, {{**globals(), **locals()}})"
    if magic == "%pwd":
        return f"{names} = __import__('os').getcwd()"
    if timed := re.match(r"%time\s", magic):
        return f"{names} = {magic[timed.end() :].strip()}  # left out: {line}"
    each = [name.strip() for name in names.split(",") if name.strip()]
    return f"{' = '.join(each)} = None; del {', '.join(each)}  # left out: {line}"


def command_lines(command: str, names: dict[str, Any]) -> list[str]:
    """What a shell command prints; `{expr}` and `$name` in it are replaced where they have a value.

    `{{` and `$$` stand for themselves, as does a name between single quotes.
    """
    import re
    import subprocess

    def value(found: re.Match[str]) -> str:
        escaped, expression, name = found.groups()
        if escaped is not None:
            return f"{{{escaped}}}"
        if name and name.startswith("$"):
            return name
        try:
            return str(eval((expression or name).strip(), names))
        except Exception:  # a brace or a name of the shell's own
            return found[0]

    forms = r"\{\{([^{}]*)\}\}|\{([^{}]+)\}|\$(\$?[A-Za-z_][\w.]*)(?=(?:[^']*'[^']*')*[^']*$)"
    return subprocess.getoutput(re.sub(forms, value, command)).splitlines()


def _whole(lines: list[str]) -> bool:
    """Whether these lines are Python as they stand."""
    try:
        ast.parse("\n".join(lines))
    except SyntaxError:
        return False
    return True


def left_out(text: str) -> list[str]:
    """What of a cell was commented out."""
    return [
        line.partition("# left out: ")[2] for line in text.split("\n") if "# left out: " in line
    ]


def program_of(notebook: Path) -> str:
    """The whole notebook as one program."""
    parts = [f"# cell {n}\n{text.rstrip()}\n" for n, text in enumerate(cells_of(notebook), 1)]
    tools = f"from typing import Any\n\n\n{inspect.getsource(command_lines)}\n"
    needed = tools if any("= command_lines(" in part for part in parts) else ""
    return "\n".join([f"{needed}display = print  # a notebook has it\n", *parts])


LEARNERS = ("cnn_learner", "create_cnn", "unet_learner", "language_model_learner")
LEARNERS += ("text_classifier_learner",)


def _without_weights(names: dict[str, Any]) -> None:
    """Makers of learners that a cell has imported ask for no published weights from then on."""
    for name in LEARNERS:
        if name in names and not isinstance(names[name], partial):
            names[name] = partial(names[name], pretrained=False)


def run(
    notebook: Path, figures: Path | None = None, quiet: bool = False, untrained: bool = False
) -> dict[str, Any]:
    """Run all cells in one namespace; returns it. An error says which cell it was.

    `untrained`: networks begin without published weights, for which no network is needed.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    names: dict[str, Any] = {"__name__": "__main__", "display": print}
    names["command_lines"], gone = command_lines, list[str]()
    for number, text in enumerate(cells_of(notebook), 1):
        notes = [f"cell {number}: left out: {line}" for line in left_out(text)]
        gone += notes
        for line in [] if quiet else notes:
            print(f"-- {line}", flush=True)
        begun = time.perf_counter()
        try:
            exec(compile(text, f"{notebook.name}[{number}]", "exec"), names)
        except Exception as error:
            error.add_note(f"in cell {number} of {notebook}:\n{text}")
            _advise(error, gone)
            raise
        if untrained:
            _without_weights(names)
        for count, figure in enumerate(map(plt.figure, plt.get_fignums())):
            if figures is not None:
                figures.mkdir(parents=True, exist_ok=True)
                figure.savefig(figures / f"{notebook.stem}_{number:02}_{count}.png", dpi=60)
        plt.close("all")
        if not quiet:
            print(f"-- cell {number}: {time.perf_counter() - begun:.1f} s", flush=True)
    return names


def _advise(error: Exception, gone: list[str]) -> None:
    """Say in a note what of our doing is behind an error: a line left out, a module not there."""
    if isinstance(error, NameError) and error.name:
        for line in gone:
            if re.search(rf"\b{error.name}\b.*=\s*%", line):
                error.add_note(f"{error.name} has no value, as its line was left out: {line}")
    if isinstance(error, ModuleNotFoundError) and (error.name or "").startswith("onecycle.course."):
        error.add_note(
            "onecycle has no such module; all of its names are in onecycle.course: "
            "from onecycle.course import ..."
        )


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("notebook", type=Path)
    parser.add_argument("--program", type=Path, help="write the program here, and do not run it")
    parser.add_argument("--figures", type=Path, help="save the figures in this folder")
    parser.add_argument("--untrained", action="store_true", help="no published weights, offline")
    given = parser.parse_args()
    if given.program:
        given.program.write_text(program_of(given.notebook), encoding="utf-8")
    else:
        run(given.notebook, given.figures, untrained=given.untrained)


if __name__ == "__main__":
    main()
