"""A file is whole or not there."""

import errno
import os
import pathlib
import re
import signal
import sys

import numpy as np
import pytest
from matplotlib import pyplot
from torch import nn

from onecycle.cli.options import Fit, How, Where
from onecycle.cli.train import train
from onecycle.core import files
from onecycle.core.display import Table
from onecycle.core.errors import DownloadError, OnecycleError, WriteError
from onecycle.core.files import require_writable, write_atomically, write_errors, write_folder
from onecycle.core.plot import save_figure
from onecycle.data.arrays import from_arrays
from onecycle.fetch.download import download
from onecycle.fetch.images import download_images
from onecycle.learn.learner import Learner
from onecycle.learn.recorder import CSVLogger
from onecycle.runtime.inputs.text import Vocab


def test_a_write_that_fails_leaves_the_old_file_and_no_other(tmp_path):
    target = tmp_path / "model.bin"
    target.write_bytes(b"old")

    def half(path):
        path.write_bytes(b"ne")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_atomically(target, half)
    assert target.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["model.bin"]


def test_a_write_makes_its_folders_and_replaces_the_old_file(tmp_path):
    target = tmp_path / "deep" / "er" / "model.bin"
    for content in (b"one", b"two"):
        write_atomically(target, lambda path, content=content: path.write_bytes(content))
    assert target.read_bytes() == b"two"
    assert [p.name for p in target.parent.iterdir()] == ["model.bin"]


@pytest.mark.skipif(os.name != "posix", reason="Windows has no such bits")
def test_the_file_is_as_readable_as_any_new_file(tmp_path):
    (tmp_path / "plain").write_bytes(b"")
    write_atomically(tmp_path / "atomic", lambda path: path.write_bytes(b""))
    assert (tmp_path / "atomic").stat().st_mode == (tmp_path / "plain").stat().st_mode


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="asks Linux for a handle's name")
def test_the_content_is_on_the_disk_before_the_name_is(tmp_path, monkeypatch):
    """Written, synced, renamed, and then the folder that holds the name synced, in this order."""
    steps = []
    sync, replace = os.fsync, pathlib.Path.replace

    def fsync(handle):
        name = pathlib.Path(f"/proc/self/fd/{handle}").readlink()
        is_folder = name.is_dir()
        steps.append(("sync folder", None) if is_folder else ("sync", name.read_bytes()))
        sync(handle)

    def renamed(self, to):
        steps.append(("rename", self.read_bytes()))
        return replace(self, to)

    def write(path):
        path.write_bytes(b"new")
        steps.append(("write", b"new"))

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(pathlib.Path, "replace", renamed)
    write_atomically(tmp_path / "model.bin", write)
    assert steps == [("write", b"new"), ("sync", b"new"), ("rename", b"new"), ("sync folder", None)]


