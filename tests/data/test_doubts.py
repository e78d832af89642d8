"""What is allowed in labelled data but probably not meant is told, once, with a count."""

import warnings

import pandas as pd
import pytest
from PIL import Image

from onecycle.core.errors import EmptyDataError, LabelError, OnecycleWarning
from onecycle.data.lists import ItemList
from onecycle.text.lists import TextDataBunch, TextList
from onecycle.vision.lists import ImageDataBunch, ImageList, PointsItemList

SMALL = {"size": 8, "bs": 2, "num_workers": 0, "device": "cpu"}


def listed(*names, root="/data"):
    return ImageList.from_paths(names, root)


def table(labels, valid, **options):
    frame = pd.DataFrame({"name": [f"{i}.jpg" for i in range(len(labels))], "label": labels})
    return ImageList.from_df(frame, "/data").split_by_idx(valid).label_from_df(**options)


def lines(step):
    """The messages of all warnings of ours that a step gives."""
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        step()
    return [str(w.message) for w in seen if issubclass(w.category, OnecycleWarning)]


def tree(root, counts, size=(6, 6)):
    """Images, no two the same: {folder: how many}."""
    number = 0
    for folder, count in counts.items():
        (root / folder).mkdir(parents=True, exist_ok=True)
        for i in range(count):
            number += 1
            Image.new("RGB", size, (number, 2 * number % 256, 0)).save(root / folder / f"{i}.png")
    return root


# --- classes


def test_classes_without_a_validation_item_are_counted_and_named():
    labels = ["a"] * 4 + ["b"] * 2 + ["c"] * 3
    (message,) = lines(lambda: table(labels, [0, 1]))
    assert message.startswith("2 of 3 classes have no validation item")
    assert "'b (2x)', 'c (3x)'" in message
    assert "another seed" in message
    assert "split_by_idx" in message
    assert lines(lambda: table(labels, [0, 4, 6])) == []


def test_tags_without_a_validation_item_are_counted_and_named():
    (message,) = lines(lambda: table(["a b", "a", "b c c", "a b"], [1, 3], label_delim=" "))
    assert message.startswith("1 of 3 classes have no validation item")
    assert "'c (1x)'" in message


def test_without_a_validation_side_none_is_missed():
    names = ["a/1.png", "b/1.png"]
    assert lines(lambda: listed(*names).split_none().label_from_folder()) == []


@pytest.mark.parametrize("seed", range(12))
def test_a_random_split_of_small_classes_tells_or_names_what_to_do(seed):
    """With three images a class, some seeds leave a class without validation, others raise."""
    names = [f"{label}/{i}.jpg" for label in "abcde" for i in range(3)]
    split = listed(*names).split_by_rand_pct(0.2, seed=seed, stratify=False)
    train, valid = (
        [item.parent.name for item in side.items] for side in (split.train, split.valid)
    )
    if set(valid) - set(train):
        with pytest.raises(LabelError, match=r"another seed, or split_by_idx.*unknown=\"drop\""):
            split.label_from_folder()
    else:
        missing = sorted(set(train) - set(valid))
        (message,) = lines(split.label_from_folder)
        assert message.startswith(f"{len(missing)} of 5 classes have no validation item")
        assert all(f"'{name} ({train.count(name)}x)'" in message for name in missing)


def test_classes_that_are_given_but_not_there_are_named():
    labels = ["neg", "pos"] * 3
    (message,) = lines(lambda: table(labels, [0, 1], classes=["neg", "pos", "neutral"]))
    assert message.startswith("1 of 3 classes have no training item")
    assert "'neutral'" in message


@pytest.mark.parametrize(
    "alike", [("cat", "cat "), ("cat", "Cat"), (" dog", "dog"), ("great  dane", "Great dane")]
)
def test_classes_that_differ_in_blanks_or_capitals_alone_are_named(alike):
    labels = [*alike, "cow"] * 2
    (message,) = lines(lambda: table(labels, [0, 1, 2]))
    assert message.startswith("1 classes are there in several spellings")
    assert all(repr(name) in message for name in alike)


