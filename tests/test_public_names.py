"""What programs import stays where it is: a stored list, which only grows."""

import ast
import importlib
import inspect
import json
import typing
from pathlib import Path

import pytest
from docs_helpers import script

import onecycle
from onecycle import Architecture, LearnerOptions, OnecycleError, OnecycleWarning, names
from onecycle.core import errors
from onecycle.course.table import COURSE, Unsupported

STORED = json.loads((Path(__file__).parent / "stored/public_names.json").read_text())


@pytest.mark.parametrize("module", STORED)
def test_no_public_name_has_gone(module):
    names = STORED[module] if isinstance(STORED[module], list) else STORED["onecycle.course"]
    assert set(names) - set(importlib.import_module(module).__all__) == set()


@pytest.mark.parametrize(
    "module", ["onecycle", "onecycle.vision", "onecycle.text", "onecycle.series"]
)
def test_every_public_name_can_be_had(module):
    found = importlib.import_module(module)
    for name in found.__all__:
        assert getattr(found, name) is not None


# What editors and type checkers are told.

PACKAGE = Path(onecycle.__path__[0])
STUBS = sorted(p.relative_to(PACKAGE) for p in PACKAGE.rglob("*.pyi"))


def test_the_stubs_are_those_of_the_tables():
    wanted = {f.relative_to(PACKAGE): text for f, text in script("write_stubs").stubs().items()}
    found = {stub: (PACKAGE / stub).read_text("utf-8") for stub in STUBS}
    advice = "run: python scripts/write_stubs.py"
    assert sorted(wanted) == STUBS, advice
    assert [str(s) for s in STUBS if wanted[s] != found[s]] == [], advice


@pytest.mark.parametrize("stub", [stub.as_posix() for stub in STUBS])
def test_a_stub_says_what_its_package_hands_out(stub):
    parts = Path(stub).with_suffix("").parts
    name = ".".join(["onecycle", *parts]).removesuffix(".__init__")
    package, told, listed = importlib.import_module(name), {}, None
    for node in ast.parse((PACKAGE / stub).read_text("utf-8")).body:
        if isinstance(node, ast.Import):
            told |= {alias.asname: importlib.import_module(alias.name) for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            home = importlib.import_module(node.module)
            for alias in node.names:
                them = home.__all__ if alias.name == "*" else [alias.name]
                told |= {n if alias.name == "*" else alias.asname: getattr(home, n) for n in them}
        elif isinstance(node, ast.AnnAssign):
            told[node.target.id] = getattr(package, node.target.id)
            assert type(told[node.target.id]).__name__ == node.annotation.id
        else:
            listed = ast.literal_eval(node.value)
    told.pop(None, None)  # imported for an annotation
    told.pop("Unsupported", None)
    assert (listed or sorted(told)) == package.__all__ == sorted(told)
    assert [n for n, thing in told.items() if not same(getattr(package, n), thing)] == []


def same(one, other):
    """One object; or made anew each time, as architectures; or a path of the course's names."""
    if isinstance(one, Architecture | Unsupported):
        return one == other
    return one is other or getattr(one, "__name__", "").startswith("onecycle.course.")


def test_every_error_can_be_imported_from_the_top_and_none_comes_with_a_star():
    ours = {
        name
        for name, thing in vars(errors).items()
        if inspect.isclass(thing) and issubclass(thing, OnecycleError | OnecycleWarning)
    }
    assert len(ours) > 15
    assert ours <= set(onecycle.__all__)
    assert not ours & set(importlib.import_module("onecycle.vision").__all__)


INSIDE = {"Input", "InputSpec", "ImageInput", "ImageSpec", "ArrayInput"}  # of kinds of one's own,
INSIDE |= {"Target", "TargetSpec", "Transform", "Plan"}  # and of transforms: documented there


def own_functions(thing):
    """A function, or the public methods and properties of a class and of our bases of it."""
    if not inspect.isclass(thing):
        return [thing]
    ours = [base for base in thing.__mro__ if base.__module__.startswith("onecycle")]
    members = [pair for base in ours for pair in vars(base).items()]
    shown = [m for name, m in members if name[0] != "_" or name in ("__init__", "__getitem__")]
    unpacked = [getattr(m, "fget", None) or getattr(m, "__func__", m) for m in shown]
    return [inspect.unwrap(f) for f in unpacked if inspect.isroutine(f)]


def mentioned(thing):
    """Classes of ours in the annotations of what a user may call of `thing`."""
    import pandas as pd

    from onecycle.data.task import Input

    found, later = set(), {"pd": pd, "Input": Input}  # imported for type checkers alone
    todo = []
    for function in own_functions(thing):
        if inspect.isfunction(function):
            todo += typing.get_type_hints(function, localns=later).values()
    while todo:
        hint = todo.pop()
        for arg in typing.get_args(hint):
            todo += arg if isinstance(arg, list) else [arg]
        if inspect.isclass(hint) and hint.__module__.startswith("onecycle."):
            found.add(hint)
    return found


def test_every_type_that_a_public_signature_mentions_can_be_imported_from_the_top():
    public = {name: getattr(onecycle, name) for name in onecycle.__all__}
    known = [t for t in public.values() if inspect.isclass(t)]
    lacking = {
        f"{kind.__module__}.{kind.__name__}, of {name}"
        for name, thing in public.items()
        if callable(thing) and name not in INSIDE
        for kind in mentioned(thing)
        if kind not in known
    }
    assert sorted(lacking) == []


def test_the_options_of_learners_are_those_of_learner():
    taken = set(inspect.signature(onecycle.Learner.__init__).parameters)
    assert set(LearnerOptions.__annotations__) == taken - {"self", "data", "model", "groups"}


def test_the_names_for_annotations_come_with_no_star_import():
    apart = names.TYPES.keys() | names.KINDS.keys()
    for starred in (names.VISION, names.TEXT, names.SERIES, COURSE):
        assert not apart & starred.keys()
