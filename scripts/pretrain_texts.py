"""Public-domain texts out of Debian packages, and WikiText files, as documents of a few paragraphs.

Novels of Jane Austen (r-cran-janeaustenr) and Moby Dick (r-cran-tokenizers), the World English
Bible (sword-text-web), The Devil's Dictionary (dict-devil) and the Jargon File (dict-jargon) are in
the public domain; WikiText-2 is CC BY-SA 3.0.
"""

import gzip
import html
import re
import struct
import subprocess
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

_R = "usr/lib/R/site-library"
_SWORD = "usr/share/sword/modules/texts/ztext/engWEB2015eb"
_DICT = "usr/share/dictd"
_STRING = re.compile(rb"\x00[\x00\x04][\x00\x40\x80]\x09(\x00[\x00-\x3f]..)", re.DOTALL)
_DOCUMENT = 4000  # characters


def unpacked(package: str, folder: Path) -> Path:
    """The files of a Debian package, fetched once."""
    place = folder / package
    if not place.exists():
        subprocess.run(["apt-get", "download", package], cwd=folder, check=True)
        (archive,) = folder.glob(f"{package}_*.deb")
        subprocess.run(["dpkg-deb", "-x", archive, place], check=True)
    return place


def r_strings(path: Path) -> Iterator[list[str]]:
    """The strings of each object of an R database: a length, then a zlib stream with R's records.

    A string's record is a word whose last byte is 9, its length, and its bytes.
    """
    data = path.read_bytes()
    at = 0
    while at < len(data):
        stream = zlib.decompressobj()
        body = stream.decompress(data[at + 4 :])
        at = len(data) - len(stream.unused_data)
        found, end = [], 0
        while record := _STRING.search(body, end):
            end = record.end() + int.from_bytes(record[1])
            found.append(body[record.end() : end].decode("utf-8", "replace"))
        yield found


def austen(root: Path) -> Iterator[str]:
    """Paragraphs of the six novels: lines up to an empty one."""
    for lines in r_strings(root / _R / "janeaustenr/data/Rdata.rdb"):
        yield from paragraphs("\n".join(lines))


def moby_dick(root: Path) -> Iterator[str]:
    """Paragraphs of the novel."""
    for lines in r_strings(root / _R / "tokenizers/data/Rdata.rdb"):
        yield from paragraphs(max(lines, key=len))


def bible(root: Path) -> Iterator[str]:
    """Chapters: zlib blocks found by an index of (offset, size, size unpacked), tags left out."""
    for side in ("ot", "nt"):
        blocks = (root / _SWORD / f"{side}.bzz").read_bytes()
        for at, size, _ in struct.iter_unpack("<III", (root / _SWORD / f"{side}.bzs").read_bytes()):
            text = zlib.decompress(blocks[at : at + size]).decode("utf-8", "replace")
            text = re.sub(r"<(note|title)\b.*?</\1>", " ", text, flags=re.DOTALL)
            text = re.sub(r"<p\b[^>]*>|<chapter\b[^>]*>|<lg\b[^>]*>", "\n\n", text)
            text = re.sub(r"\s+([.,;:!?)\u2019\u201d])", r"\1", re.sub(r"<[^>]*>", " ", text))
            yield from paragraphs(html.unescape(text))


def dictionary(root: Path) -> Iterator[str]:
    """Entries of a dictionary in dictd's format, without its notes on itself."""
    (path,) = (root / _DICT).glob("*.dict.dz")
    text = gzip.decompress(path.read_bytes()).decode("utf-8", "replace")
    for entry in re.split(r"\n(?=\S)", text):
        if not entry.startswith("00-"):
            yield from paragraphs(entry.replace("{", "").replace("}", ""))


def paragraphs(text: str) -> Iterator[str]:
    """What empty lines part, each on one line, if it has words enough."""
    for part in re.split(r"\n\s*\n", text):
        line = " ".join(part.replace("\0", " ").split())
        if len(line.split()) > 7:
            yield line


def wikitext(path: Path) -> Iterator[str]:
    """Paragraphs of WikiText: spaces before marks taken out, `<unk>` as the unknown token."""
    for line in path.read_text(encoding="utf-8").splitlines():
        if len(line.split()) > 7 and not line.lstrip().startswith("="):
            line = re.sub(r" ([.,;:!?)%]|'s|n't)", r"\1", line.replace("<unk>", "xxunk"))
            yield re.sub(r'" ([^"]*?) "', r'"\1"', line).replace("( ", "(").strip()


SOURCES: dict[str, Callable[[Path], Iterator[str]]] = {
    "r-cran-janeaustenr": austen,
    "r-cran-tokenizers": moby_dick,
    "sword-text-web": bible,
    "dict-devil": dictionary,
    "dict-jargon": dictionary,
}


def documents(parts: Iterator[str]) -> list[str]:
    """Paragraphs joined to documents of some 4,000 characters."""
    found: list[str] = []
    held: list[str] = []
    for part in parts:
        held.append(part)
        if sum(map(len, held)) >= _DOCUMENT:
            found.append("\n".join(held))
            held = []
    return found + (["\n".join(held)] if held else [])


def corpus(wiki: Path, folder: Path) -> dict[str, list[str]]:
    """Documents by source; the packages are kept in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    found = {
        name: documents(read(unpacked(name, folder.resolve()))) for name, read in SOURCES.items()
    }
    for path in sorted(wiki.glob("*.txt")):
        found[f"WikiText-2 {path.name}"] = documents(wikitext(path))
    return found