def test_single_letters_and_numbers_may_differ_in_capitals_alone():
    assert lines(lambda: table(["a", "A", "b"] * 2, [0, 1, 2])) == []
    assert lines(lambda: table([1, 10, 1, 10], [0, 1])) == []


def test_a_delimiter_that_divides_nothing_is_told():
    (message,) = lines(lambda: table(["a;b", "a", "a;b", "a"], [0, 1], label_delim=" "))
    assert message.startswith("label_delim=' ' divides none of the 2 cells of column 1")
    assert lines(lambda: table(["a;b", "a", "a;b", "a"], [0, 1], label_delim=";")) == []


# --- folders that are kept for later


@pytest.mark.parametrize("name", ["test", "Test", "TESTING", "valid", "val", "Validation", "dev"])
@pytest.mark.parametrize("below", ["", "/cat"])
def test_training_on_a_folder_that_is_kept_for_later_is_told(name, below):
    names = [f"{folder}/{i}.jpg" for folder in ("cat", "dog", name + below) for i in range(4)]
    split = listed(*names).split_by_idx([0, 4, 8])
    (message,) = lines(split.label_from_folder)
    assert f"'{name} (3 items)'" in message
    assert f"filter_by_folder(exclude=['{name}'])" in message


def test_a_random_split_of_everything_is_told_where_labels_come_from_names_too():
    names = [f"{side}/{c}_{i}.jpg" for side in ("train", "test") for c in "ab" for i in range(4)]
    split = listed(*names).split_by_idx([0, 4])
    assert len(lines(lambda: split.label_from_re(r"/(.)_\d"))) == 1
    assert len(lines(lambda: split.label_from_func(lambda path: path.name[0]))) == 1


def test_folders_that_validate_or_that_are_all_there_is_or_are_asked_for_are_no_doubt():
    sides = [f"{side}/{c}/{i}.jpg" for side in ("train", "valid") for c in "ab" for i in range(3)]
    assert lines(lambda: listed(*sides).split_by_folder().label_from_folder()) == []
    alone = [f"test/{c}/{i}.jpg" for c in "ab" for i in range(3)]
    assert lines(lambda: listed(*alone).split_by_idx([0, 3]).label_from_folder()) == []
    names = [f"{c}/{i}.jpg" for c in ("cat", "test") for i in range(3)]
    split = listed(*names).split_by_idx([0, 3])
    assert lines(lambda: split.label_from_folder(classes=["cat", "test"])) == []
    frame = pd.DataFrame({"text": ["test/a bad film", "a/good film"] * 3, "label": list("ab") * 3})
    texts = TextList.from_df(frame).split_by_idx([0, 1])
    assert lines(lambda: texts.label_from_df("label")) == []


def test_files_without_a_folder_of_their_own_are_told_what_class_they_become(tmp_path):
    tree(tmp_path / "set", {"cat": 4, "dog": 4, ".": 2})
    split = ImageList.from_folder(tmp_path / "set").split_by_idx([2, 6])
    (message,) = [m for m in lines(split.label_from_folder) if "classes have no" not in m]
    assert message.startswith("2 of 8 files lie in ")
    assert "whose name 'set' becomes their class: '0.png', '1.png'" in message
    kept = ImageList.from_folder(tmp_path / "set").filter_by_func(lambda p: p.parent.name != "set")
    assert lines(kept.split_by_idx([0, 4]).label_from_folder) == []


# --- the factories


def test_the_folder_of_the_test_set_is_not_trained_on(tmp_path):
    tree(tmp_path, {"cat": 6, "dog": 6, "held": 3})
    data = ImageDataBunch.from_folder(
        tmp_path, train=".", valid_pct=0.4, seed=1, test="held", **SMALL
    )
    assert data.classes == ["cat", "dog"]
    assert [path.parent.name for path in data.test_ds.items] == ["held"] * 3
    assert len(data.train_ds) + len(data.valid_ds) == 12


def test_a_test_set_in_a_deeper_folder_is_not_trained_on_either(tmp_path):
    tree(tmp_path, {"train/cat": 6, "train/dog": 6, "train/kept/x": 3})
    data = ImageDataBunch.from_folder(tmp_path, valid_pct=0.4, seed=1, test="train/kept", **SMALL)
    assert (data.classes, len(data.test_ds)) == (["cat", "dog"], 3)