def test_files_are_written_where_only_what_is_open_for_writing_can_be_synced(tmp_path, monkeypatch):
    """As on Windows: fsync of a handle that was opened for reading fails with EBADF."""
    fcntl = pytest.importorskip("fcntl")
    sync = os.fsync

    def fsync(handle):
        if fcntl.fcntl(handle, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
            raise OSError(errno.EBADF, "Bad file descriptor")
        sync(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    write_atomically(tmp_path / "deep" / "model.bin", lambda path: path.write_bytes(b"new"))
    assert (tmp_path / "deep" / "model.bin").read_bytes() == b"new"
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["model.bin"]


def test_a_model_and_a_vocabulary_are_written_there_too(tmp_path, monkeypatch):
    fcntl = pytest.importorskip("fcntl")
    seen = []

    def fsync(handle):
        seen.append(fcntl.fcntl(handle, fcntl.F_GETFL) & os.O_ACCMODE != os.O_RDONLY)
        if not seen[-1]:
            raise OSError(errno.EBADF, "Bad file descriptor")

    monkeypatch.setattr(os, "fsync", fsync)
    Vocab(["xxunk", "xxpad"]).save(tmp_path / "vocab.json")
    assert Vocab.load(tmp_path / "vocab.json").itos == ["xxunk", "xxpad"]
    assert seen[0]


def test_a_content_that_does_not_reach_the_disk_is_an_error_and_the_old_file_stays(
    tmp_path, monkeypatch
):
    def fsync(handle):
        raise OSError(errno.EIO, "Input/output error")

    (tmp_path / "model.bin").write_bytes(b"old")
    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(OSError, match="Input/output"):
        write_atomically(tmp_path / "model.bin", lambda path: path.write_bytes(b"new"))
    assert (tmp_path / "model.bin").read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["model.bin"]


def nowhere(tmp_path):
    """A folder that cannot be made, whoever runs the tests: a file is in its place."""
    (tmp_path / "file").write_text("no folder")
    return tmp_path / "file" / "sub"


def test_what_the_system_refuses_names_the_file_and_what_to_do(tmp_path):
    place = nowhere(tmp_path) / "model.bin"
    for write in (
        lambda: write_atomically(place, lambda path: path.write_bytes(b"")),
        lambda: require_writable(place),
    ):
        with pytest.raises(WriteError, match=r"sub.model\.bin cannot be written \(.*choose a fold"):
            write()


def test_an_error_of_our_own_goes_through_as_it_is(tmp_path):
    with pytest.raises(DownloadError, match=r"^gone$"), write_errors(tmp_path):
        raise DownloadError("gone")


def test_a_file_that_can_be_written_later_is_not_made_yet(tmp_path):
    require_writable(tmp_path / "new" / "model.bin")
    assert [p.name for p in tmp_path.iterdir()] == ["new"]
    assert not any((tmp_path / "new").iterdir())
    with pytest.raises(WriteError, match="directory"):
        require_writable(tmp_path / "new")


@pytest.mark.parametrize("in_place", [False, True])
def test_what_is_moved_into_place_needs_the_folder_and_what_is_opened_the_file(
    tmp_path, monkeypatch, in_place
):
    """As of a user who is not root: a closed file in an open folder, and the other way round."""
    file = tmp_path / "model.bin"
    file.write_bytes(b"old")
    closed = [file]
    monkeypatch.setattr(os, "access", lambda path, mode: pathlib.Path(path) not in closed)
    for refused in (in_place, not in_place):
        if refused:
            with pytest.raises(WriteError, match="Permission denied"):
                require_writable(file, in_place=in_place)
        else:
            require_writable(file, in_place=in_place)
        closed = [tmp_path]


@pytest.mark.parametrize("way", ["save", "log", "plot", "table", "vocabulary", "fetch", "images"])
def test_everything_that_writes_says_what_could_not_be_written(tmp_path, way):
    place = nowhere(tmp_path)
    data = from_arrays(np.eye(5), [0, 1, 0, 1, 0], bs=2, device="cpu")
    learn = Learner(data, nn.Linear(5, 2), silent=True, path=place)
    ways = {
        "save": lambda: learn.save("m"),
        "log": lambda: learn.fit(1, 1e-3, callbacks=[CSVLogger(place / "h.csv")]),
        "plot": lambda: save_figure(pyplot.figure(), place / "p.png"),
        "table": lambda: Table({"text": ["a"]}).save(place / "t.html"),
        "vocabulary": lambda: Vocab(["xxunk"]).save(place / "v.json"),
        "fetch": lambda: download("http://127.0.0.1:9/x", place / "x"),
        "images": lambda: download_images(["http://127.0.0.1:9/x"], place),
    }
    with pytest.raises(OnecycleError, match="cannot be written"):
        ways[way]()


def test_a_training_whose_model_cannot_be_written_does_not_begin(images, tmp_path):
    fit = Fit(1, 0, lr=1e-3, out=nowhere(tmp_path))
    with pytest.raises(WriteError, match=r"model\.safetensors cannot be written"):
        train("images", Where(images / "train"), How(size=16), fit)


@pytest.mark.skipif(os.name != "posix", reason="signal 0 asks for a process on POSIX alone")
def test_temporary_files_of_the_dead_are_cleared_and_those_of_the_living_are_not(tmp_path):
    file, born = tmp_path / "m-1.bin", []

    def die(path):
        path.write_bytes(b"half")
        os.kill(os.getpid(), signal.SIGKILL)

    for _ in range(2):
        child = os.fork()
        if not child:
            write_atomically(file, die)
        os.waitpid(child, 0)
        left = sorted(tmp_path.iterdir())
        assert [path.suffix for path in left] == [".tmp"] * (len(born) + 1)
        born = left
    own = born[0].with_name(re.sub(r"-\d+-", f"-{os.getpid()}-", born[0].name))
    own.write_bytes(b"mine")
    for path in [*born, own]:
        os.utime(path, (0, 0))
    other = tmp_path / born[0].name.replace("m-1", "m-2")
    other.write_bytes(b"of another file")
    os.utime(other, (0, 0))
    write_atomically(file, lambda path: path.write_text("whole"))
    assert sorted(tmp_path.iterdir()) == sorted([file, own, other])


def test_a_folder_is_there_whole_or_not_at_all(tmp_path):
    out = tmp_path / "site"

    def half(folder):
        (folder / "a.txt").write_text("new")
        raise KeyError("in the middle")

    def whole(folder):
        (folder / "sub").mkdir()
        for name in ("first", "a.txt", "sub/b.txt"):
            (folder / name).write_text("new")

    with pytest.raises(KeyError):
        write_folder(out, half)
    assert list(tmp_path.iterdir()) == []
    write_folder(out, whole)
    assert sorted(path.name for path in out.rglob("*")) == ["a.txt", "b.txt", "first", "sub"]
    (out / "a.txt").write_text("old")
    (out / "CNAME").write_text("mine")
    with pytest.raises(KeyError):
        write_folder(out, half)
    assert (out / "a.txt").read_text() == "old"
    order = []
    replace = pathlib.Path.replace

    def noted(self, target):
        order.append(pathlib.Path(target).name)
        return replace(self, target)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pathlib.Path, "replace", noted)
        write_folder(out, whole, last=("sub/b.txt", "a.txt"))
    assert order == ["first", "b.txt", "a.txt"]
    assert (out / "a.txt").read_text() == "new"
    assert (out / "CNAME").read_text() == "mine"
    assert list(tmp_path.iterdir()) == [out]


def held_by_readers(monkeypatch, moments):
    """As on Windows while somebody reads the file: it cannot be replaced, for so many tries."""
    replace, left = pathlib.Path.replace, [moments]

    def refused(self, to):
        left[0] -= 1
        if left[0] >= 0:
            raise PermissionError(errno.EACCES, "Access is denied")
        return replace(self, to)

    monkeypatch.setattr(pathlib.Path, "replace", refused)
    monkeypatch.setattr(files, "_WAITS", (0.0,) * 5)


def test_a_file_that_somebody_reads_is_replaced_when_they_are_done(tmp_path, monkeypatch):
    (tmp_path / "state.json").write_bytes(b"old")
    held_by_readers(monkeypatch, 5)
    write_atomically(tmp_path / "state.json", lambda path: path.write_bytes(b"new"))
    assert (tmp_path / "state.json").read_bytes() == b"new"
    assert [p.name for p in tmp_path.iterdir()] == ["state.json"]


def test_files_of_a_folder_that_somebody_reads_are_too(tmp_path, monkeypatch):
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "a.js").write_bytes(b"old")
    held_by_readers(monkeypatch, 5)
    write_folder(tmp_path / "site", lambda to: (to / "a.js").write_bytes(b"new"))
    assert (tmp_path / "site" / "a.js").read_bytes() == b"new"


def test_a_file_that_nobody_lets_go_is_an_error_that_names_it(tmp_path, monkeypatch):
    (tmp_path / "state.json").write_bytes(b"old")
    held_by_readers(monkeypatch, 1000)
    with pytest.raises(WriteError, match=r"state\.json.*Access is denied"):
        write_atomically(tmp_path / "state.json", lambda path: path.write_bytes(b"new"))
    assert (tmp_path / "state.json").read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["state.json"]
