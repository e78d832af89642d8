"""Archives, unpacked with suspicion: nothing outside, no links, no bombs, all or nothing."""

import bz2
import gzip
import lzma
import os
import re
import shutil
import stat
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

from onecycle.core.errors import ArchiveError, OnecycleError, UsageError
from onecycle.core.paths import Path as ListablePath

SUFFIXES = (".zip", ".7z", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
_OPENERS: dict[bytes, Any] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ": lzma.open}
_LARGEST_READ = 1 << 24  # bytes at once; tarfile reads a member's own header in one piece


@dataclass(frozen=True)
class Limits:
    """What an archive may become: bytes, files, and bytes per packed byte beyond `free` bytes."""

    bytes: int = 1 << 39
    files: int = 3_000_000
    ratio: float = 200.0
    free: int = 1 << 26

    def most(self, packed: int) -> int:
        """How many bytes may come out of `packed` bytes."""
        return min(self.bytes, max(self.free, int(self.ratio * packed)))


def is_archive(path: str | Path) -> bool:
    """Whether the name is one that `extract` opens."""
    return Path(path).name.lower().endswith(SUFFIXES)


def extract(archive: str | Path, dest: str | Path, limits: Limits = Limits()) -> list[ListablePath]:
    """Unpack zip, tar (also .gz, .bz2, .xz) or 7z below the folder `dest`; returns its files.

    Absolute names, names with "..", links that lead out, devices, encrypted members, names that
    occur twice and bombs raise ArchiveError, and then `dest` is as it was before. Links to files
    inside become copies.
    """
    archive, dest = Path(archive), Path(dest)
    if not archive.is_file():
        raise ArchiveError(f"{archive}: no such file")
    dest.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".unpack-", dir=dest) as folder:
        names = _unpack(archive, Path(folder), limits)
        return _settle(Path(folder), dest, names, archive)


def _unpack(archive: Path, folder: Path, limits: Limits) -> list[PurePosixPath]:
    with archive.open("rb") as file:
        start = file.read(8)
    guard = _Guard(archive, folder, limits)
    try:
        if start.startswith(b"7z\xbc\xaf\x27\x1c"):
            _from_7z(archive, guard)
        elif zipfile.is_zipfile(archive):
            _from_zip(archive, guard)
        else:
            _from_tar(archive, start, guard)
    except OnecycleError:
        raise
    except Exception as error:  # the readers of damaged archives raise whatever they stumble over
        raise ArchiveError(f"{archive}: damaged, or no archive ({error})") from error
    return list(guard.names)


class _Guard:
    """Decides about each member, and counts."""

    def __init__(self, archive: Path, folder: Path, limits: Limits) -> None:
        self.archive, self.folder, self.limits = archive, folder, limits
        self.most = limits.most(archive.stat().st_size)
        self.written, self.names = 0, dict[PurePosixPath, None]()

    def refuse(self, name: str, why: str) -> ArchiveError:
        return ArchiveError(f"{self.archive}: member {name!r} {why}; nothing was unpacked")

    def name(self, given: str) -> PurePosixPath:
        """The member's place below the folder."""
        plain = PurePosixPath(given.replace("\\", "/"))
        if plain.is_absolute() or re.match(r"[A-Za-z]:", given):
            raise self.refuse(given, "has an absolute name")
        if ".." in plain.parts or "\0" in given:
            raise self.refuse(given, "would lie outside the folder")
        if _ON_WINDOWS and (part := _not_on_windows(plain)):
            raise self.refuse(given, f"has the part {part!r}, which Windows gives no file")
        return plain

    def file(self, given: str) -> Path:
        """The place for a new file, counted; its folder is made."""
        name = self.name(given)
        if name in self.names:
            raise self.refuse(given, "occurs twice")
        if len(self.names) >= self.limits.files:
            raise self.refuse(given, f"is number {len(self.names) + 1}: too many files")
        self.names[name] = None
        place = self.folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        return place

    def count(self, given: str, amount: int) -> None:
        self.written += amount
        self.check(given, self.written)

    def check(self, given: str, total: int) -> None:
        if total > self.most:
            raise self.refuse(given, f"makes it more than {self.most} bytes: a bomb?")

    def copy(self, given: str, source: IO[bytes]) -> None:
        """Write one member, counting what really comes out."""
        with self.file(given).open("xb") as target:
            while chunk := source.read(1 << 20):
                self.count(given, len(chunk))
                target.write(chunk)


# Devices, streams of other files, and what Windows cuts off, so that a file would be another one.
_ON_WINDOWS = os.name == "nt"
_DEVICE = re.compile(
    r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³]) *(\..*)?", re.IGNORECASE
)
_CUT = re.compile(r'.*[<>:"|?*\x00-\x1f].*|.*[. ]', re.DOTALL)


def _not_on_windows(name: PurePosixPath) -> str | None:
    """The first part of a name that no file of Windows can have."""
    return next(
        (part for part in name.parts if _DEVICE.fullmatch(part) or _CUT.fullmatch(part)), None
    )


