"""Paths as columns say the same as the paths themselves, and cost little."""

import os
import tracemalloc
from pathlib import PurePath

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onecycle.core.path_list import PathList, PathListBuilder, compact, joined, plain_items
from onecycle.core.paths import Path
from onecycle.core.walk import walk

PARTS = st.text(st.characters(exclude_characters="/\0"), min_size=1, max_size=6)
PATHS = st.builds(
    lambda root, parts: Path(root, *parts),
    st.sampled_from(["", "/", ".", "..", "/a"]),
    st.lists(PARTS, max_size=4),
)


@given(st.lists(PATHS, max_size=30))
def test_it_holds_the_paths_that_it_was_made_of(paths):
    found = PathList.of(paths)
    assert list(found) == paths
    assert [found[i] for i in range(-len(paths), len(paths))] == paths + paths
    assert list(found.strings()) == [str(path) for path in paths]
    assert found.by_folder(lambda folder: folder) == [path.parent for path in paths]
    assert all(type(path) is Path for path in found)


@given(st.lists(PATHS, max_size=30), st.data())
def test_what_is_taken_of_it_and_joined_is_what_lists_give(paths, data):
    rows = data.draw(st.lists(st.integers(0, max(len(paths) - 1, 0)), max_size=40))
    rows = rows if paths else []
    found = PathList.of(paths)
    taken, again = found[np.array(rows, np.int64)], found[1:][::-2]
    assert list(taken) == [paths[i] for i in rows]
    assert list(again) == paths[1:][::-2]
    both = joined(taken, again, found)
    assert isinstance(both, PathList)
    assert list(both) == [*taken, *again, *found]
    assert both == (*taken, *again, *found)


def test_it_is_asked_as_a_tuple_or_an_array_is():
    paths = [Path("a/1"), Path("b/2"), Path("b/3")]
    found = PathList.of(paths)
    assert list(found + found[:1]) == [*paths, paths[0]]
    more = [Path("c")]
    assert list(found + more) == [*paths, *more]
    assert list(found[[True, False, True]]) == [paths[0], paths[2]]
    assert list(found[[2, 0]]) == [paths[2], paths[0]]
    assert found[np.array(1)] == paths[1]
    assert list(found[[]]) == []


def test_names_that_are_no_text_come_back_as_they_are():
    name = os.fsdecode(b"caf\xe9-\xff.jpg")
    assert list(PathList.of([Path("a") / name, Path("ä") / "b.jpg"])) == [
        Path("a") / name,
        Path("ä/b.jpg"),
    ]


def test_places_outside_are_errors_and_not_other_paths():
    found = PathList.of([Path("a/1"), Path("b/2")])
    for index in (2, -3):
        with pytest.raises(IndexError):
            found[index]


def test_lists_differ_by_what_they_hold():
    one = PathList.of([Path("a/1"), Path("b/2")])
    assert one == PathList.of([Path("a/1"), Path("b/2")])
    assert one != PathList.of([Path("b/2"), Path("a/1")])
    assert one != [Path("a/1")]
    assert repr(one) == "PathList(2: 'a/1', 'b/2')"


def test_only_paths_become_columns():
    assert isinstance(compact([Path("a"), Path("b")]), PathList)
    mixed = (Path("a"), "b")
    assert compact(mixed) == mixed
    assert compact(iter(["a"])) == ("a",)
    assert joined(mixed, PathList.of([Path("c")])) == (*mixed, Path("c"))
    assert list(plain_items(compact([Path("a/b")]))) == ["a/b"]
    assert list(plain_items(mixed)) == [*mixed]


def made_of(folders, names):
    made = PathListBuilder()
    for folder in folders:
        made.add(folder, names)
    return made.finish()


def test_a_path_costs_its_name_and_some_bytes():
    count, names = 50_000, [f"{i:05}.jpg" for i in range(1000)]
    folders = [f"/photos/{folder}" for folder in range(count // 1000)]
    tracemalloc.start()
    found = made_of(folders, names)
    sides = found[np.arange(0, count, 2)], found[np.arange(1, count, 2)]
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert sum(map(len, sides)) == count
    assert size < count * (len(names[0]) + 40)


@given(st.sets(st.sampled_from(["a", "a.jpg", "a-b", "a/b", "ab", "B", "b.c/d"]), min_size=1))
def test_a_walk_gives_paths_in_their_order(tmp_path_factory, names):
    root = tmp_path_factory.mktemp("walk")
    for name in names:
        folder = root / "x" / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "1.jpg").touch()
        (folder / "c0.jpg").touch()
    found = list(walk(root, {".jpg"}).taken)
    assert found == sorted(found)
    assert {PurePath(p) for p in found} == set(root.rglob("*0.jpg")) | set(root.rglob("1.jpg"))
