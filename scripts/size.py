"""How large the library is, by the rules of its architecture: `make size`.

Lines of code are lines with a token that is neither a comment nor part of a docstring; the drawn
sample sets do not count. Fails where a limit is passed.
"""

from __future__ import annotations

import ast
import io
import sys
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1] / "src" / "onecycle"
SAMPLES = "samples"
IMAGE_ROOMS = ("core", "runtime", "data", "models", "learn", "vision")
MOST = {  # docs/architecture.md says where these come from: they rise with what the changelog names
    "code": 31_980,
    "way of an image": 20_780,
    "imports in 100 lines": 10.1,
    "lines of a file": 500,
}
_STATEMENTS, _PARAMETERS = 25, 7
REASON = "# long:"  # stands on the line of a longer function's `def`, with why


@dataclass(frozen=True)
class File:
    """One source file, parsed."""

    path: Path
    text: str
    tree: ast.Module

    @property
    def name(self) -> str:
        """The module's dotted name."""
        parts = self.path.relative_to(PACKAGE.parent).with_suffix("").parts
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

    def code(self) -> set[int]:
        """Numbers of the lines that hold code."""
        skipped = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT}
        skipped |= {tokenize.DEDENT, tokenize.ENDMARKER, tokenize.ENCODING}
        lines: set[int] = set()
        for token in tokenize.generate_tokens(io.StringIO(self.text).readline):
            if token.type not in skipped:
                lines |= set(range(token.start[0], token.end[0] + 1))
        return lines - self.docstrings()

    def docstrings(self) -> set[int]:
        """Numbers of the lines of docstrings, of attributes too."""
        return {
            line
            for node in ast.walk(self.tree)
            if isinstance(node, ast.Expr)
            and isinstance(node.value, ast.Constant)
            and isinstance(node.value.value, str)
            for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)
        }

    def imports(self) -> Iterator[ast.Import | ast.ImportFrom]:
        """Every import statement, wherever it stands."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import | ast.ImportFrom):
                yield node

    def import_lines(self) -> int:
        """Lines that import statements take."""
        return sum((n.end_lineno or n.lineno) - n.lineno + 1 for n in self.imports())

    def imported(self, known: set[str]) -> set[str]:
        """Modules of the package that are imported here, in functions and for types too."""
        found: set[str] = set()
        for node in self.imports():
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif node.module:
                inner = {f"{node.module}.{alias.name}" for alias in node.names}
                found |= (inner & known) or {node.module}
        return (found & known) - {self.name}


def read(package: Path = PACKAGE) -> list[File]:
    """All files of the package."""
    texts = {path: path.read_text(encoding="utf-8") for path in sorted(package.rglob("*.py"))}
    return [File(path, text, ast.parse(text)) for path, text in texts.items()]


def counted(files: list[File]) -> list[File]:
    """Those that the limits are about."""
    return [file for file in files if SAMPLES not in file.path.parts]


def circles(files: list[File]) -> list[list[str]]:
    """Groups of modules that import one another in a circle (Tarjan 1972)."""
    known = {file.name for file in files}
    arrows = {file.name: sorted(file.imported(known)) for file in files}
    order: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(name: str) -> None:
        order[name] = lowest[name] = len(order)
        stack.append(name)
        for other in arrows[name]:
            if other not in order:
                visit(other)
                lowest[name] = min(lowest[name], lowest[other])
            elif other in stack:
                lowest[name] = min(lowest[name], order[other])
        if lowest[name] == order[name]:
            group = stack[stack.index(name) :]
            del stack[stack.index(name) :]
            if len(group) > 1:
                found.append(sorted(group))

    for name in sorted(arrows):
        if name not in order:
            visit(name)
    return sorted(found)


def statements(function: ast.AST) -> int:
    """Statements in a function's body, docstring and inner functions' bodies included."""
    return sum(isinstance(node, ast.stmt) for node in ast.walk(function)) - 1


def long_functions(files: list[File]) -> list[str]:
    """Functions of more than 25 statements without a reason beside them."""
    return [
        f"{file.name}.{node.name}: {statements(node)} statements"
        for file in files
        for node in ast.walk(file.tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and statements(node) > _STATEMENTS
        and REASON not in file.text.splitlines()[node.lineno - 1]
    ]


def wide_functions(files: list[File]) -> list[str]:
    """Functions with an underscore (so no user calls them) and more than 7 parameters."""
    found = []
    for file in files:
        for node in ast.walk(file.tree):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("_"):
                arguments = node.args
                given = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
                count = len([a for a in given if a.arg not in {"self", "cls"}])
                if count > _PARAMETERS and node.name != "__init__":
                    found.append(f"{file.name}.{node.name}: {count} parameters")
    return found


def main() -> int:
    """Print the figures; 1 where a limit is passed."""
    everything = read()
    files = counted(everything)
    lines = {file: len(file.code()) for file in files}
    total = sum(lines.values())
    rooms: dict[str, int] = {}
    for file, count in lines.items():
        parts = file.path.relative_to(PACKAGE).parts
        room = parts[0] if len(parts) > 1 else "(top)"
        rooms[room] = rooms.get(room, 0) + count
    for room, count in sorted(rooms.items(), key=lambda pair: -pair[1]):
        print(f"{room:12} {count:6}")
    figures = {
        "code": total,
        "way of an image": sum(rooms.get(room, 0) for room in IMAGE_ROOMS),
        "imports in 100 lines": 100 * sum(file.import_lines() for file in files) / total,
        "lines of a file": max(len(file.text.splitlines()) for file in everything),
    }
    faults = []
    for name, value in figures.items():
        print(f"{name:22} {value:10,.1f}   at most {MOST[name]:,}")
        if value > MOST[name]:
            faults.append(name)
    print(f"files: {len(files)}, lines of code a file: {total / len(files):.0f}")
    findings = (
        ("import circles", [" <-> ".join(group) for group in circles(everything)]),
        ("functions of more than 25 statements", long_functions(files)),
        ("functions of more than 7 parameters", wide_functions(files)),
    )
    for name, found in findings:
        print(f"{name}: {len(found)}")
        for row in found:
            print(f"  {row}")
        if found:
            faults.append(name)
    if faults:
        print(f"beyond the limits: {', '.join(faults)}")
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main())
