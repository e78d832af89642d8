"""One rule for every look into a folder: which files are data, and a word about all others."""

import os
from bisect import bisect
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby, islice
from pathlib import PurePath, PurePosixPath
from typing import Any
from unicodedata import normalize

from onecycle.core.addresses import Address, is_address, place_of
from onecycle.core.errors import EmptyDataError, listing, warn
from onecycle.core.path_list import AddressList, PathList, PathListBuilder
from onecycle.core.paths import Path

_OF_TOOLS = {"__MACOSX", "@eaDir", "$RECYCLE.BIN", "System Volume Information"}
_OF_TOOLS |= {"_temporary", "_delta_log"}  # of Spark: parts of runs that were cut off, and a log
_NO_DATA = {".git", ".hg", ".svn", ".venv", ".cache"}  # hidden, large, and never anybody's data
_MOST_HIDDEN = 5000  # entries of hidden folders that are looked at, to count what is left out
_MOST_ENDINGS = 30  # unknown endings of which one file is opened
_BEGIN = 32  # bytes
_ABOUT = {"readme", "license", "licence", "copying", "notice", "changelog", "citation", "authors"}


def _nothing(begin: bytes) -> bool:
    return False


@dataclass(frozen=True)
class FileKind:
    """Which files hold one kind of data: `what` one of them is, "image"."""

    what: str
    suffixes: frozenset[str] = frozenset()  # that are taken
    family: frozenset[str] = frozenset()  # that hold such data as well, but are not taken
    resembles: Callable[[bytes], bool] = _nothing  # by its first 32 bytes, whatever its name


@dataclass
class Walk:
    """The files below `root`: those taken, in the order of their paths, and what was passed by."""

    root: Any
    taken: PathList
    hidden: list[Any] = field(default_factory=list)  # would be taken if their names were others
    others: dict[str, list[str]] = field(default_factory=dict)  # by ending; not hidden
    closed: list[str] = field(default_factory=list)  # folders that could not be read, with reason
    doubled: list[Path] = field(default_factory=list)  # links to folders that are walked anyway


def is_hidden(name: str) -> bool:
    """Whether a file or folder of this name is a tool's own: `.ipynb_checkpoints`, `._0.png`."""
    return name[0] == "." or name in _OF_TOOLS


def with_dots(suffixes: Iterable[str] | str) -> frozenset[str]:
    """Endings as they are compared: in lower case, with their dot; "" is to have none."""
    given = [suffixes] if isinstance(suffixes, str) else suffixes
    bare = (suffix.lower().removeprefix(".") for suffix in given)
    return frozenset(f".{suffix}" if suffix else "" for suffix in bare)


def files_below(
    root: str | os.PathLike[str],
    kind: FileKind,
    suffixes: Collection[str] | None = None,
    recurse: bool = True,
    include: Collection[str] | None = None,
    option: str = "",
) -> PathList:
    """The files of a kind below `root`, sorted; with `include`, of these first-level folders only.

    Hidden files are left out; links to folders elsewhere are followed, each once. What is left out
    and might be meant is counted in a warning: hidden files, links to folders that are taken
    anyway, folders that cannot be read, and, unless `suffixes` say what is wanted, files of other
    endings that hold the same kind of data. `option` is the name under which the caller takes
    `suffixes`.
    """
    look = _walk_addresses if is_address(root) else walk
    found = look(place_of(root), with_dots(suffixes or kind.suffixes), recurse, include)
    _warn_of_hidden(found, kind.what)
    if not suffixes:
        _warn_of_family(found, kind, option)
    if found.doubled:
        names = [link.relative_to(found.root).as_posix() for link in found.doubled]
        warn(
            f"{len(names)} links below {root} are left out, since the folders that they lead to "
            f"are taken themselves: {listing(sorted(names))}. Without these links there is no "
            "warning",
            3,
        )
    if found.closed:
        warn(
            f"{len(found.closed)} folders below {root} cannot be read, and their files are left "
            f"out: {listing(found.closed)}",
            3,
        )
    return found.taken


def walk(
    root: str | os.PathLike[str],
    suffixes: Collection[str],
    recurse: bool = True,
    include: Collection[str] | None = None,
) -> Walk:
    """Every file below `root`; EmptyDataError where that is no folder."""
    found, taken = Walk(Path(root), PathList.of(())), PathListBuilder()
    if not found.root.is_dir():
        raise EmptyDataError(f"{root} is not a folder")
    links = _Links(found, include)
    todo: list[tuple[str, list[str] | None]] = [(str(found.root), None)]
    while todo:  # folders with the names that were taken of them, or to be looked into
        folder, names = todo.pop()
        if names is not None:
            taken.add(folder, names)
            continue
        first = folder == str(found.root)
        below, names = _entries(found, folder)
        asked = include or () if first else ()
        hidden = [name for name in below if is_hidden(name) and name not in asked]
        if recurse:
            for name in hidden:
                found.hidden += islice(_inside(Path(folder) / name, suffixes), _MOST_HIDDEN)
        entered = [
            name
            for name in sorted(below)
            if recurse
            and name not in hidden
            and (not first or include is None or name in include)
            and links.enter(folder, name, below[name])
        ]
        kept = sorted(_taken_of(found, folder, names, suffixes))
        todo += reversed(_in_order(folder, entered, kept))
    found.taken = taken.finish()
    return found


