"""The public archives of the course: where they lie, and `untar_data`, which brings one here."""

import hashlib
import os
import shutil
from difflib import get_close_matches
from pathlib import Path as PurePath
from urllib.parse import urlsplit

from onecycle.core.errors import DownloadError
from onecycle.core.paths import Path, own_folder
from onecycle.fetch.archives import SUFFIXES, unpack
from onecycle.fetch.download import download, require_digest

_BUCKETS = "https://s3.amazonaws.com/fast-ai-"
_EXAMPLES = "https://files.fast.ai/data/examples/"


class _Names(type):
    def __getattr__(cls, name: str) -> str:
        names = [known for known in vars(cls) if known.isupper()]
        near = get_close_matches(name.upper(), names, 3) or names
        raise AttributeError(f"URLs has no {name!r}: there are {', '.join(near)}")


class URLs(metaclass=_Names):
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
    HUMAN_NUMBERS = f"{_EXAMPLES}human_numbers.tgz"
    IMDB_SAMPLE = f"{_EXAMPLES}imdb_sample.tgz"
    ML_SAMPLE = f"{_EXAMPLES}movie_lens_sample.tgz"
    ADULT_SAMPLE = f"{_EXAMPLES}adult_sample.tgz"


# size in bytes and MD5 of the first MiB, as the course's own library published them
KNOWN = {
    "adult_sample.tgz": (968_212, "64eb9d7e23732de0b138f7372d15492f"),
    "biwi_head_pose.tgz": (452_316_199, "00f4ccf66e8cba184bc292fdc08fb237"),
    "camvid.tgz": (598_913_237, "648371e4f3a833682afb39b08a3ce2aa"),
    "camvid_tiny.tgz": (2_314_212, "2cf6daf91b7a2083ecfa3e9968e9d915"),
    "cifar10.tgz": (168_168_549, "a5f8c31371b63a406b23368042812d3c"),
    "human_numbers.tgz": (30_252, "8a19c3bfa2bcb08cd787e741261f3ea2"),
    "imdb.tgz": (144_440_600, "90f9b1c4ff43a90d67553c9240dc0249"),
    "imdb_sample.tgz": (571_827, "0842e61a9867caa2e6fbdb14fa703d61"),
    "mnist_png.tgz": (15_683_414, "03639f83c4e3d19e0a3a53a8a997c487"),
    "mnist_sample.tgz": (3_214_948, "2dbc7ec6f9259b583af0072c55816a88"),
    "mnist_tiny.tgz": (342_207, "56143e8f24db90d925d82a5a74141875"),
    "movie_lens_sample.tgz": (51_790, "10961384dfe7c5181460390a460c1f77"),
    "oxford-iiit-pet.tgz": (811_706_944, "e4db5c768afd933bb91f5f594d7417a4"),
    "planet_sample.tgz": (15_523_994, "8bfb174b3162f07fbde09b54555bdb00"),
    "planet_tiny.tgz": (997_569, "490873c5683454d4b2611fb1f00a68a9"),
    "wt103-bwd.tgz": (105_205_312, "20b06f5830fd5a891d21044c28d3097f"),
    "wt103-fwd.tgz": (105_067_061, "7d1114cd9684bf9d1ca3c9f6a54da6f9"),
}


class Config:
    """Where data sets are kept: below `$ONECYCLE_HOME`, or `~/.onecycle`."""

    @classmethod
    def home(cls) -> Path:
        """The folder of everything."""
        return own_folder("ONECYCLE_HOME", ".onecycle")

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
    next one, and a folder is there only once it is whole. Raises DownloadError for an archive of
    the course whose size or beginning are not the published ones, and for a wrong `sha256`, also
    of an archive that was there before or came from a mirror.
    """
    url = url if url.lower().endswith(SUFFIXES) else f"{url}.tgz"
    name = PurePath(urlsplit(url).path).name
    base = Path(dest) if dest else Config.data_path() / ("" if data else "models")
    folder, archive = base / _stem(name), Path(fname) if fname else base / name
    if folder.is_dir() and not force_download:
        if sha256 and archive.is_file():
            require_digest(archive, sha256)
        return folder
    if force_download or not archive.is_file():
        _bring(url, name, archive, sha256)
    elif sha256:
        require_digest(archive, sha256)
    if _is_of_the_course(url):
        _verify(archive, *KNOWN[name])
    with unpack(archive, folder) as fresh:
        inside = list(fresh.iterdir())
        whole = inside[0] if len(inside) == 1 and inside[0].is_dir() else fresh
        if folder.exists():
            shutil.rmtree(folder)
        whole.replace(folder)
        folder.chmod(0o755)
    return folder


def _is_of_the_course(url: str) -> bool:
    return url.startswith((_BUCKETS, _EXAMPLES)) and PurePath(urlsplit(url).path).name in KNOWN


def _verify(archive: PurePath, size: int, md5: str) -> None:
    """Compare with what is published; another archive is removed."""
    with Path(archive).open("rb") as file:
        begin = hashlib.md5(file.read(1 << 20), usedforsecurity=False).hexdigest()
        found = file.seek(0, os.SEEK_END)
    if (found, begin) != (size, md5):
        Path(archive).unlink()
        raise DownloadError(
            f"{archive} has {found:,} bytes and its first MiB the MD5 {begin}; published are "
            f"{size:,} and {md5}: it is another file, and was removed. Call again to fetch it"
        )


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
        if sha256:
            require_digest(archive, sha256)
        return
    download(f"{mirror.rstrip('/')}/{name}" if mirror else url, archive, sha256)