@pytest.mark.parametrize("way", ["func", "re", "lists", "df"])
def test_given_files_that_lie_in_the_folder_of_the_test_set_are_counted(tmp_path, way):
    tree(tmp_path, {"in/a": 5, "in/b": 5, "test/a": 3})
    files = [
        path for folder in ("in", "test") for path in sorted((tmp_path / folder).rglob("*.png"))
    ]
    names = [path.parent.name for path in files]
    frame = pd.DataFrame(
        {"name": [path.relative_to(tmp_path).as_posix() for path in files], "label": names}
    )
    options = {"test": "test", "valid_pct": 0.4, "seed": 2, **SMALL}
    with pytest.warns(OnecycleWarning, match="3 of 13 given images lie in the folder of the test"):
        data = {
            "func": lambda: ImageDataBunch.from_name_func(
                tmp_path, files, lambda path: path.parent.name, **options
            ),
            "re": lambda: ImageDataBunch.from_name_re(tmp_path, files, r"/(.)/\d", **options),
            "lists": lambda: ImageDataBunch.from_lists(tmp_path, files, names, **options),
            "df": lambda: ImageDataBunch.from_df(tmp_path, frame, **options),
        }[way]()
    assert len(data.train_ds) + len(data.valid_ds) == 10
    assert not {*data.test_ds.items} & {*data.train_ds.items, *data.valid_ds.items}


def test_a_validation_folder_that_a_random_share_leaves_unused_is_told(tmp_path):
    tree(tmp_path, {"train/a": 5, "train/b": 5, "valid/a": 2, "valid/b": 2})
    messages = lines(lambda: ImageDataBunch.from_folder(tmp_path, valid_pct=0.4, seed=1, **SMALL))
    assert len(messages) == 1
    assert "the folder 'valid' is not used (4 images" in messages[0]


@pytest.mark.parametrize("factory", [ImageDataBunch, TextDataBunch])
def test_a_folder_of_another_name_is_an_error_that_lists_those_there_are(tmp_path, factory):
    tree(tmp_path, {"Train/a": 2, "val/a": 2})
    with pytest.raises(EmptyDataError, match=r"no folder 'train' in .*'Train', 'val'"):
        factory.from_folder(tmp_path)
    with pytest.raises(EmptyDataError, match=r"no folder 'valid' in .*train= and valid="):
        factory.from_folder(tmp_path, train="Train")


def test_texts_beside_the_two_folders_are_not_asked_for(tmp_path):
    for i, folder in enumerate(("train/a", "train/b", "valid/a", "valid/b", "unsup")):
        (tmp_path / folder).mkdir(parents=True)
        for j in range(3):
            text = f"film {j} is number {i} of all"
            (tmp_path / folder / f"{j}.txt").write_text(text)
    made = []
    options = {"bs": 2, "min_freq": 1}
    assert lines(lambda: made.append(TextDataBunch.from_folder(tmp_path, **options))) == []
    assert (len(made[0].train_ds), len(made[0].valid_ds)) == (6, 6)


# --- folders that are named


@pytest.mark.parametrize("wrong", [["a", "zz"], "zz"])
def test_folders_that_are_not_there_are_named(tmp_path, wrong):
    tree(tmp_path, {"a": 2, "b": 2})
    (tmp_path / "top.png").write_bytes(b"x")
    with pytest.warns(OnecycleWarning, match=r"1 of [12] folders are not in .*'zz'; there are 'a'"):
        ImageList.from_folder(tmp_path, include=wrong)
    items = ImageList.from_folder(tmp_path)
    with pytest.warns(OnecycleWarning, match="1 of [12] folders are not in"):
        items.filter_by_folder(exclude=wrong)


def test_a_hidden_folder_that_is_asked_for_by_name_is_taken(tmp_path):
    tree(tmp_path, {"a": 1, ".mine": 2})
    kept = ImageList.from_folder(tmp_path, include=[".mine"])
    assert {path.parent.name for path in kept} == {".mine"}
    with pytest.raises(ValueError, match=r"include= names folders below, which recurse=False"):
        ImageList.from_folder(tmp_path, include=["a"], recurse=False)


