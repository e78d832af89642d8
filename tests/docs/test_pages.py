"""The pages as they are written: their code compiles, names are public, links lead somewhere."""

import ast
import builtins
import importlib
import inspect
import re

import pytest
from docs_helpers import ROOT, script

DOCS = ROOT / "docs"
RUN = sorted(DOCS.rglob("*.py"))
WRITTEN = sorted([*DOCS.rglob("*.md"), ROOT / "README.md", ROOT / "CONTRIBUTING.md"])
# What an own kind of item or a plot of the schedule needs beyond the public names.
DEEPER = {  # what kinds of one's own are made of; CONTRIBUTING names them
    "onecycle.core.errors": {"DataError"},
    "onecycle.core.walk": {"FileKind"},
    "onecycle.data.arrays": {"ArrayInput", "Row"},
    "onecycle.learn.optimizer": {"one_cycle"},
    "onecycle.runtime.inputs.image": {"ImageSpec"},
    "onecycle.runtime.predictor": {"Predictor"},
    "onecycle.vision.input": {"ImageInput"},
}


def named(paths):
    return [pytest.param(p, id=p.relative_to(ROOT).as_posix()) for p in paths]


def taken(tree):
    """(module, name) of each import from this library."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "onecycle":
            yield from ((node.module, alias.name) for alias in node.names)


def private(tree):
    """Names and attributes that begin with one underscore."""
    found = {n.attr for n in ast.walk(tree) if isinstance(n, ast.Attribute)}
    return {name for name in found if re.match(r"_[a-z]", name)}


def unknown(tree):
    """Names that are read, but neither built in, nor bound in the page, nor imported by a star."""
    bound = set(dir(builtins)) | {"__file__", "__name__"}
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            bound.add(node.id)
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            bound.add(node.name)
        elif isinstance(node, ast.arg):
            bound.add(node.arg)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            for alias in node.names:
                star = alias.name == "*" and importlib.import_module(node.module).__all__
                bound |= set(star or [(alias.asname or alias.name).split(".")[0]])
        elif isinstance(node, ast.ExceptHandler) and node.name:
            bound.add(node.name)
    read = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)}
    return read - bound


def allowed(module, name):
    if name == "*":
        return module in ("onecycle", "onecycle.vision", "onecycle.text", "onecycle.series")
    public = importlib.import_module("onecycle").__all__
    return (module == "onecycle" and name in public) or name in DEEPER.get(module, ())


@pytest.mark.parametrize("page", named(RUN))
def test_a_page_that_runs_uses_names_that_are_there_and_public(page):
    tree = ast.parse(page.read_text(encoding="utf-8"))
    assert [found for found in taken(tree) if not allowed(*found)] == []
    assert private(tree) == set()
    assert unknown(tree) == set()


@pytest.mark.parametrize("page", named(p for p in WRITTEN if "```python" in p.read_text()))
def test_the_code_of_a_written_page_compiles_and_takes_public_names(page):
    """A written snippet may read names that its reader has: `learn`, `path`, `data`."""
    for code in re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
        tree = ast.parse(code)
        assert [found for found in taken(tree) if not allowed(*found)] == []
        assert private(tree) == set()


def titles(text):
    """The places in a page, as the site and GitHub name them."""
    heads = re.findall(r"^(?:# )?#{1,4} (.+)$", text, re.MULTILINE)
    plain = [re.sub(r"[^\w\- ]", "", head.lower()).strip() for head in heads]
    return {re.sub(r"[ -]+", "-", head) for head in plain}


def leads_somewhere(page, link):
    if re.match(r"[a-z]+:", link):
        return True
    name, _, place = link.partition("#")
    goal = (page.parent / name).resolve() if name else page
    if goal == DOCS / "reference.md":  # written when the site is built
        return True
    goal = goal.with_suffix(".py") if goal.with_suffix(".py") in RUN else goal
    return goal.exists() and (not place or place in titles(goal.read_text(encoding="utf-8")))


@pytest.mark.parametrize("page", named([*RUN, *WRITTEN]))
def test_every_link_of_a_page_leads_to_a_page_and_a_place(page):
    text = page.read_text(encoding="utf-8")
    if page.suffix == ".py":  # its prose stands in comments
        text = "\n".join(re.findall(r"^# (.*)$", text, re.MULTILINE))
    links = re.findall(r"\]\(\s*([^)\s]+)\s*\)", text) + re.findall(r'(?:src|href)="([^"]+)"', text)
    assert [link for link in links if not leads_somewhere(page, link)] == []


def test_every_written_page_is_in_the_navigation():
    pages = {p.relative_to(DOCS).with_suffix(".md").as_posix() for p in [*RUN, *DOCS.rglob("*.md")]}
    listed = re.findall(r'"([\w/-]+\.md)"', (ROOT / "zensical.toml").read_text())
    assert set(listed) == pages | {"reference.md"}
    assert len(listed) == len(set(listed))


def test_the_reference_has_each_public_name_once_with_what_its_docstring_says():
    import onecycle

    text = script("build_docs").reference()
    heads = re.findall(r"^### (.+)$", text, re.MULTILINE)
    assert sorted(heads) == sorted(set(onecycle.__all__) | {"__version__"})
    callables = {name: getattr(onecycle, name) for name in heads}
    silent = [n for n, t in callables.items() if callable(t) and not (t.__doc__ or "").strip()]
    assert silent == []
    for name in ("Learner", "ImageList", "get_transforms"):
        entry = text.partition(f"### {name}\n")[2].partition("\n### ")[0]
        assert inspect.getdoc(callables[name]).splitlines()[0] in entry


def test_an_entry_of_the_reference_reads_as_it_was_written():
    def made(size: "tuple[int, str | None]" = (3, None), note: str = "a: b") -> "list[int]":
        """One of *two* in [0, 1]: `a*b` < c_d."""

    text = script("build_docs").entry("made", made)
    call = "made(size: tuple[int, str | None] = (3, None), note: str = 'a: b') -> list[int]"
    assert f"```python\n{call}\n```" in text
    assert r"One of \*two\* in \[0, 1\]: `a*b` &lt; c\_d." in text


def test_only_a_wide_figure_keeps_its_width_on_a_phone():
    build = script("build_docs")
    assert build._image("one", "a.png", 576) == "![one](a.png)"
    wide = build._image('three "x"', "b.png", 1080)
    assert 'src="b.png" alt="three &quot;x&quot;" style="min-width: 640px"' in wide
    assert wide.startswith('<div style="overflow-x: auto">')
