"""What is checked before training, and what verify_images deletes."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow
from torch import nn

from onecycle.core.errors import EmptyDataError, ImageError, OnecycleWarning
from onecycle.learn.learner import Learner
from onecycle.runtime.inputs import pixels as spec_pixels
from onecycle.vision import checks
from onecycle.vision.checks import verify_images
from onecycle.vision.lists import ImageList

GOOD = np.random.default_rng(0).integers(0, 255, (24, 20, 3)).astype(np.uint8)


@pytest.fixture
def folder(tmp_path):
    """Two good images, one that is cut off, one of another kind, a folder and a note."""
    for name in ("a.png", "b.jpg"):
        Pillow.fromarray(GOOD).save(tmp_path / name, quality=95)
    (tmp_path / "cut.jpg").write_bytes((tmp_path / "b.jpg").read_bytes()[:-200])
    (tmp_path / "phone.jpg").write_bytes(b"\0\0\0\x18ftypheic" + bytes(90))
    (tmp_path / "scans.jpg").mkdir()
    Pillow.fromarray(GOOD).save(tmp_path / "scans.jpg" / "in.png")
    (tmp_path / "notes.txt").write_text("not an image")
    return tmp_path


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_nothing_is_deleted_unless_it_is_asked_for(folder, capsys):
    before = names(folder)
    assert [path.name for path in verify_images(folder)] == ["cut.jpg", "phone.jpg"]
    assert names(folder) == before
    messages = capsys.readouterr().out.splitlines()
    assert "cut.jpg: damaged" in messages[0]
    assert "phone.jpg: damaged, or a kind of HEIC that is not known here" in messages[1]
    last = "4 files: 1 broken (to be deleted by delete=True), 1 not readable here (kept)"
    assert messages[2:] == [last]


def test_only_what_is_broken_is_deleted(folder, capsys):
    found = verify_images(folder, delete=True)
    assert [path.name for path in found] == ["cut.jpg", "phone.jpg"]
    assert names(folder) == ["a.png", "b.jpg", "notes.txt", "phone.jpg", "scans.jpg"]
    assert "1 broken (deleted), 1 not readable" in capsys.readouterr().out


def test_the_folder_of_another_user_and_large_maps_are_kept(folder, monkeypatch):
    def mine_only(path, *how):
        if str(path).endswith("b.jpg"):
            raise PermissionError(13, "Permission denied")
        return open(path, *how)  # noqa: PTH123

    monkeypatch.setattr(spec_pixels, "open", mine_only, raising=False)
    monkeypatch.setattr(spec_pixels, "MAX_PIXELS", 470)  # of 480
    found = verify_images(folder, delete=True)
    assert [path.name for path in found] == ["a.png", "b.jpg", "cut.jpg", "phone.jpg"]
    assert names(folder) == ["a.png", "b.jpg", "cut.jpg", "notes.txt", "phone.jpg", "scans.jpg"]


def test_folders_below_are_looked_into_only_if_asked_for(folder):
    (folder / "scans.jpg" / "broken.png").write_bytes(b"")
    assert [path.name for path in verify_images(folder, recurse=True)][-1] == "broken.png"
    with pytest.warns(OnecycleWarning, match="holds no image files; recurse=True looks"):
        assert verify_images(folder.parent) == []
    (folder / "gone").symlink_to(folder / "nowhere")
    (folder / "gone.png").symlink_to(folder / "nowhere.png")
    assert "gone.png" in [path.name for path in verify_images(folder, delete=True)]
    assert (folder / "gone.png").is_symlink()


def test_a_path_that_is_no_folder_is_an_error(folder):
    for wrong in (folder / "a.png", folder / "gone"):
        with pytest.raises(EmptyDataError, match="is no folder"):
            verify_images(wrong)


def test_what_cannot_be_deleted_is_said(folder, monkeypatch):
    def refused(self, *_, **__):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(type(folder), "unlink", refused)
    with pytest.warns(OnecycleWarning, match="1 broken files could not be deleted: .*cut.jpg"):
        verify_images(folder, delete=True)


def test_shrinking_keeps_the_way_up_and_refuses_to_lose_pages(tmp_path):
    exif = Pillow.Exif()
    exif[274] = 6
    Pillow.fromarray(np.repeat(GOOD, 4, 1)).save(tmp_path / "a.jpg", quality=95, exif=exif)
    before = spec_pixels.open_pixels(tmp_path / "a.jpg")
    assert verify_images(tmp_path, max_size=40) == []
    after = spec_pixels.open_pixels(tmp_path / "a.jpg")
    assert (before.shape, after.shape) == ((80, 24, 3), (40, 12, 3))
    halved = before.reshape(40, 2, 12, 2, 3).mean((1, 3))
    assert np.abs(after - halved).mean() < 25
    page = Pillow.fromarray(GOOD)
    page.save(tmp_path / "b.tif", save_all=True, append_images=[page])
    with pytest.raises(ImageError, match=r"b\.tif: cannot be shrunk \(it holds several images"):
        verify_images(tmp_path, max_size=10)


# --- before training


def data(root, **options):
    src = ImageList.from_folder(root).split_by_idx([0]).label_const("x").transform(None, size=8)
    return src.databunch(bs=1, num_workers=0, device="cpu", **options)


def fill(root, *images):
    for i, image in enumerate(images):
        Pillow.fromarray(image).save(root / f"{i}.png")


TILE = np.dstack([GOOD, np.full((24, 20), 50, np.uint8)])


@pytest.mark.filterwarnings("ignore:there is only one class")
def test_surprises_are_counted_over_the_whole_set(tmp_path):
    fill(tmp_path, GOOD, TILE, TILE, GOOD, TILE)
    with pytest.warns(OnecycleWarning) as given:
        data(tmp_path, find_copies=False)
    (messages,) = [str(w.message) for w in given if "only one class" not in str(w.message)]
    assert messages.startswith("3 of 3 images (")
    assert "1.png" in messages
    assert "taken for transparency" in messages


@pytest.mark.filterwarnings("ignore:there is only one class")
def test_dark_files_beside_bright_ones_of_16_bits_are_merely_dark(tmp_path):
    dark, bright = (np.linspace(0, top, 80).reshape(8, 10).astype(np.uint16) for top in (900, 6e4))
    fill(tmp_path, dark, dark, bright)
    with pytest.warns(OnecycleWarning) as caught:
        data(tmp_path)
    (said,) = [w for w in caught if "16-bit" in str(w.message)]
    assert "1 of 3 images" in str(said.message)
    assert "of which the upper 8 bits were taken" in str(said.message)
    (tmp_path / "2.png").unlink()
    with pytest.warns(OnecycleWarning, match="2 of 2 images .*less than a quarter"):
        data(tmp_path)


@pytest.mark.filterwarnings("ignore:there is only one class")
def test_of_many_files_a_sample_is_opened(tmp_path, monkeypatch):
    fill(tmp_path, *[TILE] * 12)
    monkeypatch.setattr(checks, "_LOOKED_AT", 5)
    with pytest.warns(OnecycleWarning, match="5 of 5 images .*0.png"):
        data(tmp_path)


def test_images_in_memory_are_looked_at_too():
    items = ImageList._make([GOOD, TILE, GOOD], ".").split_by_idx([0]).label_const(1.5)
    with pytest.warns(OnecycleWarning, match=r"1 of 3 images \('the given array'\)"):
        items.transform(None, size=8).databunch(bs=1, num_workers=0)


@pytest.mark.filterwarnings("ignore:there is only one class")
def test_an_item_that_is_predicted_is_looked_at(tmp_path):
    fill(tmp_path, GOOD, GOOD)
    model = nn.Sequential(nn.Flatten(), nn.Linear(192, 1))
    learn = Learner(data(tmp_path), model, silent=True)
    learn.predict(tmp_path / "0.png")
    fill(tmp_path, GOOD, TILE)
    for source in (tmp_path / "1.png", TILE, Pillow.fromarray(TILE)):
        with pytest.warns(
            OnecycleWarning, match="1 of 1 images .*taken for transparency"
        ) as reported:
            learn.predict(source)
        assert Path(reported[0].filename).name == "test_checks.py"


@pytest.mark.filterwarnings("ignore:there is only one class")
def test_an_item_that_is_predicted_is_read_once(tmp_path, monkeypatch):
    fill(tmp_path, GOOD, GOOD[::-1])
    learn = Learner(data(tmp_path), nn.Sequential(nn.Flatten(), nn.Linear(192, 1)), silent=True)
    path = tmp_path / "1.png"
    wanted, times = learn.predict(path)[2], []
    read = spec_pixels.open_pixels
    monkeypatch.setattr(
        spec_pixels, "open_pixels", lambda *a, **b: times.append(a) or read(*a, **b)
    )
    with path.open("rb") as file:
        for source in (file, path.read_bytes(), GOOD[::-1]):
            times.clear()
            assert learn.predict(source)[2].tolist() == wanted.tolist()
            assert len(times) == 1


def test_open_files_are_no_items_of_a_set(tmp_path):
    fill(tmp_path, GOOD)
    with (
        (tmp_path / "0.png").open("rb") as file,
        pytest.raises(ImageError, match="1 items are ope"),
    ):
        ImageList._make([GOOD, file], ".").split_by_idx([0]).label_const(1.5).databunch(bs=1)


@pytest.mark.filterwarnings("ignore:there is only one class")
def test_files_that_are_only_unknown_are_not_advised_to_be_deleted(tmp_path):
    fill(tmp_path, GOOD, GOOD)
    (tmp_path / "2.tif").write_bytes(b"II*\0" + bytes(20))
    with pytest.raises(ImageError, match=r"(?s)1 of 3 files.*2\.tif") as found:
        data(tmp_path)
    assert "verify_images" not in str(found.value)
    (tmp_path / "3.png").write_bytes(b"no image")
    with pytest.raises(ImageError, match=r"(?s)2 of 4 files.*delete=True.* removes the 1 broken"):
        data(tmp_path)