def test_a_name_is_one_folder_and_not_its_letters(tmp_path):
    tree(tmp_path, {"a": 2, "ab": 2, "b": 1})
    kept = ImageList.from_folder(tmp_path, include="ab")
    assert {path.parent.name for path in kept} == {"ab"}
    kept = ImageList.from_folder(tmp_path).filter_by_folder(exclude="ab")
    assert [path.parent.name for path in kept] == ["a", "a", "b"]


# --- files that are left out


def test_images_of_every_common_ending_are_read(tmp_path):
    image = Image.new("RGB", (9, 7), (200, 60, 50))
    for suffix in (
        "jpg",
        "jpe",
        "jfif",
        "pjpeg",
        "png",
        "bmp",
        "dib",
        "gif",
        "webp",
        "tif",
        "avif",
    ):
        kind = {"jfif": "jpeg", "jpe": "jpeg", "pjpeg": "jpeg", "dib": "bmp"}.get(suffix)
        image.save(tmp_path / f"x.{suffix}", kind)
    items = ImageList.from_folder(tmp_path)
    assert len(items) == 11
    for i in range(len(items)):
        assert items[i].shape == (3, 7, 9)
        assert items[i].data[0].mean() == pytest.approx(200 / 255, abs=0.06)


def test_images_that_are_left_out_are_counted_by_ending_and_can_be_taken(tmp_path):
    tree(tmp_path, {"a": 2})
    for i in range(3):
        (tmp_path / "a" / f"{i}.JXL").write_bytes(b"\0\0\0\x0cJXL ")
        (tmp_path / "a" / f"{i}.psd").write_bytes(b"8BPS")
    (tmp_path / "a" / "table.csv").write_text("a,b\n")
    (message,) = lines(lambda: ImageList.from_folder(tmp_path))
    assert "2 image files" in message
    assert "6 that seem to hold such data are left out for their endings: 3 .jxl, 3 .psd" in message
    assert lines(lambda: ImageList.from_folder(tmp_path, extensions=[".png"])) == []
    taken = ImageList.from_folder(tmp_path, extensions=["png", ".jxl"])
    assert len(taken) == 5
    with pytest.raises(ValueError, match=r"(?s)3 of 5 files .*JPEG XL: save it as JPEG or PNG"):
        taken.split_none().label_from_func(lambda path: path.suffix).databunch(bs=2)


def test_heic_is_read_once_pillow_can(tmp_path, monkeypatch):
    """As pillow-heif tells Pillow; here the format is a PNG behind another mark."""
    opened = Image.registered_extensions() and Image.OPEN["PNG"][0]
    monkeypatch.setitem(Image.OPEN, "HEIF", (opened, lambda begin: begin.startswith(b"\x89PNG")))
    monkeypatch.setitem(Image.OPEN, "PNG", (opened, lambda begin: False))
    Image.new("RGB", (9, 7), (200, 60, 50)).save(tmp_path / "x.png")
    (tmp_path / "x.png").rename(tmp_path / "x.heic")
    assert ImageList.from_folder(tmp_path, extensions=[".heic"])[0].shape == (3, 7, 9)


def test_texts_of_other_endings_are_counted(tmp_path):
    for name in ("a.txt", "b.md", "c.html", "53532", "README.md", "LICENSE", "labels.csv"):
        (tmp_path / name).write_text("good")
    (message,) = lines(lambda: TextList.from_folder(tmp_path))
    assert "3 that seem to hold such data" in message
    assert all(f"1 {ending}" in message for ending in (".md", ".html", "without one"))
    assert len(TextList.from_folder(tmp_path, extensions=[".txt", ""])) == 3


def test_a_list_whose_items_are_no_files_says_so(tmp_path):
    with pytest.raises(ValueError, match="ItemList has no files of its own"):
        ItemList.from_folder(tmp_path)
    with pytest.raises(EmptyDataError, match=r"no .* file below"):
        PointsItemList.from_folder(tmp_path)
