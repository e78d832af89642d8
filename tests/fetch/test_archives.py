"""Archives made to do harm, and honest ones."""

import io
import os
import tarfile
import zipfile
from unittest import mock

import pytest

from onecycle.core.errors import ArchiveError
from onecycle.fetch import archives
from onecycle.fetch.archives import Limits, extract, is_archive

FILES = {"a.txt": b"one", "sub/b.txt": b"two" * 1000, "sub/c": b""}


def make_zip(path, files, **marks):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as opened:
        for name, data in files.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = marks.get(name, 0o644) << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            opened.writestr(info, data)
    return path


def make_tar(path, files, links=(), mode="w:gz"):
    with tarfile.open(path, mode) as opened:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            opened.addfile(info, io.BytesIO(data))
        for name, target, kind in links:
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, target
            opened.addfile(info)
    return path


def make_7z(path, files):
    py7zr = pytest.importorskip("py7zr")
    lax = mock.patch("py7zr.py7zr.check_archive_path", return_value=True)
    with lax, py7zr.SevenZipFile(path, "w") as opened:
        for name, data in files.items():
            opened.writestr(data, name)
    return path


def tree(folder):
    return {
        p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()
    }


MAKERS = {
    "a.zip": make_zip,
    "a.tgz": make_tar,
    "a.tar": lambda p, f: make_tar(p, f, mode="w"),
    "a.tar.bz2": lambda p, f: make_tar(p, f, mode="w:bz2"),
    "a.tar.xz": lambda p, f: make_tar(p, f, mode="w:xz"),
    "a.7z": make_7z,
}


@pytest.mark.parametrize("name", MAKERS)
def test_what_went_in_comes_out(name, tmp_path):
    archive = MAKERS[name](tmp_path / name, FILES)
    found = extract(archive, tmp_path / "out")
    assert tree(tmp_path / "out") == FILES
    assert sorted(p.relative_to(tmp_path / "out").as_posix() for p in found) == sorted(FILES)
    assert is_archive(name)


@pytest.mark.parametrize(
    "bad", ["../evil", "a/../../evil", "/tmp/evil", "..\\evil", "C:/evil", "C:\\evil"]
)
@pytest.mark.parametrize("maker", ["a.zip", "a.tgz", "a.7z"])
def test_names_that_lead_out_are_refused_and_nothing_is_left(maker, bad, tmp_path):
    archive = MAKERS[maker](tmp_path / maker, {"good": b"1", bad: b"x"})
    with pytest.raises(ArchiveError, match=r"outside|absolute|refused"):
        extract(archive, tmp_path / "deep/out")
    assert tree(tmp_path / "deep") == {}
    assert not (tmp_path / "evil").exists()


@pytest.mark.parametrize(
    ("name", "target", "kind"),
    [
        ("link", "/etc/passwd", tarfile.SYMTYPE),
        ("link", "../../secret", tarfile.SYMTYPE),
        ("sub/link", "../../secret", tarfile.SYMTYPE),
        ("link", "../secret", tarfile.LNKTYPE),
        ("link", "nowhere", tarfile.SYMTYPE),
        ("link", "link", tarfile.SYMTYPE),
        ("pipe", "", tarfile.FIFOTYPE),
        ("disk", "", tarfile.BLKTYPE),
    ],
)
def test_links_out_and_devices_in_a_tar_are_refused(name, target, kind, tmp_path):
    (tmp_path / "secret").write_text("s")
    archive = make_tar(tmp_path / "a.tgz", {"good": b"1"}, [(name, target, kind)])
    with pytest.raises(ArchiveError):
        extract(archive, tmp_path / "out")
    assert tree(tmp_path / "out") == {}


def test_links_inside_a_tar_become_copies(tmp_path):
    links = [
        ("c", "b", tarfile.SYMTYPE),
        ("b", "sub/a", tarfile.SYMTYPE),
        ("sub/d", "../sub/a", tarfile.SYMTYPE),
        ("e", "sub/a", tarfile.LNKTYPE),
    ]
    extract(make_tar(tmp_path / "a.tgz", {"sub/a": b"text"}, links), tmp_path / "out")
    assert set(tree(tmp_path / "out").values()) == {b"text"}
    assert len(tree(tmp_path / "out")) == 5
    assert not any(p.is_symlink() for p in (tmp_path / "out").rglob("*"))


def test_a_link_to_write_through_is_refused(tmp_path):
    path = tmp_path / "a.tgz"
    with tarfile.open(path, "w:gz") as opened:
        info = tarfile.TarInfo("d")
        info.type, info.linkname = tarfile.SYMTYPE, str(tmp_path)
        opened.addfile(info)
        info = tarfile.TarInfo("d/evil")
        info.size = 1
        opened.addfile(info, io.BytesIO(b"x"))
    with pytest.raises(ArchiveError):
        extract(path, tmp_path / "out")
    assert not (tmp_path / "evil").exists()


def test_links_in_a_zip_and_in_a_7z_are_refused(tmp_path):
    with pytest.raises(ArchiveError, match="link"):
        extract(make_zip(tmp_path / "a.zip", {"l": b"/etc/passwd"}, l=0o120777), tmp_path / "out")
    py7zr = pytest.importorskip("py7zr")
    (tmp_path / "src").mkdir()
    (tmp_path / "src/l").symlink_to("/etc/passwd")
    with py7zr.SevenZipFile(tmp_path / "a.7z", "w") as opened:
        opened.write(tmp_path / "src/l", "l")
    with pytest.raises(ArchiveError, match="link"):
        extract(tmp_path / "a.7z", tmp_path / "out")


