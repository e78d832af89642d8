"""Every look into a folder goes by one rule, and says what it passes by."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onecycle.core.errors import EmptyDataError, OnecycleWarning
from onecycle.core.path_list import PathList
from onecycle.core.walk import FileKind, Walk, _taken_of, files_below, walk, with_dots

SOUNDS = FileKind(
    "sound",
    with_dots(["wav", "flac"]),
    with_dots(["mp3", "ogg"]),
    lambda begin: begin.startswith(b"RIFF"),
)


def fill(root, *names, content=b"x"):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


def names(root, *args, **options):
    return [
        file.relative_to(root).as_posix() for file in files_below(root, SOUNDS, *args, **options)
    ]


def test_files_come_sorted_from_every_depth_whatever_the_case_of_their_ending(tmp_path):
    fill(tmp_path, "b/2.wav", "b/10.WAV", "a/deep/er/x.Flac", "z.wav", "a/table.csv")
    assert names(tmp_path) == ["a/deep/er/x.Flac", "b/10.WAV", "b/2.wav", "z.wav"]
    assert names(tmp_path, recurse=False) == ["z.wav"]
    assert names(tmp_path, include=["a"]) == ["a/deep/er/x.Flac", "z.wav"]


def test_a_folder_with_the_name_of_a_file_is_no_file(tmp_path):
    fill(tmp_path, "scans.wav/1.wav")
    assert names(tmp_path) == ["scans.wav/1.wav"]
    assert names(tmp_path, recurse=False) == []


@pytest.mark.parametrize(
    "hidden",
    ["a/.ipynb_checkpoints/1.wav", "a/._1.wav", "__MACOSX/a/1.wav", ".trash/x/y/1.wav",
     "@eaDir/1.wav", "a/.1.wav", "a/_temporary/0/1.wav"],
)  # fmt: skip
def test_what_tools_hide_is_left_out_and_counted(tmp_path, hidden):
    fill(tmp_path, "a/1.wav", hidden, hidden.replace("1.wav", "2.txt"))
    with pytest.warns(OnecycleWarning) as messages:
        assert names(tmp_path) == ["a/1.wav"]
    (message,) = (str(warning.message) for warning in messages)
    assert message.startswith("1 hidden sound files")
    assert hidden in message


def test_hidden_folders_below_others_are_not_asked_for_without_recursion(tmp_path):
    fill(tmp_path, "1.wav", ".x/1.wav")
    assert names(tmp_path, recurse=False) == ["1.wav"]


def test_hidden_folders_in_which_nobody_keeps_data_are_no_reason_to_warn(tmp_path):
    fill(tmp_path, "1.wav", ".git/objects/1.wav", ".venv/lib/1.wav", ".config/notes.txt")
    assert names(tmp_path) == ["1.wav"]


def test_a_folder_that_is_itself_hidden_was_asked_for(tmp_path):
    assert names(fill(tmp_path / ".mine" / "data", "1.wav")) == ["1.wav"]


def test_files_of_the_family_are_counted_by_their_ending_with_the_way_to_take_them(tmp_path):
    fill(tmp_path, "1.wav", "2.mp3", "a/3.MP3", "4.ogg", "5.csv", "6.json")
    with pytest.warns(OnecycleWarning) as messages:
        assert names(tmp_path, option="extensions") == ["1.wav"]
    (message,) = (str(warning.message) for warning in messages)
    assert "1 sound files" in message
    assert "3 that seem to hold such data are left out for their endings: 2 .mp3, 1 .ogg" in message
    assert "extensions=['.flac', '.wav', '.mp3', '.ogg'] takes them" in message
    with pytest.warns(OnecycleWarning, match="Name such files themselves, or convert them"):
        names(tmp_path)


def test_an_unknown_ending_or_none_counts_if_the_file_begins_like_one(tmp_path):
    fill(tmp_path, "1.wav", "notes", "a.part")
    fill(tmp_path, "recording", "b.bak", "c.bak", content=b"RIFF....")
    with pytest.warns(OnecycleWarning, match=r"left out for their endings: 2 \.bak\. "):
        assert names(tmp_path) == ["1.wav"]  # "notes" comes first of those without an ending
    (tmp_path / "notes").unlink()
    with pytest.warns(OnecycleWarning, match=r"3 that .*: 2 \.bak, 1 without one"):
        assert names(tmp_path) == ["1.wav"]


def test_what_is_about_the_data_is_no_data(tmp_path):
    kind = FileKind("text", with_dots(["txt"]), with_dots(["md", ""]))
    fill(tmp_path, "1.txt", "README.md", "a/Readme.md", "LICENSE", "COPYING")
    assert [file.name for file in files_below(tmp_path, kind)] == ["1.txt"]
    fill(tmp_path, "chapter.md")
    with pytest.warns(OnecycleWarning, match=r"endings: 1 \.md"):
        files_below(tmp_path, kind)


def test_whoever_says_the_endings_has_decided(tmp_path):
    fill(tmp_path, "1.wav", "2.mp3", "3", "4.ogg")
    assert names(tmp_path, with_dots("wav")) == ["1.wav"]
    assert names(tmp_path, with_dots([".MP3", "ogg"])) == ["2.mp3", "4.ogg"]
    assert names(tmp_path, with_dots([""])) == ["3"]


def test_endings_are_compared_with_their_dot_in_lower_case():
    assert with_dots(["PNG", ".Jpg", ""]) == {".png", ".jpg", ""}
    assert with_dots("tif") == {".tif"}


def test_what_is_no_folder_is_an_error(tmp_path):
    for wrong in (fill(tmp_path, "1.wav") / "1.wav", tmp_path / "gone"):
        with pytest.raises(EmptyDataError, match="is not a folder"):
            files_below(wrong, SOUNDS)


def test_a_folder_that_may_not_be_read_is_named(tmp_path, monkeypatch):
    fill(tmp_path, "a/1.wav", "b/2.wav")
    scan = os.scandir

    def scandir(path):
        if str(path).endswith("b"):
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.warns(OnecycleWarning, match=r"1 folders .*cannot be read.*b: Permission denied"):
        assert names(tmp_path) == ["a/1.wav"]


needs_links = pytest.mark.skipif(os.name != "posix", reason="links need rights on Windows")


@needs_links
def test_links_to_folders_are_followed(tmp_path):
    fill(tmp_path / "far", "1.wav", "deep/2.wav")
    (tmp_path / "set" / "red").mkdir(parents=True)
    (tmp_path / "set" / "blue").symlink_to(tmp_path / "far")
    assert names(tmp_path / "set") == ["blue/1.wav", "blue/deep/2.wav"]


@needs_links
@pytest.mark.parametrize("target", [".", "..", "../a"])
def test_links_in_a_circle_end(tmp_path, target):
    root = fill(tmp_path / "set", "a/1.wav", "b/2.wav")
    (root / "a" / "again").symlink_to(root / "a" / target, target_is_directory=True)
    found = names(root)
    assert sorted(set(found)) == found
    assert {"a/1.wav", "b/2.wav"} <= set(found)
    assert len(found) == 2


@needs_links
def test_a_link_to_a_folder_that_is_walked_anyway_is_left_out_with_a_word(tmp_path):
    root = fill(tmp_path / "set", "run1/cat/1.wav", "run2/cat/2.wav", ".store/3.wav")
    (root / "a_latest").symlink_to(root / "run2")  # before and behind it in the alphabet
    (root / "run1" / "zoo").symlink_to(root / "run1" / "cat")
    (root / "stored").symlink_to(root / ".store")
    with pytest.warns(OnecycleWarning) as messages:
        assert names(root) == ["run1/cat/1.wav", "run2/cat/2.wav", "stored/3.wav"]
    first, second = (str(warning.message) for warning in messages)
    assert "1 hidden sound files" in first
    assert "2 links" in second
    assert "'a_latest', 'run1/zoo'" in second
    with pytest.warns(OnecycleWarning, match="hidden") as messages:
        assert names(root, include=["a_latest"]) == ["a_latest/cat/2.wav"]
    assert len(messages) == 1


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no such pipes")
def test_a_pipe_is_not_waited_for(tmp_path):
    fill(tmp_path, "1.wav")
    os.mkfifo(tmp_path / "pipe")
    assert names(tmp_path) == ["1.wav"]


def test_the_whole_walk_keeps_what_was_passed_by(tmp_path):
    fill(tmp_path, "1.wav", ".2.wav", "3.mp3", "4.csv")
    found = walk(tmp_path, {".wav"})
    assert [file.name for file in found.taken] == ["1.wav"]
    assert [file.name for file in found.hidden] == [".2.wav"]
    assert {ending: len(files) for ending, files in found.others.items()} == {".mp3": 1, ".csv": 1}
    assert all(isinstance(file, Path) for file in found.taken)


@given(
    st.lists(st.from_regex(r"[.ab]{1,2}(\.wav|\.WAV|\.Wav|\.txt|)", fullmatch=True), unique=True)
)
def test_a_name_is_taken_or_passed_by_whatever_stands_beside_it(names):
    def told(*lists):
        found, taken = Walk(Path("r"), PathList.of(())), []
        for each in lists:
            taken += _taken_of(found, "r", each, SOUNDS.suffixes)
        return sorted(taken), found.hidden, found.others

    assert told(names) == told(*([name] for name in names))
