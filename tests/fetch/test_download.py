"""Downloads against a local server that misbehaves."""

import hashlib
import io
import tarfile

import numpy as np
import pytest
from PIL import Image
from web_helpers import serving

from onecycle.core.errors import DownloadError, ImageError, OnecycleWarning, UsageError
from onecycle.fetch import images as web_images
from onecycle.fetch import urls
from onecycle.fetch.download import Patience, download
from onecycle.fetch.images import download_images
from onecycle.fetch.urls import Config, URLs, untar_data

BODY = np.random.default_rng(0).bytes(300_000)
QUICK = Patience(tries=3, timeout=5, pause=0.01)


@pytest.fixture
def site():
    with serving() as running:
        running.files["/a.bin"] = BODY
        yield running


def fetch(site, folder, **options):
    return download(f"{site.url}/a.bin", folder / "a.bin", patience=QUICK, show=False, **options)


def left(folder):
    return sorted(p.name for p in folder.iterdir())


def test_a_file_arrives_whole_and_alone(site, tmp_path):
    assert fetch(site, tmp_path, sha256=hashlib.sha256(BODY).hexdigest()).read_bytes() == BODY
    assert left(tmp_path) == ["a.bin"]


def test_a_cut_connection_goes_on_where_it_broke(site, tmp_path):
    site.cut = [100_000, 50_000]
    assert fetch(site, tmp_path).read_bytes() == BODY
    ranges = [headers.get("Range") for _, headers in site.requests]
    assert ranges[0] is None
    assert [int(r[6:-1]) for r in ranges[1:]] == [100_000, 150_000]


def test_a_later_call_goes_on_where_an_earlier_one_gave_up(site, tmp_path):
    site.cut = [70_000, 0, 0, 0]
    with pytest.raises(DownloadError, match="70000 bytes are kept"):
        fetch(site, tmp_path)
    assert left(tmp_path) == ["a.bin.part", "a.bin.part.json"]
    site.cut, site.requests = [], []
    assert fetch(site, tmp_path).read_bytes() == BODY
    assert [h.get("Range") for _, h in site.requests] == ["bytes=70000-"]


def test_a_file_that_changed_meanwhile_is_fetched_anew(site, tmp_path):
    site.cut = [70_000, 0, 0, 0]
    with pytest.raises(DownloadError):
        fetch(site, tmp_path)
    site.cut, site.files["/a.bin"] = [], BODY[::-1]
    assert fetch(site, tmp_path).read_bytes() == BODY[::-1]


def test_a_part_of_another_address_is_not_continued(site, tmp_path):
    site.cut, site.files["/b.bin"] = [70_000, 0, 0, 0], BODY
    with pytest.raises(DownloadError):
        fetch(site, tmp_path)
    site.cut, site.requests = [], []
    download(f"{site.url}/b.bin", tmp_path / "a.bin", patience=QUICK, show=False)
    assert [h.get("Range") for _, h in site.requests] == [None]


def test_a_part_that_is_too_long_starts_over(site, tmp_path):
    site.cut = [70_000, 0, 0, 0]
    with pytest.raises(DownloadError):
        fetch(site, tmp_path)
    with (tmp_path / "a.bin.part").open("ab") as part:
        part.write(BODY * 2)
    site.cut = []
    assert fetch(site, tmp_path).read_bytes() == BODY


def test_a_server_without_ranges_is_read_from_the_start(site, tmp_path):
    site.cut, site.ranges = [100_000], False
    assert fetch(site, tmp_path).read_bytes() == BODY


def test_a_wrong_digest_leaves_nothing(site, tmp_path):
    (tmp_path / "a.bin").write_bytes(b"old")
    with pytest.raises(DownloadError, match="SHA-256"):
        fetch(site, tmp_path, sha256="0" * 64)
    assert left(tmp_path) == ["a.bin"]
    assert (tmp_path / "a.bin").read_bytes() == b"old"


def test_passing_faults_are_tried_again_and_lasting_ones_are_not(site, tmp_path):
    site.codes = [503, 429]
    fetch(site, tmp_path)
    site.requests, site.codes = [], [403]
    with pytest.raises(DownloadError, match="HTTP 403"):
        fetch(site, tmp_path)
    assert len(site.requests) == 1


