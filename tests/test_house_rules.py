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


def test_every_text_file_is_opened_by_a_named_encoding():
    """Else it is Windows' code page there, and an accent is another letter or an error."""
    root = Path(__file__).parents[1]
    found = [
        f"{path.relative_to(root)}:{line}"
        for folder in ("src", "scripts")
        for path in sorted((root / folder).rglob("*.py"))
        for line in without_encoding(path.read_text(encoding="utf-8"))
    ]
    assert found == []


def test_that_scan_sees_what_it_is_for():
    source = (
        "p.read_text()\nopen(p)\nopen(p, 'w')\np.open('a')\np.write_text(t)\n"
        "p.read_text('utf-8')\nopen(p, 'rb')\np.open('wb')\np.write_text(t, 'utf-8')\n"
        "p.open(encoding='utf-8')\nImage.open(p)\np.write_text(t, encoding='utf-8')\n"
    )
    assert without_encoding(source) == [1, 2, 3, 4, 5]


def without_encoding(source):
    """Lines that open a file as text without saying in which encoding."""
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    return [call.lineno for call in calls if is_text(call) and not names_encoding(call)]


def name_of(call):
    return getattr(call.func, "attr", getattr(call.func, "id", None))


def is_text(call):
    """Modes are strings of few letters; `open` of other things than files has none or others."""
    if name_of(call) in {"read_text", "write_text"}:
        return isinstance(call.func, ast.Attribute)
    modes = [v.value for v in (*call.args, *(k.value for k in call.keywords)) if is_mode(v)]
    is_builtin = isinstance(call.func, ast.Name)
    return name_of(call) == "open" and (bool(modes) or is_builtin) and "b" not in "".join(modes)


def is_mode(value):
    found = getattr(value, "value", None)
    return isinstance(found, str) and 0 < len(found) < 4 and set(found) <= set("rwaxbt+")


def names_encoding(call):
    places = {"read_text": 1, "write_text": 2}
    named = any(keyword.arg == "encoding" for keyword in call.keywords)
    return named or len(call.args) >= places.get(name_of(call), 99)