def _from_zip(archive: Path, guard: _Guard) -> None:
    with zipfile.ZipFile(archive) as opened:
        for info in opened.infolist():
            kind = stat.S_IFMT(info.external_attr >> 16)
            if info.is_dir():
                guard.name(info.filename)
            elif kind not in (0, stat.S_IFREG):
                raise guard.refuse(info.filename, "is a link or a device")
            elif info.flag_bits & 1:
                raise guard.refuse(info.filename, "is encrypted")
            else:
                guard.check(info.filename, guard.written + info.file_size)
                with opened.open(info) as source:
                    guard.copy(info.filename, source)


def _from_tar(archive: Path, start: bytes, guard: _Guard) -> None:
    opener = next((o for magic, o in _OPENERS.items() if start.startswith(magic)), open)
    with opener(archive, "rb") as plain:
        counted: Any = _Counted(plain, guard)
        with tarfile.open(fileobj=counted, mode="r:") as opened:
            links = list(_tar_files(opened, guard))
    _copy_links(links, guard)


def _tar_files(opened: tarfile.TarFile, guard: _Guard) -> Iterator[tuple[str, PurePosixPath]]:
    """Write the files; yields (name, target) of the links."""
    for member in opened:
        if PurePosixPath(member.name) == PurePosixPath("."):
            continue
        name = guard.name(member.name)
        try:
            tarfile.data_filter(member, str(guard.folder))
        except tarfile.FilterError as error:
            raise guard.refuse(member.name, f"is refused: {error}") from error
        if member.isfile():
            source = opened.extractfile(member)
            assert source is not None
            guard.copy(member.name, source)
        elif member.islnk():
            yield member.name, guard.name(member.linkname)
        elif member.issym():
            yield member.name, _inside(name.parent / member.linkname)


def _inside(path: PurePosixPath) -> PurePosixPath:
    """`a/../b` as `b`; data_filter has made sure that it does not lead out."""
    parts: list[str] = []
    for part in path.parts:
        if part == ".." and parts:
            parts.pop()
        elif part != "..":
            parts.append(part)
    return PurePosixPath(*parts)


def _copy_links(links: list[tuple[str, PurePosixPath]], guard: _Guard) -> None:
    """Links to files inside become copies, also links to links."""
    while links:
        ready = [(name, target) for name, target in links if target in guard.names]
        if not ready:
            raise guard.refuse(links[0][0], f"is a link to {links[0][1]}, which is no file inside")
        for name, target in ready:
            with (guard.folder / target).open("rb") as source:
                guard.copy(name, source)
        links = [link for link in links if link not in ready]


class _Counted:
    """A stream that ends in an error where more comes out of it than an archive may become."""

    def __init__(self, file: Any, guard: _Guard) -> None:
        self.file, self.guard = file, guard

    def read(self, size: int) -> bytes:
        if size > _LARGEST_READ:
            raise ArchiveError(f"{self.guard.archive}: a header of {size} bytes")
        self.guard.check("(stream)", self.file.tell() + size)
        return self.file.read(size)

    def seek(self, place: int, whence: int = 0) -> int:
        self.guard.check("(stream)", place)
        return self.file.seek(place, whence)

    def tell(self) -> int:
        return self.file.tell()


def _from_7z(archive: Path, guard: _Guard) -> None:
    try:
        import py7zr
    except ImportError as error:
        raise UsageError("7z archives need py7zr: pip install 'onecycle[7z]'") from error
    try:
        with py7zr.SevenZipFile(archive) as opened:
            if opened.needs_password():
                raise guard.refuse(archive.name, "is encrypted")
            for info in opened.list():
                if info.is_symlink or not (info.is_file or info.is_directory):
                    raise guard.refuse(info.filename, "is a link or a device")
                if info.is_directory:
                    guard.name(info.filename)
                else:
                    guard.file(info.filename)
                    guard.count(info.filename, info.uncompressed)
            opened.extractall(guard.folder)
    except py7zr.exceptions.ArchiveError as error:
        raise ArchiveError(f"{archive}: damaged, or not understood ({error})") from error


def _settle(
    folder: Path, dest: Path, names: list[PurePosixPath], archive: Path
) -> list[ListablePath]:
    """Move the unpacked files to their places; a link in the way would lead out."""
    root = dest.resolve()
    for name in names:
        place = dest / name
        if (folder / name).is_symlink() or not place.parent.resolve().is_relative_to(root):
            raise ArchiveError(f"{archive}: {place} leads out of {dest}; nothing was moved")
        if place.is_dir():
            raise ArchiveError(f"{archive}: {place} is a folder already; nothing was moved")
    for name in names:
        (dest / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).replace(dest / name)
    return [ListablePath(dest / name) for name in names]


@contextmanager
def unpack(archive: str | Path, beside: Path) -> Iterator[Path]:
    """The archive's content in a temporary folder next to `beside`, to be moved from there."""
    beside.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f".{beside.name}-", dir=beside.parent))
    try:
        extract(archive, folder)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