def _walk_addresses(
    root: Address, suffixes: Collection[str], recurse: bool, include: Collection[str] | None
) -> Walk:
    """The same of the files below an address."""
    found, taken = Walk(root, AddressList.of(())), PathListBuilder()
    below = [PurePosixPath(name) for name in root.below(recurse)]
    for folder, files in groupby(below, lambda file: file.parent):
        first, *others = folder.parts or ("",)
        if include is not None and first and first not in include:
            continue
        asked = not first or first in (include or ()) or not is_hidden(first)
        names, place = [file.name for file in files], root / f"{folder}/" if first else root / ""
        if asked and not any(map(is_hidden, others)):
            taken.add(place.url, sorted(_taken_of(found, place.url, names, suffixes)))
        elif first not in _NO_DATA:
            hidden = [name for name in names if PurePosixPath(name).suffix.lower() in suffixes]
            found.hidden += [place / name for name in hidden]
    found.taken = AddressList(taken.columns())
    return found


def folders_in(root: Any) -> list[str]:
    """The names of the folders in a folder, also of an address."""
    if isinstance(root, Address):
        return sorted({name.partition("/")[0] for name in root.below() if "/" in name})
    return [entry.name for entry in root.iterdir() if entry.is_dir()]


def _entries(found: Walk, folder: str) -> tuple[dict[str, bool], list[str]]:
    """The folders in a folder, and whether they are links, and the names of its files."""
    try:
        with os.scandir(folder) as opened:
            entries = list(opened)
    except OSError as error:
        found.closed.append(f"{error.filename}: {error.strerror}")
        return {}, []
    try:
        folders = list(filter(os.DirEntry.is_dir, entries))
    except OSError:  # of one of them
        folders = [entry for entry in entries if _is_folder(entry)]
    below = {entry.name: entry.is_symlink() for entry in folders}
    names = [entry.name for entry in entries]
    return below, [name for name in names if name not in below] if below else names


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _in_order(
    folder: str, below: Sequence[str], names: list[str]
) -> list[tuple[str, list[str] | None]]:
    """Folders to be entered, and between them the files whose names lie between theirs."""
    steps, start = list[tuple[str, list[str] | None]](), 0
    for name in below:
        end = bisect(names, name)
        steps += [(folder, names[start:end]), (os.path.join(folder, name), None)]  # noqa: PTH118
        start = end
    return [*steps, (folder, names[start:])]


class _Links:
    """Which folders are entered: links too, but none twice, and in no circle."""

    def __init__(self, found: Walk, include: Collection[str] | None) -> None:
        self.found, self.include = found, include
        self.top = PurePath(os.path.realpath(found.root))
        self.seen = {str(self.top)}

    def enter(self, folder: str, name: str, is_link: bool) -> bool:
        """Whether the folder of this name is walked."""
        if not is_link:
            return True
        path = Path(folder) / name
        real = PurePath(os.path.realpath(path))
        known = str(real) in self.seen
        self.seen.add(str(real))
        if known or PurePath(os.path.realpath(folder)).is_relative_to(real):
            return False
        if not real.is_relative_to(self.top):
            return True
        if _is_walked(real.relative_to(self.top).parts, self.include):
            self.found.doubled.append(path)
            return False
        return True


def _is_walked(parts: tuple[str, ...], include: Collection[str] | None) -> bool:
    """Whether a folder below the root, no link, is among those that are walked."""
    first, *others = parts
    asked = first in include if include is not None else not is_hidden(first)
    return asked and not any(map(is_hidden, others))


def _inside(folder: Path, suffixes: Collection[str]) -> Iterator[Path]:
    """Files in a hidden folder that would be taken in another, of its first some thousand."""
    if folder.name in _NO_DATA:
        return
    entries = (Path(at) / name for at, _, names in os.walk(folder) for name in names)
    for file in islice(entries, _MOST_HIDDEN):
        if file.suffix.lower() in suffixes:
            yield file


