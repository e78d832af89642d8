"""The public archives of the course: where they lie, and `untar_data`, which brings one here."""

from __future__ import annotations

import os
import shutil
from pathlib import Path as PurePath
from urllib.parse import urlsplit

from onecycle.core.errors import DownloadError
from onecycle.core.paths import Path
from onecycle.data.archives import SUFFIXES, unpacked
from onecycle.data.download import download

_BUCKETS = "https://s3.amazonaws.com/fast-ai-"
_EXAMPLES = "https://files.fast.ai/data/examples/"


class URLs:
    """Addresses of the course's data sets."""

    PETS = f"{_BUCKETS}imageclas/oxford-iiit-pet.tgz"
    CAMVID = f"{_BUCKETS}imagelocal/camvid.tgz"
    BIWI_HEAD_POSE = f"{_BUCKETS}imagelocal/biwi_head_pose.tgz"
    IMDB = f"{_BUCKETS}nlp/imdb.tgz"
    MNIST = f"{_BUCKETS}imageclas/mnist_png.tgz"
    CIFAR = f"{_BUCKETS}imageclas/cifar10.tgz"
    WT103_FWD = f"{_BUCKETS}modelzoo/wt103-fwd.tgz"
    WT103_BWD = f"{_BUCKETS}modelzoo/wt103-bwd.tgz"
    MNIST_SAMPLE = f"{_EXAMPLES}mnist_sample.tgz"
    MNIST_TINY = f"{_EXAMPLES}mnist_tiny.tgz"
    CAMVID_TINY = f"{_EXAMPLES}camvid_tiny.tgz"
    PLANET_SAMPLE = f"{_EXAMPLES}planet_sample.tgz"
    PLANET_TINY = f"{_EXAMPLES}planet_tiny.tgz"
    IMDB_SAMPLE = f"{_EXAMPLES}imdb_sample.tgz"
    ML_SAMPLE = f"{_EXAMPLES}movie_lens_sample.tgz"
    ADULT_SAMPLE = f"{_EXAMPLES}adult_sample.tgz"


class Config:
    """Where data sets are kept: below `$ONECYCLE_HOME`, or `~/.onecycle`."""

    @classmethod
    def home(cls) -> Path:
        """The folder of everything."""
        return Path(os.environ.get("ONECYCLE_HOME") or PurePath.home() / ".onecycle")

    @classmethod
    def data_path(cls) -> Path:
        """The folder of data sets."""
        return cls.home() / "data"


def untar_data(
    url: str,
    fname: str | PurePath | None = None,
    dest: str | PurePath | None = None,
    data: bool = True,
    force_download: bool = False,
    sha256: str | None = None,
) -> Path:
    """Download an archive once and unpack it once; returns its folder.

    The archive is kept at `fname`; the folder is `dest/NAME`, where `dest` is
    `Config.data_path()`, or with `data=False` its `models`. `$ONECYCLE_MIRROR`, a folder or an
    address, is where archives come from instead of `url`. An interrupted call is continued by the
    next one, and a folder is there only once it is whole.
    """
    url = url if url.lower().endswith(SUFFIXES) else f"{url}.tgz"
    name = PurePath(urlsplit(url).path).name
    base = Path(dest) if dest else Config.data_path() / ("" if data else "models")
    folder, archive = base / _stem(name), Path(fname) if fname else base / name
    if folder.is_dir() and not force_download:
        return folder
    if force_download or not archive.is_file():
        _bring(url, name, archive, sha256)
    with unpacked(archive, folder) as fresh:
        inside = list(fresh.iterdir())
        whole = inside[0] if len(inside) == 1 and inside[0].is_dir() else fresh
        if folder.exists():
            shutil.rmtree(folder)
        whole.replace(folder)
        folder.chmod(0o755)
    return folder


def _stem(name: str) -> str:
    suffix = max((s for s in SUFFIXES if name.lower().endswith(s)), key=len)
    return name[: -len(suffix)]


def _bring(url: str, name: str, archive: Path, sha256: str | None) -> None:
    mirror = os.environ.get("ONECYCLE_MIRROR", "")
    if mirror and "://" not in mirror:
        source = Path(mirror) / name
        if not source.is_file():
            raise DownloadError(f"the mirror $ONECYCLE_MIRROR={mirror} has no {name}")
        archive.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, archive)
        return
    download(f"{mirror.rstrip('/')}/{name}" if mirror else url, archive, sha256)
