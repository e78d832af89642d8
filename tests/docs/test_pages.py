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
# What a plot of the schedule needs beyond the public names.
DEEPER = {"onecycle.learn.optimizer": {"one_cycle"}}


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
    if goal.parent == DOCS / "reference":  # written when the site is built
        return goal.stem in script("reference_pages").PAGES
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
    generated = {f"reference/{name}.md" for name in script("reference_pages").PAGES}
    assert set(listed) == pages | generated
    assert len(listed) == len(set(listed))


BESIDE = ("index", "command-line", "http")


@pytest.fixture(scope="module")
def reference():
    """The pages of the reference by name."""
    return script("reference_pages").pages()


def heads(text, level):
    return re.findall(rf"^{'#' * level} (.+)$", text, re.MULTILINE)


def under(head, text):
    """What stands below a heading, down to the next one."""
    below = f"\n{text}".partition(f"\n{head}\n")[2]
    return below.partition("\n## ")[0]


def test_the_reference_has_each_public_name_once_with_what_its_docstring_says(reference):
    import onecycle

    whole = "\n".join(text for name, text in reference.items() if name not in BESIDE)
    found = heads(whole, 2)
    assert sorted(found) == sorted(onecycle.__all__)
    things = {name: getattr(onecycle, name) for name in found}
    silent = [n for n, t in things.items() if callable(t) and not (t.__doc__ or "").strip()]
    assert silent == []
    for name in ("Learner", "ImageList", "get_transforms", "accuracy"):
        assert inspect.getdoc(things[name]).splitlines()[0] in under(f"## {name}", whole)
    linked = re.findall(r"\[([^]]+)\]\(\w+\.md#", reference["index"])
    assert sorted(linked) == sorted(found)


def public_methods(thing):
    """The names of what a class of ours says about itself, its bases of ours included."""
    for name, what in inspect.getmembers(thing):
        function = what.fget if isinstance(what, property) else what
        ours = (getattr(function, "__module__", None) or "").startswith("onecycle.")
        if name[0] != "_" and ours and inspect.isroutine(function) and function.__doc__:
            yield name


def test_every_public_method_has_a_heading_at_one_class_which_the_others_name(reference):
    import onecycle

    whole = "\n".join(text for name, text in reference.items() if name not in BESIDE)
    headings, checked = heads(whole, 3), 0
    assert len(headings) == len(set(headings))
    for name in onecycle.__all__:
        thing = getattr(onecycle, name)
        if inspect.isclass(thing) and thing.__name__ == name:
            entry = under(f"## {name}", whole)
            for member in public_methods(thing):
                owners = re.findall(rf"^From `(\w+)`: .*`{member}`", entry, re.MULTILINE)
                assert f"{(owners or [name])[0]}.{member}" in headings, f"{name}.{member}"
                checked += 1
    assert checked > 300


@pytest.mark.parametrize(
    ("head", "said"),
    [
        ("### SplitItems.label_from_df", "label_delim: str | None = None"),
        ("### LabelledItems.databunch", "num_workers: int | None = None"),
        ("### LabelledItems.transform", "`resize_method`"),
        ("### LabelledItems.add_test", "unlabelled test set"),
        ("### Recorder.plot_losses", "Training loss per batch"),
        ("### Items.from_folder", "include: Sequence[str] | None = None"),
        ("## cnn_learner", "    metrics: Any = None,\n    wd: float | None = None,"),
        ("## cnn_learner", "    lin_ftrs: Sequence[int] | None = None,"),
        ("## text_classifier_learner", "    callbacks: Sequence[Callback] = (),"),
        ("## create_cnn", "Another name of `cnn_learner`."),
    ],
)
def test_what_is_looked_for_stands_under_its_heading(reference, head, said):
    whole = "\n".join(reference.values())
    assert said in under(head, whole).partition("\n### ")[0]


def test_the_page_of_the_command_line_has_every_command_and_option(reference):
    import typer.main

    from onecycle.cli.main import app

    def options(command, path):
        for parameter in command.params:
            yield from ((path, option) for option in parameter.opts)
        for name, part in getattr(command, "commands", {}).items():
            yield from options(part, f"{path} {name}")

    parts = re.split(r"^#+ (?:`(onecycle [\w -]+)`|.*)$", reference["command-line"], flags=re.M)
    sections = {
        name or "onecycle": text for name, text in zip(parts[1::2], parts[2::2], strict=True)
    }
    found = list(options(typer.main.get_command(app), "onecycle"))
    assert len(found) > 60
    shown = {pair: re.search(rf"`.*{re.escape(pair[1])}\b", sections[pair[0]]) for pair in found}
    assert [pair for pair, match in shown.items() if not match] == []


def test_the_page_of_http_has_every_address_of_the_description(reference):
    from onecycle.runtime.http.openapi import describe
    from onecycle.runtime.http.settings import Settings
    from onecycle.runtime.predictor import Predictor

    file = ROOT / "tests/runtime/golden/format1_texts.onnx"
    told = describe(Predictor(file), 1000, Settings())["paths"]
    ways = [f"{way.upper()} {path}" for path, forms in told.items() for way in forms]
    assert heads(reference["http"], 2) == ways
    rows = under("## POST /api/predict", reference["http"])
    assert "| images | `multipart/form-data` | `file`: list of file |" in rows
    assert "| texts | `application/json` | `text`: string; or `texts`: list of string |" in rows
    assert "| series | `application/json` | `series`: list of number or null |" in rows


def test_an_entry_of_the_reference_reads_as_it_was_written():
    def made(size: "tuple[int, str | None]" = (3, None), note: str = "a.b: b") -> "list[int]":
        """One of *two* in [0, 1]: `a*b` < c_d."""

    text = script("reference_pages").entry("made", made)
    call = "made(size: tuple[int, str | None] = (3, None), note: str = 'a.b: b') -> list[int]"
    assert f"```python\n{call}\n```" in text
    assert r"One of \*two\* in \[0, 1\]: `a*b` &lt; c\_d." in text


def test_only_a_wide_figure_keeps_its_width_on_a_phone():
    build = script("build_docs")
    assert build._image("one", "a.png", 576) == "![one](a.png)"
    wide = build._image('three "x"', "b.png", 1080)
    assert 'src="b.png" alt="three &quot;x&quot;" style="min-width: 640px"' in wide
    assert wide.startswith('<div style="overflow-x: auto">')
