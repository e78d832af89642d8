"""Write the stubs by which editors see the public names: `__init__.pyi` beside each lazy package.

    python scripts/write_stubs.py            # after a change of the tables of names
    python scripts/write_stubs.py --check    # 1 where a stub is not what the tables say

The packages hand out their names when these are first used, which no editor and no type checker can
follow. The course's paths, modules without a file at run time, have stubs of one line.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Mapping
from importlib import import_module
from pathlib import Path

import onecycle
from onecycle import course, names, series, text, vision
from onecycle.course import table

PACKAGE = Path(onecycle.__path__[0])
HEAD = "# Written by scripts/write_stubs.py: change the table of names, and run it again."


def stub(where: Mapping[str, str]) -> list[str]:
    """The lines that give each name of `where` from its home, "module" or "module:name"."""
    return [HEAD, "", *sorted(_import(name, home) for name, home in where.items())]


def _import(name: str, home: str) -> str:
    module, _, attribute = home.partition(":")
    if attribute or (name in vars(import_module(module)) and name not in table.FOREIGN):
        return f"from {module} import {attribute or name} as {name}"
    return f"import {module} as {name}"


def listed(lines: list[str], public: Iterable[str]) -> str:
    """A whole stub: its lines, and `__all__`."""
    return "\n".join([*lines, "", "__all__ = [", *(f'    "{n}",' for n in public), "]", ""])


def stubs() -> dict[Path, str]:
    """Every stub by its file."""
    tables = {onecycle: names.EVERYTHING, vision: names.VISION, text: names.TEXT}
    tables |= {series: names.SERIES, course: table.COURSE}
    found = {package: stub(where) for package, where in tables.items()}
    found[course] += ["from onecycle.course.table import Unsupported as Unsupported", ""]
    found[course] += [f"{name}: Unsupported" for name in sorted(table.UNSUPPORTED)]
    texts = {
        Path(package.__path__[0]) / "__init__.pyi": listed(lines, package.__all__)
        for package, lines in found.items()
    }
    for path in course.PATHS:
        parts = path.split(".")
        folder = PACKAGE.joinpath("course", *parts)
        is_package = any(other.startswith(f"{path}.") for other in course.PATHS)
        file = folder / "__init__.pyi" if is_package else folder.with_suffix(".pyi")
        lines = [HEAD, "", "from onecycle.course import *"]
        if path.endswith(".models"):
            lines += ["from onecycle.models import Architecture", ""]
            lines += [f"{name}: Architecture" for name in table.ARCHITECTURES]
        texts[file] = "\n".join([*lines, ""])
    return texts


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing; 1 where one differs")
    check, wanted = parser.parse_args().check, stubs()
    stale = set(PACKAGE.rglob("*.pyi")) - wanted.keys()
    changed = [f for f, text in wanted.items() if not f.is_file() or f.read_text("utf-8") != text]
    for file in sorted({*stale, *changed}):
        print(f"{'differs' if check else 'written'}: {file.relative_to(PACKAGE.parent)}")
        if check:
            continue
        if file in stale:
            file.unlink()
            continue
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(wanted[file], encoding="utf-8")
    return int(check and bool(stale or changed))


if __name__ == "__main__":
    sys.exit(main())
