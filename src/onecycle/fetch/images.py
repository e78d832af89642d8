"""Images from a list of addresses, as an image search gives it: `download_images`."""

import csv
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path as PurePath
from urllib.parse import urlsplit

from onecycle.core.display import bar
from onecycle.core.errors import DownloadError, ImageError, TableError, UsageError, warn
from onecycle.core.files import read_lines, require_writable
from onecycle.core.paths import Path
from onecycle.fetch.download import Patience, download
from onecycle.runtime.inputs.pixels import SUFFIXES, verify

_LARGEST = 50_000_000  # bytes of one image
_MOST = 1000  # images


def download_images(
    urls: str | PurePath | Iterable[str],
    dest: str | PurePath,
    max_pics: int = _MOST,
    max_workers: int = 8,
    timeout: float = 4,
) -> list[Path]:
    """Fetch the images of a list (a text or CSV file, first column) into the folder `dest`.

    Number i of the list becomes `0000000i.jpg` (or what its address ends in); files that are
    there already are kept. What cannot be had, or is no image, is left out and counted by
    reason; with `max_workers=0` it is raised instead. Returns the images.
    """
    listed = _addresses(urls)
    if max_pics < 1:
        raise UsageError(f"max_pics is a whole number from 1 on, not {max_pics}")
    if len(listed) > max_pics == _MOST:  # which nobody may have asked for
        warn(
            f"{len(listed) - max_pics} of {len(listed)} addresses are left out: unless max_pics= "
            f"says otherwise, {_MOST} are fetched",
            2,
        )
    listed = listed[:max_pics]
    folder = Path(dest)
    require_writable(folder / "00000000.jpg")
    fetch = partial(_fetch, folder=folder, timeout=timeout)
    if max_workers < 1:
        return [fetch(pair) for pair in enumerate(listed)]
    with ThreadPoolExecutor(max_workers) as pool:
        work = pool.map(partial(_or_reason, fetch), enumerate(listed))
        found = list(bar(work, len(listed), "downloading"))
    reasons = Counter(result for result in found if isinstance(result, str))
    if reasons:
        summary = "; ".join(f"{count}x {reason}" for reason, count in reasons.most_common())
        print(f"{reasons.total()} of {len(listed)} images left out: {summary}")
    return [result for result in found if not isinstance(result, str)]


def _addresses(urls: str | PurePath | Iterable[str]) -> list[str]:
    if not isinstance(urls, str | PurePath):
        return list(urls)
    try:
        rows = [row[0].strip() for row in csv.reader(read_lines(urls)) if row]
    except csv.Error as error:
        raise TableError(f"{urls}: no list of addresses can be read ({error})") from error
    return [row for number, row in enumerate(rows) if row and (number or "://" in row)]


def _or_reason(fetch: partial[Path], numbered: tuple[int, str]) -> Path | str:
    try:
        return fetch(numbered)
    except (DownloadError, ImageError) as error:
        return str(error).removeprefix(f"{numbered[1]}: ")


def _fetch(numbered: tuple[int, str], folder: Path, timeout: float) -> Path:
    number, url = numbered
    suffix = PurePath(urlsplit(url).path).suffix.lower()
    file = folder / f"{number:08d}{suffix if suffix in SUFFIXES else '.jpg'}"
    if file.is_file():
        return file
    beside = file.with_name(f".{file.name}")
    download(url, beside, None, _LARGEST, Patience(1, timeout), show=False)
    if verify(beside):
        beside.unlink()
        raise ImageError(f"{url}: not an image")
    return Path(beside.replace(file))
