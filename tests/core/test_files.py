"""A file is whole or not there."""

import os

import numpy as np
import pytest
from matplotlib import pyplot
from torch import nn

from onecycle.cli.train import How, Where, train
from onecycle.core.draw import save_figure
from onecycle.core.errors import DownloadError, OnecycleError, WriteError
from onecycle.core.files import require_writable, write_atomically, write_errors
from onecycle.core.table import Table
from onecycle.data.arrays import from_arrays
from onecycle.data.download import download
from onecycle.data.web_images import download_images
from onecycle.learn.callbacks import CSVLogger
from onecycle.learn.learner import Learner
from onecycle.spec.text import Vocab


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


def test_a_training_whose_model_cannot_be_written_does_not_begin(pictures, tmp_path):
    with pytest.raises(WriteError, match=r"model\.safetensors cannot be written"):
        train(Where(pictures / "train"), How(size=16), 1, 0, 1e-3, nowhere(tmp_path))
