"""What was found out about files is asked once, and again for those that have changed."""

import os
import subprocess
import sys
import time
from pathlib import Path
from threading import get_ident

import pytest

from onecycle.cli.lan import certificate
from onecycle.core import file_cache
from onecycle.core.display import in_threads
from onecycle.core.errors import UsageError
from onecycle.core.file_cache import look_at_files
from onecycle.fetch.urls import Config
from onecycle.vision.pixel_cache import PixelCache

LONG_AGO = time.time() - 60


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ONECYCLE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "files.sqlite"


@pytest.fixture
def files(tmp_path):
    return [write(tmp_path / f"{i}.txt", "x" * i) for i in range(9)]


def write(path, text, when=LONG_AGO):
    path.write_text(text)
    os.utime(path, (when, when))
    return path


def ask(files, name="length"):
    """(what is found, the files that were opened for it)."""
    opened = []

    def look(path):
        opened.append(Path(path).name)
        return [len(Path(path).read_text()), "\u00e9"]

    return [row[0] for row in look_at_files(name, look, files)], sorted(opened)


def test_only_files_that_changed_are_looked_at_again(cache, files):
    assert ask(files) == (list(range(9)), [f"{i}.txt" for i in range(9)])
    assert ask(files) == (list(range(9)), [])
    assert ask([str(file) for file in reversed(files)]) == (list(range(9))[::-1], [])
    write(files[2], "longer")
    write(files[5], "yyyyy", LONG_AGO - 5)
    files.append(write(files[0].with_name("9.txt"), "new"))
    assert ask(files) == ([0, 1, 6, 3, 4, 5, 6, 7, 8, 3], ["2.txt", "5.txt", "9.txt"])
    assert ask(files[:3], "another question")[1] == ["0.txt", "1.txt", "2.txt"]


def test_a_file_put_in_place_with_the_old_time_and_size_is_looked_at_again(cache, files):
    ask(files)
    write(files[0].with_name("new"), "zz").replace(files[2])
    assert ask(files)[1] == ["2.txt"]


def test_a_name_from_the_folder_it_is_in_is_the_same_file(cache, files, monkeypatch):
    ask(files)
    monkeypatch.chdir(files[0].parent)
    assert ask([file.name for file in files]) == (list(range(9)), [])


def test_a_file_that_was_written_just_now_may_change_again(cache, files):
    write(files[3], "abc", time.time())
    ask(files)
    assert ask(files)[1] == ["3.txt"]


def test_nothing_is_no_answer_to_keep(cache, files):
    asked = []
    for _ in range(2):
        found = look_at_files("odd", lambda p: asked.append(p) if p == files[1] else 1, files)
        assert found == [1, None, *[1] * 7]
    assert asked == [files[1]] * 2
    files[4].unlink()
    assert look_at_files("odd", lambda p: None if p == files[1] else 2, files)[3:6] == [1, 2, 1]


@pytest.mark.parametrize("content", [b"", b"no database at all, but longer than a header" * 9])
def test_a_damaged_cache_is_begun_anew(cache, files, content):
    cache.parent.mkdir()
    cache.write_bytes(content)
    assert ask(files)[0] == list(range(9))
    assert ask(files)[1] == []


def test_a_cache_that_cannot_be_written_costs_time_alone(cache, files):
    cache.parent.write_text("a file where the folder should be")
    assert [ask(files) for _ in range(2)] == [ask(files)] * 2
    assert ask(files)[0] == list(range(9))


def test_the_cache_does_not_grow_without_end(cache, files, monkeypatch):
    ask(files)
    monkeypatch.setattr(file_cache, "_MOST", cache.stat().st_size - 1)
    assert ask(files)[1] == [f"{i}.txt" for i in range(9)]
    assert cache.exists()


def test_what_was_found_before_an_interrupt_is_kept(cache, files):
    def interrupted(path):
        if path == files[6]:
            raise KeyboardInterrupt
        return [len(path.read_text()), ""]

    with pytest.raises(KeyboardInterrupt):
        look_at_files("length", interrupted, files)
    assert ask(files)[1] == ["6.txt", "7.txt", "8.txt"]


def test_what_was_found_before_a_kill_is_kept_but_for_the_last(cache, files):
    code = """
import os, sys, threading
from onecycle.core import file_cache

def write_and_say(rows):
    write(rows)
    written.set()

def look(path):
    if "7.txt" in path:
        written.wait(30)
        os._exit(9)
    return [1, ""]

written, write = threading.Event(), file_cache._write
file_cache._write, file_cache._KEPT_AFTER = write_and_say, 2
file_cache.look_at_files("length", look, sys.argv[1:])
"""
    done = subprocess.run([sys.executable, "-c", code, *map(str, files)], timeout=60)
    assert done.returncode == 9
    again = ask(files)[1]
    assert "7.txt" in again
    assert "0.txt" not in again


def test_an_interrupt_does_not_wait_for_all_rows():
    done = []

    def slow(i):
        if i == 3:
            raise KeyboardInterrupt
        time.sleep(0.001)
        done.append(i)

    with pytest.raises(KeyboardInterrupt):
        in_threads(slow, range(5000), workers=2)
    assert len(done) < 2500


def test_two_processes_keep_what_both_have_found(cache, tmp_path):
    files = [write(tmp_path / f"p{i}.txt", "x") for i in range(600)]
    code = (
        "import sys, time; from onecycle.core import file_cache as f; f._KEPT_AFTER = 20\n"
        "f.look_at_files('length', lambda p: [1, ''], sys.argv[1:])"
    )
    parts = (files[:400], files[200:])
    started = [subprocess.Popen([sys.executable, "-c", code, *map(str, part)]) for part in parts]
    assert [process.wait(60) for process in started] == [0, 0]
    assert ask(files) == ([1] * 600, [])


@pytest.mark.parametrize("count", [0, 1, 2, 7, 64, 65, 1000])
def test_rows_come_back_in_their_order(count):
    rows = list(range(count))
    found = in_threads(lambda a, b: (a, b), rows, rows[::-1], workers=3)
    assert found == [(i, count - 1 - i) for i in rows]
    threads = in_threads(lambda _: time.sleep(0.001) or get_ident(), rows, workers=3)
    assert len(set(threads)) <= 3
    assert count < 64 or len(set(threads)) > 1


def test_who_has_no_home_is_told_what_to_set_and_looks_at_files_without_a_cache(
    files, monkeypatch, tmp_path
):
    def homeless(path):
        raise RuntimeError("Could not determine home directory.")

    for name in ("ONECYCLE_CACHE", "ONECYCLE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "expanduser", homeless)
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)  # which Path.home asks from 3.12
    assert ask(files) == ask(files) == (list(range(9)), [f"{i}.txt" for i in range(9)])
    for call, variable in [
        (PixelCache, "ONECYCLE_CACHE"),
        (Config.home, "ONECYCLE_HOME"),
        (lambda: certificate("127.0.0.1"), "ONECYCLE_HOME"),
    ]:
        with pytest.raises(UsageError, match=f"no home folder .* set {variable}, or HOME"):
            call()
