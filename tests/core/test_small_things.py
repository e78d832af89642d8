"""Paths that list themselves, messages, lazy names, progress."""

import io
import pathlib
from contextlib import redirect_stderr

import pytest

from onecycle.core.display import EpochTable, bar, clock
from onecycle.core.errors import DataError, OnecycleError, SizeError, UsageError, listing
from onecycle.core.lazy import lazy_names
from onecycle.core.machine import Defaults
from onecycle.core.paths import Path, ls


def test_a_path_lists_its_folder_sorted_and_so_do_its_children(tmp_path):
    for name in ("b/2.txt", "b/1.txt", "a"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    path = Path(tmp_path)
    assert [p.name for p in path.ls()] == ["a", "b"]
    assert [p.name for p in (path / "b").ls()] == ["1.txt", "2.txt"]
    assert ls(str(tmp_path)) == path.ls()
    assert isinstance(path / "b", pathlib.Path)
    assert type(path.parent) is Path


def test_a_listing_shows_five_and_counts_the_rest():
    assert listing([3, "x y"]) == "3, 'x y'"
    assert listing(range(7)) == "0, 1, 2, 3, 4 and 2 more"


def test_a_user_may_catch_one_kind_the_tree_or_value_error():
    for kind in (SizeError, DataError, OnecycleError, ValueError):
        with pytest.raises(kind, match="too small"):
            raise SizeError("too small")


def test_lazy_names_load_on_first_use_and_refuse_others():
    get, names, listed = lazy_names("house", {"sqrt": "math", "json": "json"})
    assert get("sqrt")(9) == 3
    assert get("json").dumps([1]) == "[1]"  # a module's own name gives the module
    assert names() == listed == ["json", "sqrt"]
    with pytest.raises(AttributeError, match="'house' has no attribute 'cube'"):
        get("cube")


def test_every_public_name_is_where_the_table_says():
    import onecycle.vision
    from onecycle.names import VISION

    absent = [name for name in VISION if not hasattr(onecycle.vision, name)]
    assert absent == []


def test_the_clock_shows_hours_only_where_there_are_any():
    assert [clock(s) for s in (0.4, 75, 3675)] == ["00:00", "01:15", "1:01:15"]


def test_settings_that_do_not_exist_are_refused_when_they_are_made():
    import torch

    settings = Defaults()
    for device in (None, "cpu", "cuda", "cuda:1", "mps", torch.device("cpu")):
        settings.device = device
    for wrong in ("gpu", "cuda:", "CPU", "", 3.5, ["cpu"]):
        with pytest.raises(UsageError, match='device is None, "cpu", "cuda", "cuda:0", "mps"'):
            settings.device = wrong
    with pytest.raises(UsageError, match=r"no setting 'devise'.*device"):
        settings.devise = "cpu"
    assert settings.device == torch.device("cpu")


def test_a_table_pads_its_cells(capsys):
    table = EpochTable(["epoch", "a_long_metric_name"])
    table.row(["0", "0.5"])
    EpochTable(["hidden"], show=False).row(["x"])
    header, row = capsys.readouterr().out.splitlines()
    assert header == "epoch       a_long_metric_name"
    assert row == "0           0.5"
    assert header.index("a_long") == row.index("0.5")


def test_a_bar_gives_back_what_it_iterates_over_and_is_silent_without_a_screen():
    stderr = io.StringIO()
    with redirect_stderr(stderr):
        assert list(bar(iter("abc"), 3)) == list(bar("abc", 3, show=False)) == ["a", "b", "c"]
    assert stderr.getvalue() == ""


@pytest.mark.parametrize(
    ("package", "name"),
    [("vision", "ImageList"), ("text", "TextLMDataBunch"), ("series", "SeriesList")],
)
def test_a_star_import_gives_the_names_of_its_kind_of_data(package, name):
    names = {}
    exec(f"from onecycle.{package} import *", names)
    assert {name, "accuracy", "Learner", "load_learner"} <= set(names)
