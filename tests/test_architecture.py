"""The order of the rooms as a test: a package imports those before it, and no other."""

import ast
import re
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

import onecycle

ROOMS = [
    "core",
    "runtime",
    "fetch",
    "samples",
    "data",
    "models",
    "export",
    "learn",
    "vision",
    "text",
    "series",
    "interpret",
    "course",
    "cli",
]
STRANGERS = {("models", "data"), ("export", "data")} | {
    (a, b) for a in ("vision", "text", "series") for b in ("vision", "text", "series") if a != b
}
PICKLES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
ROOT = Path(onecycle.__file__).parent


def imports():
    """(file, line, imported module, names) of every import statement in the package."""
    for path in sorted(ROOT.rglob("*.py")):
        here = path.relative_to(ROOT)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                yield from ((here, node.lineno, alias.name, ()) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                names = tuple(alias.name for alias in node.names)
                yield here, node.lineno, "." * node.level + (node.module or ""), names


def between_rooms():
    """(importing room, imported room, where), of imports from one room into another."""
    for here, line, module, names in imports():
        if len(here.parts) == 1 or module.partition(".")[0] != "onecycle":
            continue
        parts = module.split(".")
        rooms = [parts[1]] if len(parts) > 1 else [name for name in names if name in ROOMS]
        for room in rooms:
            if room in ROOMS and room != here.parts[0]:
                yield here.parts[0], room, f"{here.as_posix()}:{line}"


@pytest.fixture(scope="module")
def size():
    """`scripts/size.py` by its names."""
    name = "size_of_the_library"
    spec = spec_from_file_location(name, Path(__file__).parents[1] / "scripts" / "size.py")
    sys.modules[name] = module = module_from_spec(spec)  # where its dataclass looks for itself
    spec.loader.exec_module(module)
    return module


def test_no_modules_import_one_another_in_a_circle(size):
    """Imports in functions and for types count, too."""
    assert size.circles(size.read()) == []


def test_circles_of_any_sort_are_found(size, tmp_path):
    (tmp_path / "onecycle").mkdir()
    for name, text in {
        "a": "from onecycle import b",
        "b": "def late():\n    from onecycle.c import x",
        "c": "if TYPE_CHECKING:\n    import onecycle.a",
        "d": "import onecycle.a",
    }.items():
        (tmp_path / "onecycle" / f"{name}.py").write_text(text)
    files = [
        size.File(size.PACKAGE / p.name, p.read_text(), ast.parse(p.read_text()))
        for p in sorted((tmp_path / "onecycle").glob("*.py"))
    ]
    assert size.circles(files) == [["onecycle.a", "onecycle.b", "onecycle.c"]]


def test_files_and_functions_are_short_and_take_few_arguments(size):
    files = size.counted(size.read())
    assert [f.name for f in files if len(f.text.splitlines()) > 500] == []
    assert size.long_functions(files) == []
    assert size.wide_functions(files) == []


def run(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_imports_point_downwards_only():
    upward = [w for a, b, w in between_rooms() if ROOMS.index(b) > ROOMS.index(a)]
    assert upward == []


def test_rooms_that_are_strangers_do_not_import_each_other():
    assert [where for a, b, where in between_rooms() if (a, b) in STRANGERS] == []


def test_every_package_is_a_room():
    packages = {path.parent.relative_to(ROOT).parts[0] for path in ROOT.glob("*/__init__.py")}
    assert packages <= set(ROOMS)


def test_imports_are_absolute_and_named():
    stars = [f"{h}:{n}" for h, n, m, names in imports() if m.startswith(".") or "*" in names]
    assert stars == []


def test_nothing_is_pickled():
    assert [f"{h}:{n}" for h, n, m, _ in imports() if m.partition(".")[0] in PICKLES] == []


def test_import_onecycle_loads_nothing_heavy():
    heavy = ["torch", "torchvision", "timm", "pandas", "matplotlib", "cv2", "PIL", "numpy"]
    loaded = run(f"import sys, onecycle; print([m for m in {heavy} if m in sys.modules])")
    assert loaded == "[]"


def test_what_few_users_need_is_imported_where_it_is_used():
    """Plots, tables and logs are loaded by the function that needs them, not with the package."""
    late = {"matplotlib", "pandas", "IPython", "tensorboard", "sklearn", "tqdm"}
    early = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in sorted(ROOT.rglob("*.py"))
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        for name in imported(node)
        if name.partition(".")[0] in late
    ]
    assert early == []


def imported(statement):
    if isinstance(statement, ast.ImportFrom):
        return [statement.module or ""]
    return [alias.name for alias in statement.names] if isinstance(statement, ast.Import) else []


def test_core_and_runtime_import_where_torch_is_not_installed():
    modules = [
        ".".join(("onecycle", *path.relative_to(ROOT).with_suffix("").parts))
        for room in ("core", "runtime")
        for path in sorted((ROOT / room).rglob("*.py"))
    ]
    code = f"""
import sys, importlib
for gone in ("torch", "torchvision", "timm", "pandas", "cv2"):
    sys.modules[gone] = None
for name in {modules}:
    importlib.import_module(name)
print("imported")
"""
    assert run(code) == "imported"


def test_masks_and_points_are_decoded_where_torch_is_not_installed():
    code = """
import json, sys
for gone in ("torch", "torchvision", "timm", "pandas", "cv2"):
    sys.modules[gone] = None
import numpy as np
from onecycle.runtime.inputs.image import ImageSpec
from onecycle.runtime.targets.mask import MaskSpec
from onecycle.runtime.targets.points import PointsSpec
from onecycle.runtime.task import task_from_json, task_to_json
def read_back(target):
    return task_from_json(json.loads(json.dumps(task_to_json(ImageSpec((2, 3)), target))))[1]
sky_road_tree = np.array([[[.1, .8, .1], [.2, .2, .4]],
                          [[.7, .1, .2], [.5, .1, .3]],
                          [[.2, .1, .7], [.3, .7, .3]]])
mask = read_back(MaskSpec(classes=("sky", "road", "tree"), void=2)).decode(sky_road_tree)
print(mask.data.tolist(), mask)
points = read_back(PointsSpec(count=2, flip_pairs=((0, 1),))).decode(np.array([-.5, .25, 0, 1]))
print(points.data.tolist(), points)
"""
    assert run(code).splitlines() == [
        "[[[1, 0, 2], [1, 2, 0]]] mask 2 x 3",
        "[[-0.5, 0.25], [0.0, 1.0]] 2 points",
    ]


def kinds():
    """Names of the classes that are kinds of inputs and answers, and the files that define them."""
    classes = {
        node: path
        for path, tree in trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
    }
    names, files = {"InputSpec", "TargetSpec"}, set()
    grown = True
    while grown:
        before = len(names)
        for node, path in classes.items():
            if names & {getattr(base, "id", "") for base in node.bases} or node.name in names:
                names.add(node.name)
                files.add(path)
        grown = len(names) > before
    return names, files


def trees():
    for path in sorted(ROOT.rglob("*.py")):
        yield path, ast.parse(path.read_text(encoding="utf-8"))


ASKED = re.compile(r"(^|[._])(task|target|input|given|spec)$")


def kind_names():
    nodes = [node for _, tree in trees() for node in ast.walk(tree)]
    marks = [n for n in nodes if isinstance(n, ast.AnnAssign) and ast.unparse(n.target) == "kind"]
    return {n.value.value for n in marks if isinstance(n.value, ast.Constant)}


def probes(path, names, kinds_named):
    """Places that look at what kind an input or an answer is, in place of asking it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        where = f"{path.relative_to(ROOT).as_posix()}:{getattr(node, 'lineno', 0)}"
        if isinstance(node, ast.Compare):
            sides = [ast.unparse(side) for side in (node.left, *node.comparators)]
            if any(re.search(r"(?<!dtype)\.kind$|\[.kind.\]$", side) for side in sides):
                yield f"{where} compares a kind"
            named = {n.value for n in ast.walk(node) if isinstance(n, ast.Constant)}
            if named & kinds_named and any(re.search(r"kind$", side) for side in sides):
                yield f"{where} compares the name of a kind"
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
            continue
        if node.func.id in ("isinstance", "issubclass"):
            named = {n.id for n in ast.walk(node.args[1]) if isinstance(n, ast.Name)}
            if named & names - {"InputSpec", "TargetSpec", "Input", "Target"}:  # any kind at all
                yield f"{where} asks for a class of a kind"
        asks = node.func.id == "hasattr" or (node.func.id == "getattr" and len(node.args) == 3)
        if asks and ASKED.search(ast.unparse(node.args[0])):
            yield f"{where} probes a task for a member"


def test_kinds_answer_for_themselves():
    names, files = kinds()
    assert {"ImageSpec", "ImageInput", "Category", "Mask", "NextToken", "ArrayInput"} <= names
    outside, known = [path for path, _ in trees() if path not in files], kind_names()
    assert {"image", "category", "mask", "next_token"} <= known
    found = [line for path in outside for line in probes(path, names, known)]
    assert found == []
