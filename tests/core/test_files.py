"""A file is whole or not there."""

import os

import pytest

from onecycle.core.files import write_atomically


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