def _taken_of(found: Walk, folder: str, names: list[str], suffixes: Collection[str]) -> list[str]:
    """The names of files that are taken; what is passed by is noted."""
    # Most endings have three letters in one case, and most folders one ending: these are told
    # without a look at each name.
    fast = {each for suffix in suffixes if len(suffix) == 4 for each in (suffix, suffix.upper())}
    ending, text = "".join(names[:1])[-4:], "\0".join(("", *names, ""))
    if ending in fast and text.count(f"{ending}\0") == len(names) and "\0." not in text:
        return names
    taken = [name for name in names if name[-4:] in fast and name[0] != "."]
    for name in names if len(taken) < len(names) else ():
        if name[-4:] in fast and name[0] != ".":
            continue
        dot = name.rfind(".")
        ending = name[dot:].lower() if 0 < dot < len(name) - 1 else ""  # as Path.suffix
        if ending in suffixes:
            if is_hidden(name):
                found.hidden.append(place_of(folder) / name)
            else:
                taken.append(name)
        elif not is_hidden(name):
            found.others.setdefault(ending, []).append(os.path.join(folder, name))  # noqa: PTH118
    return taken


def _warn_of_hidden(found: Walk, what: str) -> None:
    if found.hidden:
        names = [PurePath(f).relative_to(found.root).as_posix() for f in found.hidden]
        warn(
            f"{len(names)} hidden {what} files below {found.root} are left out, since names with a "
            f"dot in front and __MACOSX are a tool's own: {listing(sorted(names))}. To take them, "
            "name the files, or give them other names",
            4,
        )


def _warn_of_family(found: Walk, kind: FileKind, option: str) -> None:
    """Count the files of other endings that hold such data by their ending or by their begin."""
    counts = Counter[str]()
    for number, (ending, files) in enumerate(sorted(found.others.items())):
        meant = [file for file in files if PurePath(file).stem.lower() not in _ABOUT]
        if meant and (
            ending in kind.family
            or (number < _MOST_ENDINGS and kind.resembles(_begin_of(meant[0])))
        ):
            counts[ending] = len(meant)
    if not counts:
        return
    named = ", ".join(f"{n} {ending or 'without one'}" for ending, n in counts.most_common())
    wider = [*sorted(kind.suffixes), *sorted(counts)]
    ways = (
        f"{option}={wider} takes them (what cannot be opened is an error then), and "
        f"{option}={sorted(kind.suffixes)} leaves them out without this warning"
        if option
        else "Name such files themselves, or convert them"
    )
    warn(
        f"{len(found.taken)} {kind.what} files below {found.root} are taken, and {counts.total()} "
        f"that seem to hold such data are left out for their endings: {named}. {ways}",
        4,
    )


def _begin_of(file: str) -> bytes:
    if not Path(file).is_file():  # a pipe would be waited for
        return b""
    try:
        with open(file, "rb") as opened:  # noqa: PTH123 - as everywhere for many files
            return opened.read(_BEGIN)
    except OSError:
        return b""


# Why files may not be found under a name that people read as theirs.

_MOST = 200  # names that are looked into


def hint_of_names(names: Iterable[str]) -> str:
    """Advice on names that no file has: those written with the backslashes of Windows."""
    slashed = [name for name in names if "\\" in name]
    if not slashed:
        return ""
    return (
        f" {len(slashed)} of these names hold backslashes, as Windows writes paths: write / in "
        r"their place, frame[column].str.replace('\\', '/')"
    )


def hint_of_missing(paths: Iterable[str | os.PathLike[str]]) -> str:
    """Advice on files that are missing, empty where nothing like them is there.

    Besides backslashes: accents (macOS writes a letter and its accent apart), and capitals.
    """
    names = [os.fspath(path) for path in islice(paths, _MOST)]
    if hint := hint_of_names(names):
        return hint
    folders: dict[str, dict[str, str]] = {}
    found = [(name, near) for name in names if (near := _near(name, folders))]
    if not found:
        return ""
    accents = [name for name, near in found if normalize("NFC", name) == normalize("NFC", near)]
    what = "Unicode forms of accented letters (NFC and NFD)" if accents else "capitals"
    shown = listing(near for _, near in found)
    return (
        f" {len(found)} of these files are there in other {what}, which this system tells apart: "
        f"{shown}. Make the names alike"
        + (", frame[column].str.normalize('NFC') or 'NFD'" if accents else "")
    )


def _near(path: str, folders: dict[str, dict[str, str]]) -> str:
    """The path that is there and reads the same but for capitals and accents' forms, or nothing."""
    pure = PurePath(path)
    found = pure.anchor or "."
    for part in pure.parts[1:] if pure.anchor else pure.parts:
        if found not in folders:
            folders[found] = {_fold(name): name for name in _list_folder(found)}
        there = os.path.lexists(os.path.join(found, part))  # noqa: PTH118 - text in, text out
        name = part if there else folders[found].get(_fold(part), "")
        if not name:
            return ""
        found = os.path.join(found, name)  # noqa: PTH118
    return found


def _fold(name: str) -> str:
    return normalize("NFC", name).casefold()


def _list_folder(folder: str) -> list[str]:
    try:
        return os.listdir(folder)  # noqa: PTH208 - names, not paths
    except OSError:
        return []