def test_a_link_that_was_there_before_is_not_written_through(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out/sub").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ArchiveError, match="leads out"):
        extract(make_zip(tmp_path / "a.zip", FILES), tmp_path / "out")
    assert tree(tmp_path / "elsewhere") == {}


@pytest.mark.parametrize("name", MAKERS)
def test_bombs_are_refused_by_ratio_size_and_count(name, tmp_path):
    archive = MAKERS[name](tmp_path / name, {"zeros": bytes(4_000_000), "b": b"1"})
    for limits in (
        Limits(bytes=100_000),
        *([] if name == "a.tar" else [Limits(ratio=10, free=1000)]),
        Limits(files=1),
    ):
        with pytest.raises(ArchiveError, match=r"bomb|too many"):
            extract(archive, tmp_path / "out", limits)
    assert tree(tmp_path / "out") == {}


def test_a_zip_that_lies_about_its_size_is_damaged_after_the_bytes_it_promised(tmp_path):
    path = make_zip(tmp_path / "a.zip", {"zeros": bytes(4_000_000)})
    data = bytearray(path.read_bytes())
    true = (4_000_000).to_bytes(4, "little")
    assert data.count(true) >= 2  # in the member's header and in the directory
    path.write_bytes(data.replace(true, (10).to_bytes(4, "little")))
    with pytest.raises(ArchiveError, match=r"damaged, or no archive \(Bad CRC-32"):
        extract(path, tmp_path / "out", Limits(bytes=100_000))
    assert tree(tmp_path / "out") == {}


@pytest.mark.parametrize("name", MAKERS)
def test_many_small_members_count_together(name, tmp_path):
    files = {f"{i:03}": bytes([i]) * 1000 for i in range(150)}
    archive = MAKERS[name](tmp_path / name, files)
    with pytest.raises(ArchiveError, match="makes it more than 140000 bytes: a bomb"):
        extract(archive, tmp_path / "out", Limits(bytes=140_000))
    assert tree(tmp_path / "out") == {}
    tar = ".t" in name
    room = 150 * 1536 + 20_000 if tar else 150_000  # a member of a tar has a header, and is padded
    assert len(extract(archive, tmp_path / "out", Limits(bytes=room))) == 150
    with pytest.raises(ArchiveError, match="is number 150: too many files"):
        extract(archive, tmp_path / "more", Limits(files=149))
    assert len(extract(archive, tmp_path / "more", Limits(files=150))) == 150


def test_copies_of_links_count_too(tmp_path):
    links = [(f"l{i}", "sub/a", tarfile.SYMTYPE) for i in range(50)]
    archive = make_tar(tmp_path / "a.tgz", {"sub/a": bytes(3000)}, links)
    assert len(extract(archive, tmp_path / "whole", Limits(bytes=160_000))) == 51
    with pytest.raises(ArchiveError, match="makes it more than 120000 bytes"):
        extract(archive, tmp_path / "out", Limits(bytes=120_000))


def test_a_tar_header_of_a_gigabyte_is_not_read(tmp_path):
    info = tarfile.TarInfo("pax")
    info.type, info.size = tarfile.XHDTYPE, 1 << 30
    (tmp_path / "a.tar").write_bytes(info.tobuf() + b"9" * 2000)
    with pytest.raises(ArchiveError, match="a header of 1073741824 bytes"):
        extract(tmp_path / "a.tar", tmp_path / "out")


@pytest.mark.parametrize("name", MAKERS)
def test_a_damaged_archive_leaves_the_folder_as_it_was(name, tmp_path):
    archive = MAKERS[name](tmp_path / name, {"a": os.urandom(50_000)})
    archive.write_bytes(archive.read_bytes()[:20_000])
    (tmp_path / "out").mkdir()
    (tmp_path / "out/kept").write_bytes(b"k")
    with pytest.raises(ArchiveError):
        extract(archive, tmp_path / "out")
    assert tree(tmp_path / "out") == {"kept": b"k"}
    assert len(list((tmp_path / "out").iterdir())) == 1


@pytest.mark.parametrize("content", [b"", b"<html>", b"PK\x03\x04junk", b"7z\xbc\xaf\x27\x1cxx"])
def test_what_is_no_archive_is_said(content, tmp_path):
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(ArchiveError, match=r"a\.zip"):
        extract(tmp_path / "a.zip", tmp_path / "out")


def test_a_member_that_occurs_twice_is_refused(tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as opened:
        opened.writestr("a", "1")
        with pytest.warns(UserWarning, match="Duplicate"):
            opened.writestr("a", "2")
    with pytest.raises(ArchiveError, match="twice"):
        extract(tmp_path / "a.zip", tmp_path / "out")


@pytest.mark.parametrize(
    "name", ["nul", "set/AUX.png", "com1.tar.gz", "a/img:1.png", "set./x", "end ", "wh?t", "a\tb"]
)
@pytest.mark.parametrize("make", [make_zip, make_tar])
def test_names_that_windows_gives_no_file_are_refused_there(tmp_path, name, make, monkeypatch):
    """They would be a device, a stream of another file, or another name: lost without a word."""
    monkeypatch.setattr(archives, "_ON_WINDOWS", True)
    archive = make(tmp_path / "a.archive", {"fine.png": b"1", name: b"2"})
    with pytest.raises(ArchiveError, match="which Windows gives no file; nothing was unpacked"):
        extract(archive, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []
    monkeypatch.setattr(archives, "_ON_WINDOWS", False)
    assert len(extract(archive, tmp_path / "out")) == 2


def test_names_that_only_resemble_those_of_devices_are_unpacked_there(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "_ON_WINDOWS", True)
    names = ["con1.png", "console/x", "a.nul", "com10.png", ".hidden", "auxiliary", "lpt", "prn-1"]
    archive = make_zip(tmp_path / "a.zip", dict.fromkeys(names, b"1"))
    assert len(extract(archive, tmp_path / "out")) == len(names)
