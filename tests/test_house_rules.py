"""Rules of the house that no linter knows."""

import ast
from pathlib import Path

ANSWERS = {"allclose", "array_equal", "array_equiv", "equal", "isclose", "issubset", "samefile"}


def test_no_comparison_is_thrown_away():
    """`np.allclose(a, b)` alone on a line checks nothing: it wants an assert."""
    found = [
        f"{path.name}:{line}"
        for path in sorted(Path(__file__).parent.rglob("*.py"))
        for line in thrown_away(path.read_text(encoding="utf-8"))
    ]
    assert found == []


def test_the_scan_sees_what_it_is_for():
    source = "np.allclose(a, b)\nassert np.allclose(a, b)\nequal(a, b)\na == b\ncheck(a, b)\n"
    assert thrown_away(source) == [1, 3, 4]


def thrown_away(source):
    """Lines that compute a comparison and do nothing with it."""
    alone = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Expr)]
    return [node.lineno for node in alone if is_comparison(node.value)]


def is_comparison(value):
    if isinstance(value, ast.Compare):
        return True
    function = getattr(value, "func", None)
    return getattr(function, "attr", getattr(function, "id", None)) in ANSWERS
