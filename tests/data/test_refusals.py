"""Wrong arguments of the data block are one clear error, never that of a library below."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from onecycle.core.errors import OnecycleError, OnecycleWarning
from onecycle.data.arrays import TensorList, from_arrays
from onecycle.data.lists import ItemList
from onecycle.data.targets import Category, MultiCategory, Numbers
from onecycle.series.lists import SeriesList
from onecycle.text.lists import TextList, TextLMDataBunch
from onecycle.vision.lists import ImageList, PointsItemList

NAN = float("nan")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("refused")
    for i, colour in enumerate(["a", "b"] * 6):
        (root / colour).mkdir(exist_ok=True)
        Image.new("RGB", (8, 8), (i, 0, 0)).save(root / colour / f"{i}.png")
    return root


class Steps:
    """What the expressions of the tests are made of."""

    def __init__(self, root):
        self.root = root

    @property
    def items(self):
        return ImageList.from_folder(self.root)

    @property
    def rows(self):
        frame = pd.DataFrame(
            {"name": [f"{'ab'[i % 2]}/{i}.png" for i in range(6)], "y": list("uvuvuv")}
        )
        frame["f"] = [0.5, 1.5, 2.5, 1.25, 7, 3]
        frame["v"] = [0, 1, 0, 1, 0, 0]
        frame["tags"] = [["u"], ["v"], ["u", "v"], ["u"], ["v"], ["u"]]
        return ImageList.from_df(frame, self.root)

    @property
    def split(self):
        return self.items.split_by_idx([0, 6])

    @property
    def tabled(self):
        return self.rows.split_by_idx([1, 4])

    @property
    def labelled(self):
        return self.split.label_from_folder()

    @property
    def data(self):
        return self.labelled.databunch(bs=2, num_workers=0, device="cpu")

    @property
    def arrays(self):
        return TensorList.from_arrays(np.arange(24.0).reshape(12, 2), list("ab") * 6)

    @property
    def texts(self):
        frame = pd.DataFrame({"t": ["good film", "bad film"] * 6, "y": list("ab") * 6})
        return TextList.from_df(frame)


REFUSED = {
    "paths of one text": (lambda s: ImageList.from_paths("0.png"), "a list of paths is wanted"),
    "a mask to take": (lambda s: s.items.take([True] * 12), r"np\.flatnonzero\(mask\)"),
    "places to take": (lambda s: s.items.take([1.5]), "whole numbers, not 1.5|whole numbers, not"),
    "a place beyond": (lambda s: s.texts.take([0, 12]), "lie in 0..12, there are 12 items"),
    "filter no function": (lambda s: s.items.filter_by_func(5), "is a function of the items"),
    "filter share": (lambda s: s.items.filter_by_rand(2), "p is a probability"),
    "filter share 0": (lambda s: s.items.filter_by_rand(0), "p is a probability"),
    "filter seed": (lambda s: s.items.filter_by_rand(0.5, seed="a"), "seed is a whole number"),
    "add no list": (lambda s: s.items.add([1]), "of one kind are wanted, not ImageList and list"),
    "add another kind": (lambda s: s.items.add(s.texts), "ImageList and TextList"),
    "splitter": (lambda s: s.items.split(5), "a splitter is a function"),
    "splitter's answer": (lambda s: s.items.split(lambda _: 5), "returns two arrays of positions"),
    "splitter's masks": (
        lambda s: s.items.split(lambda _: (np.ones(12, bool), np.zeros(12, bool))),
        r"np\.flatnonzero",
    ),
    "both sides": (
        lambda s: s.items.split(lambda _: ([0, 1, 3], [1, 3])),
        "2 items twice, at 1, 3",
    ),
    "twice on a side": (lambda s: s.items.split(lambda _: ([0, 0], [1])), "1 items twice, at 0"),
    "beyond": (lambda s: s.items.split(lambda _: ([0], [99])), r"99\.\.99, there are 12 items"),
    "share in words": (lambda s: s.items.split_by_rand_pct("a"), "valid_pct is a share"),
    "seed": (lambda s: s.items.split_by_rand_pct(0.2, seed=-1), r"seed is a whole number from 0"),
    "seed of parts": (lambda s: s.items.split_by_rand_pct(0.2, seed=1.5), "seed is a whole number"),
    "subset": (lambda s: s.items.split_subsets("a", 0.2), "train_size is a share"),
    "index": (lambda s: s.items.split_by_idx(5), "valid positions are a list of whole numbers"),
    "index of a mask": (lambda s: s.items.split_by_idx([True] * 12), r"np\.flatnonzero"),
    "index of floats": (lambda s: s.items.split_by_idx([1.7]), "valid positions are whole numbers"),
    "valid func": (lambda s: s.items.split_by_valid_func(5), "is a function of the items"),
    "one name": (
        lambda s: s.items.split_by_files("0.png"),
        "a list of names is wanted, not '0.png'",
    ),
    "no names": (lambda s: s.items.split_by_files(5), "a list of names is wanted"),
    "name file": (lambda s: s.items.split_by_fname_file("a/0.png"), r"0\.png: cannot be read"),
    "two texts": (lambda s: s.items.split_by_list("a", "b"), "of one kind are wanted, not str"),
    "two kinds": (lambda s: s.items.split_by_list(s.items, s.texts), "ImageList and TextList"),
    "labeller": (lambda s: s.split.label(5), "a labeller is a function"),
    "few labels": (lambda s: s.split.label(lambda _: [1]), "gives 1 labels for 10 items"),
    "one text for all": (lambda s: s.split.label(lambda _: "ab"), "gives no list of labels"),
    "kind": (lambda s: s.split.label_from_folder(5), "label_cls= is a kind of label"),
    "kind in words": (lambda s: s.split.label_from_folder("Category"), "label_cls= is a kind"),
    "python's float": (lambda s: s.split.label_from_folder(float), "label_cls= is a kind of label"),
    "classes": (lambda s: s.split.label_from_folder(classes=5), "classes= is a list of names"),
    "classes in a word": (lambda s: s.split.label_from_folder(classes="ab"), "not 'ab'"),
    "no classes": (lambda s: s.split.label_from_folder(classes=[]), "one or more, not"),
    "lists as classes": (lambda s: s.split.label_from_folder(classes=[["a"]]), "list of names"),
    "classes of numbers": (
        lambda s: s.tabled.label_from_df("f", classes=[1, 2]),
        "classes= is for labels that name classes, and these are Numbers",
    ),
    "classes of columns": (
        lambda s: s.tabled.label_from_df(["v", "f"], classes=["a"]),
        "several columns are named by themselves",
    ),
    "label func": (lambda s: s.split.label_from_func(5), "is a function of the items, not 5"),
    "dicts": (lambda s: s.split.label_from_func(lambda _: {"a": 1}), "Category cannot be made of"),
    "objects": (lambda s: s.split.label_from_func(lambda _: object()), "class is text or a number"),
    "no tags at all": (lambda s: s.split.label_from_func(lambda _: []), "none of the 10 labels"),
    "a table": (lambda s: s.split.label_from_func(lambda _: np.ones((2, 2))), r"shape \(2, 2\)"),
    "nested tags": (lambda s: s.split.label_from_func(lambda _: [["a"]]), "cannot be made of"),
    "blank tag": (lambda s: s.split.label_from_func(lambda _: ["a", ""]), "10 of 10 labels are bl"),
    "no tag": (lambda s: s.split.label_from_func(lambda _: ["a", None]), "10 of 10 labels are bl"),
    "NaN tag": (lambda s: s.split.label_from_func(lambda _: {"a", NAN}), "10 of 10 labels are bl"),
    "widths": (
        lambda s: s.split.label_from_func(lambda p: (1.5,) * (1 + (p.stem == "0"))),
        "has 2 numbers, expected 1",
    ),
    "pattern": (lambda s: s.split.label_from_re(5), "5 is no regular expression"),
    "column": (lambda s: s.tabled.label_from_df([1, 9]), "there is no column 9"),
    "no delimiter": (
        lambda s: s.tabled.label_from_df("y", label_delim=""),
        "text between two tags",
    ),
    "delimiter": (lambda s: s.tabled.label_from_df("y", label_delim=5), "text between two tags"),
    "delimiter of columns": (
        lambda s: s.tabled.label_from_df(["v", "f"], label_delim=" "),
        "label_delim= is for one column",
    ),
    "delimiter of floats": (
        lambda s: s.tabled.label_from_df("f", label_delim=" "),
        r"divides text, and 4 of 4 cells are none: '0\.5'.*row\(s\) 0, 2, 3, 5",
    ),
    "delimiter of lists": (
        lambda s: s.tabled.label_from_df("tags", label_delim=" "),
        "Leave it out for cells that are lists already",
    ),
    "tags of words": (
        lambda s: s.tabled.label_from_df("y", MultiCategory),
        "is not a list of tags",
    ),
    "tags of numbers": (
        lambda s: s.tabled.label_from_df("v", MultiCategory),
        r"MultiCategory cannot be made of labels such as 0.*row\(s\) 0, 2",
    ),
    "classes of lists": (lambda s: s.tabled.label_from_df("tags", Category), "cannot be made of"),
    "numbers of words": (lambda s: s.tabled.label_from_df("y", Numbers), "is not a number"),
    "points of numbers": (
        lambda s: PointsItemList.from_df(s.rows.frame, s.root).split_by_idx([1]).label_from_df("f"),
        r"is no list of points \(y, x\)",
    ),
    "test set": (lambda s: s.labelled.add_test(5), "a list of items is wanted, not 5"),
    "bs": (lambda s: s.labelled.databunch(bs=0), "bs is a whole number from 1 on, not 0"),
    "val_bs": (lambda s: s.labelled.databunch(bs=2, val_bs=0), "val_bs is a whole number from 1"),
    "workers": (lambda s: s.labelled.databunch(bs=2, num_workers=-1), "num_workers is a whole"),
    "seed of batches": (lambda s: s.labelled.databunch(bs=2, seed=None), "seed is a whole number"),
    "side": (lambda s: s.data.one_batch("zz"), "one of DatasetType.Train, .*, not 'zz'"),
    "rows": (lambda s: s.data.show_batch(rows=0), "rows is a whole number from 1 on"),
    "size of a table": (
        lambda s: (
            s.texts.split_none().label_from_df("y").databunch(bs=2).show_batch(figsize=(3, 3))
        ),
        "no figsize: leave it out",
    ),
    "threshold": (
        lambda s: s.split.label_from_func(lambda _: ["a"]).databunch(bs=2).with_threshold(5),
        "thresh is a probability",
    ),
    "arrays in a folder": (lambda s: TensorList.from_folder(s.root), "has no files of its own"),
    "series in a folder": (lambda s: SeriesList.from_folder(s.root), "has no files of its own"),
    "no kind of list": (lambda s: ItemList.from_folder(s.root), "has no files of its own"),
    "sized arrays": (
        lambda s: s.arrays.split_none().label_from_df().transform(None, size=5),
        "no transforms and no size",
    ),
    "arrays by folder": (lambda s: s.arrays.split_by_folder(), "are no files"),
    "series with masks": (
        lambda s: (
            SeriesList.from_array(np.ones((4, 9)) * np.arange(9), list("abab"))
            .split_none()
            .label_from_df()
            .transform(None, size=8, tfm_y=True)
        ),
        "no tfm_y",
    ),
    "padded texts": (
        lambda s: s.texts.split_none().label_from_df("y").transform(None, padding_mode="zeros"),
        "texts take no transforms",
    ),
    "labels of arrays": (lambda s: from_arrays([1, 2, 3], [1, 2]), "3 items in x and 2 labels"),
}


@pytest.mark.filterwarnings("ignore::onecycle.core.errors.OnecycleWarning")
@pytest.mark.parametrize("name", REFUSED)
def test_a_wrong_argument_is_refused_with_what_is_wanted(root, name):
    step, message = REFUSED[name]
    with pytest.raises(OnecycleError, match=f"(?s){message}"):
        step(Steps(root))


@pytest.mark.parametrize(
    ("step", "note"),
    [
        (lambda items, func: items.filter_by_func(func), "while filtering"),
        (lambda items, func: items.split_by_valid_func(func), "while asking whether it validates"),
        (lambda items, func: items.split_none().label_from_func(func), "while labelling"),
    ],
)
def test_an_error_of_a_users_function_says_at_which_item(root, step, note):
    with pytest.raises(ZeroDivisionError) as error:
        step(Steps(root).items, lambda path: 1 / (int(path.stem) - 3))
    assert error.value.__notes__[0].startswith(note)
    assert error.value.__notes__[0].endswith("3.png")


# --- what was an error of a library below, and should work


def test_two_lists_of_texts_make_a_language_model():
    first = TextList.from_df(pd.DataFrame({"t": ["the film was good", "a bad film"] * 9}), cols="t")
    second = TextList.from_df(pd.DataFrame({"t": ["good, bad and long"] * 9}), cols="t")
    with pytest.warns(OnecycleWarning, match="60% of the 45 words of validation are not in"):
        labelled = first.split_by_list(first, second).label_for_lm()
    assert (len(labelled.train), len(labelled.valid)) == (18, 9)
    data = labelled.databunch(bs=2, num_workers=0)
    frames = [pd.DataFrame({"text": list(side.items)}) for side in (first, second)]
    with pytest.warns(OnecycleWarning, match="60% of the 45 words of validation are not in"):
        wanted = TextLMDataBunch.from_df(".", *frames, text_cols="text", bs=2, num_workers=0)
    assert data.vocab == wanted.vocab
    for (x, y), (u, v) in zip(data.valid_dl, wanted.valid_dl, strict=True):
        assert x.tolist() == u.tolist()
        assert y.tolist() == v.tolist()


def test_a_tag_that_is_given_twice_counts_once():
    frame = pd.DataFrame({"n": ["1", "2", "3"], "t": ["b a b", "a a", "b"]})
    labelled = ImageList.from_df(frame).split_none().label_from_df("t", label_delim=" ")
    assert labelled.classes == ["a", "b"]
    assert labelled.train.y.items.tolist() == [[1, 1], [1, 0], [0, 1]]


def test_whole_numbers_among_tags_are_text():
    frame = pd.DataFrame({"n": ["1", "2", "3"], "t": ["1;2", 2, "1"]})
    labelled = ImageList.from_df(frame).split_none().label_from_df("t", label_delim=";")
    assert labelled.classes == ["1", "2"]


def test_a_splitter_can_be_used_again_though_it_was_given_an_iterator(root):
    from onecycle.data.splits import by_index

    splitter = by_index(iter([1, 2]))
    for _ in range(2):
        assert len(Steps(root).items.split(splitter).valid) == 2


def test_names_of_several_items_are_told():
    items = ImageList.from_paths(["a/0.jpg", "b/0.jpg", "a/1.jpg"], "/data")
    with pytest.warns(UserWarning, match=r"1 names in the list are each .*several items.*'0\.jpg'"):
        split = items.split_by_files(["0.jpg"])
    assert len(split.valid) == 2
    assert len(items.split_by_files(["a/0.jpg"]).valid) == 1


def test_a_file_of_names_may_begin_with_a_mark(tmp_path):
    (tmp_path / "valid.txt").write_bytes("0.jpg\n".encode("utf-8-sig"))
    items = ImageList.from_paths(["0.jpg", "1.jpg"], tmp_path)
    assert [p.name for p in items.split_by_fname_file("valid.txt").valid.items] == ["0.jpg"]