def test_nobody_there_is_a_clear_error(tmp_path):
    with pytest.raises(DownloadError, match=r"127\.0\.0\.1:9"):
        download("http://127.0.0.1:9/x", tmp_path / "x", patience=QUICK, show=False)


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://a/b", "a.bin"])
def test_only_web_addresses_are_fetched(url, tmp_path):
    with pytest.raises(DownloadError, match="no http"):
        download(url, tmp_path / "x")


def test_more_than_allowed_is_refused(site, tmp_path):
    with pytest.raises(DownloadError, match="at most 1000"):
        fetch(site, tmp_path, max_bytes=1000)


def test_a_page_instead_of_an_archive_is_said(site, tmp_path):
    site.files["/a.zip"], site.kinds["/a.zip"] = b"<html>", "text/html"
    with pytest.raises(DownloadError, match="web page"):
        download(f"{site.url}/a.zip", tmp_path / "a.zip", show=False)


def tgz(**files):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as opened:
        for name, data in files.items():
            info = tarfile.TarInfo(name.replace("__", "/"))
            info.size = len(data)
            opened.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("ONECYCLE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("ONECYCLE_MIRROR", raising=False)
    monkeypatch.setattr(urls, "KNOWN", {})  # the archives of the tests are not the published ones
    return tmp_path / "home"


def test_untar_data_gives_the_folder_and_asks_once(site, home, monkeypatch):
    monkeypatch.setenv("ONECYCLE_MIRROR", site.url)
    site.files["/camvid.tgz"] = tgz(camvid__codes=b"Sky\nRoad", camvid__images__a=b"1")
    path = untar_data(URLs.CAMVID)
    assert path == Config.data_path() / "camvid" == home / "data/camvid"
    assert [p.name for p in path.ls()] == ["codes", "images"]
    assert untar_data(URLs.CAMVID) == path
    assert len(site.requests) == 1
    assert left(home / "data") == ["camvid", "camvid.tgz"]


def test_untar_data_takes_a_folder_as_mirror_and_names_without_a_folder_inside(
    home, monkeypatch, tmp_path
):
    (tmp_path / "mirror").mkdir()
    (tmp_path / "mirror/mnist_tiny.tgz").write_bytes(tgz(a=b"1", b=b"2"))
    monkeypatch.setenv("ONECYCLE_MIRROR", str(tmp_path / "mirror"))
    assert [p.name for p in untar_data(URLs.MNIST_TINY).ls()] == ["a", "b"]
    with pytest.raises(DownloadError, match="has no"):
        untar_data(URLs.PETS)


def test_an_archive_of_the_course_is_compared_with_what_is_published(site, home, monkeypatch):
    monkeypatch.setenv("ONECYCLE_MIRROR", site.url)
    whole = tgz(camvid__codes=np.random.default_rng(1).bytes(1_500_000))
    begin = hashlib.md5(whole[: 1 << 20]).hexdigest()
    monkeypatch.setattr(urls, "KNOWN", {"camvid.tgz": (len(whole), begin)})
    for wrong in (whole + b"x", whole[:9] + b"\7" + whole[10:]):
        site.files["/camvid.tgz"] = wrong
        with pytest.raises(DownloadError, match="published are"):
            untar_data(URLs.CAMVID)
        assert left(home / "data") == []
    site.files["/camvid.tgz"] = whole
    assert [p.name for p in untar_data(URLs.CAMVID).ls()] == ["codes"]


def test_what_is_published_of_the_courses_archives_is_known():
    named = {url.rpartition("/")[2] for name, url in vars(URLs).items() if name.isupper()}
    assert named == set(urls.KNOWN)


def test_a_forced_download_replaces_the_folder(site, home):
    site.files["/x.tgz"] = tgz(x__old=b"1")
    untar_data(f"{site.url}/x")
    site.files["/x.tgz"] = tgz(x__new=b"1")
    assert [p.name for p in untar_data(f"{site.url}/x", force_download=True).ls()] == ["new"]


def png(side):
    buffer = io.BytesIO()
    Image.new("RGB", (side, side), "teal").save(buffer, "PNG")
    return buffer.getvalue()


def test_download_images_names_by_position_and_counts_what_is_bad(site, tmp_path, capsys):
    site.files |= {"/a.png": png(4), "/page": b"<html>", "/c.png?w=2": png(5)}
    names = ["/a.png", "/gone.jpg", "/page", "/c.png?w=2", "/a.png"]
    (tmp_path / "urls.csv").write_text("\n".join(site.url + n for n in names) + "\n\n")
    found = download_images(tmp_path / "urls.csv", tmp_path / "pics", max_pics=4)
    assert [p.name for p in found] == ["00000000.png", "00000003.png"]
    assert left(tmp_path / "pics") == ["00000000.png", "00000003.png"]
    reported = capsys.readouterr().out
    assert "2 of 4 images left out" in reported
    assert "1x HTTP 404" in reported
    assert "1x not an image" in reported


def test_download_images_goes_on_after_a_break_and_raises_without_workers(site, tmp_path):
    site.files["/a.png"] = png(4)
    for _ in range(2):
        assert len(download_images([f"{site.url}/a.png"], tmp_path)) == 1
    assert len(site.requests) == 1
    site.files["/b.png"] = b"no"
    with pytest.raises(ImageError, match="not an image"):
        download_images([f"{site.url}/b.png"], tmp_path / "b", max_workers=0)


def test_addresses_beyond_the_default_number_are_counted(site, tmp_path, monkeypatch):
    fetched = []
    monkeypatch.setattr(web_images, "_fetch", lambda numbered, **_: fetched.append(numbered))
    many = [f"{site.url}/{i}.png" for i in range(1003)]
    with pytest.warns(OnecycleWarning, match="3 of 1003 addresses are left out.*1000 are fetched"):
        download_images(many, tmp_path, max_workers=0)
    assert [number for number, _ in fetched] == list(range(1000))
    fetched.clear()
    download_images(many, tmp_path, max_pics=1003, max_workers=0)
    download_images(many, tmp_path, max_pics=7, max_workers=0)  # asked for
    assert len(fetched) == 1010
    with pytest.raises(UsageError, match="max_pics"):
        download_images(many, tmp_path, max_pics=0)


@pytest.mark.parametrize("there", ["archive", "folder", "mirror"])
def test_a_digest_is_compared_wherever_the_archive_comes_from(home, tmp_path, monkeypatch, there):
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "a.txt").write_text("a")
    kept = home / "set.tgz" if there != "mirror" else tmp_path / "mirror" / "set.tgz"
    kept.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(kept, "w:gz") as packed:
        packed.add(tmp_path / "set", "set")
    if there == "mirror":
        monkeypatch.setenv("ONECYCLE_MIRROR", str(kept.parent))
    right = hashlib.sha256(kept.read_bytes()).hexdigest()
    if there == "folder":
        untar_data("https://example.org/set.tgz", dest=home)
    with pytest.raises(DownloadError, match=f"the SHA-256 is {right}, expected 0000"):
        untar_data("https://example.org/set.tgz", dest=home, sha256="0" * 64)
    path = untar_data("https://example.org/set.tgz", dest=home, sha256=right.upper())
    assert [p.name for p in path.ls()] == ["a.txt"]


def test_a_fresh_archive_is_digested_once(site, home, tmp_path, monkeypatch):
    (tmp_path / "a.txt").write_text("a")
    with tarfile.open(tmp_path / "set.tgz", "w:gz") as packed:
        packed.add(tmp_path / "a.txt", "set/a.txt")
    site.files["/set.tgz"] = (tmp_path / "set.tgz").read_bytes()
    digest, seen = hashlib.file_digest, []
    monkeypatch.setattr(hashlib, "file_digest", lambda *a: seen.append(a) or digest(*a))
    right = hashlib.sha256(site.files["/set.tgz"]).hexdigest()
    untar_data(f"{site.url}/set.tgz", dest=home, sha256=right)
    assert len(seen) == 1
