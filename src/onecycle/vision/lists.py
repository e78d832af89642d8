"""Lists of images, and the factories that go from files to a DataBunch in one call."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path as PurePath
from typing import Any, ClassVar, NoReturn, Self

from onecycle.core.addresses import place_of
from onecycle.core.errors import EmptyDataError, UsageError, require_whole, warn
from onecycle.core.path_list import PathList, compact
from onecycle.core.paths import Path
from onecycle.core.walk import FileKind
from onecycle.data.checks import require_folders
from onecycle.data.databunch import DataBunch, LabelledItems
from onecycle.data.labels import from_columns, from_function, from_pattern
from onecycle.data.lists import ItemList
from onecycle.data.parquet import rows_of_parquet
from onecycle.data.rows import cells_of
from onecycle.data.tables import Column, read_table
from onecycle.runtime.inputs.pixels import FILES, SUFFIXES
from onecycle.vision.annotations import labels as made_of
from onecycle.vision.annotations.read import IGNORED_NAMES, read_labels, wanted_of
from onecycle.vision.bands import BandsInput, GreyInput
from onecycle.vision.boxes import Boxes
from onecycle.vision.input import ImageInput
from onecycle.vision.targets import Mask, Points


class ImageList(ItemList):
    """Images: files, or anything `open_image` takes."""

    suffixes: ClassVar[frozenset[str]] = SUFFIXES
    files: ClassVar[FileKind] = FILES
    default_target: ClassVar[Any] = None
    _make_labels: ClassVar[Any] = staticmethod(made_of.tags)

    @classmethod
    def from_annotations(
        cls,
        path: str | PurePath,
        format: str | None = None,
        images: str | PurePath | None = None,
        classes: Sequence[str] | None = None,
        unlabelled: str | None = None,
        ignore: Sequence[str] = IGNORED_NAMES,
        several: str | None = None,
    ) -> Self:
        """Images with what a labelling tool says about them; `label_from_annotations` labels them.

        `path` is a file or folder of COCO, Pascal VOC, YOLO, LabelMe, Label Studio or CVAT; which
        is guessed and printed unless `format` says it ("coco", "voc", "yolo", "labelme",
        "labelstudio", "cvat"). `images` is the folder of the images where they lie elsewhere.
        `classes` chooses and orders classes. Images that nobody has labelled are left out with a
        warning; `unlabelled` is "drop" or "keep" (as images with nothing in them). Names in
        `ignore`, crowds and difficult objects are void in masks and left out of boxes. `several`,
        "first" or "last", says what counts where an image is labelled twice.

        The kind of list decides what is taken: masks, boxes, points, or classes and tags.
        LabelError with the file and the entry for what cannot be used, and for images that are not
        there.
        """
        import pandas as pd

        wanted = wanted_of(path, format, images, classes, unlabelled, ignore, several)
        found = read_labels(wanted, cls._make_labels)
        frame = pd.DataFrame({"annotation": pd.Series(found.labels, dtype=object)})
        made = cls._make(found.files, found.root, inner_df=frame)
        return replace(made, label_cls=found.target, label_col="annotation")

    @classmethod
    def from_dataset(cls, dataset: Any, col: str | None = None) -> Self:
        """The images of a Hugging Face dataset, with its other columns as their table.

        `dataset` is a `datasets.Dataset` (one part of what `load_dataset` gives), of which `col` is
        the column of images, by default the only one. Classes are known by their names; a column of
        masks labels a SegmentationItemList. Needs `onecycle[datasets]`.
        """
        items, frame = cells_of(dataset, col)
        return cls._make(items, ".", inner_df=frame)

    @classmethod
    def from_parquet(cls, files: Any, col: str | None = None, buffer: int = 2000) -> Self:
        """The images in rows of Parquet files, with the other columns and `shard` as their table.

        `files` are files, addresses, folders of them, or a pattern ("hf://datasets/name/
        data/train-{00000..00099}-of-00100.parquet"): so a dataset of the Hub is read that
        `load_dataset(streaming=True)` would stream, with its length, its places and its classes
        known. `col` is the column of images, by default the only one. A training pass takes the
        files in random order and shuffles `buffer` rows at a time, since rows are read in groups:
        those of two buffers are held in memory. Needs `onecycle[parquet]`.
        """
        require_whole("buffer", buffer)
        items, frame, place = rows_of_parquet(files, col, buffer)
        return cls._make(items, place, inner_df=frame)

    def with_bands(
        self, bands: Any = "all", value_range: Any = None, rgb: Any = None, page: int | None = None
    ) -> Self:
        """The same list, of images as they are stored: these bands, with 16 bits or floats.

        `bands` are "all", or numbers counted from 1, as in GDAL and data sheets: (4, 3, 2).
        `value_range` is the (low, high) that becomes 0 and 1, one for all bands or one for each;
        without it that of each band is measured on the training images (0.5 to 99.5 per cent of
        the values), and a line says it. `rgb` are the three bands that are drawn as red, green and
        blue, by default the first three. Files are TIFF (`onecycle[tiff]`), DICOM
        (`onecycle[dicom]`), where `value_range` is the window, PNG, or photos; items may also be
        arrays (h, w, bands). Of files of several pages (or frames) `page`, counted from 1, is
        taken; without it the first, and a warning counts them. Networks take so many planes;
        pretrained ones are widened.
        """
        given: Any = self.input
        return replace(self, input=BandsInput.of(given, bands, value_range, rgb, page))

    @classmethod
    def from_folder(
        cls, path: str | PurePath = ".", *given: Any, convert_mode: str = "RGB", **options: Any
    ) -> Self:
        """Every image below `path`; `given` and `options` are those of `ItemList.from_folder`.

        `convert_mode` "L" is for grey images of 8 bits, which become one plane instead of three.
        """
        made = super().from_folder(path, *given, **options)
        if convert_mode == "RGB":
            return made
        if convert_mode != "L":
            raise UsageError(f'convert_mode is "RGB" or "L", not {convert_mode!r}')
        plain: Any = made.input
        return replace(made, input=GreyInput.of(plain, "all", (0, 255), None, None))

    @classmethod
    def _make(cls, items: Iterable[Any], path: str | PurePath, **more: Any) -> Self:
        return cls(
            compact(items), place_of(path), ImageInput(), label_cls=cls.default_target, **more
        )


class SegmentationItemList(ImageList):
    """Images whose labels are masks."""

    default_target: ClassVar[Any] = Mask
    _make_labels: ClassVar[Any] = staticmethod(made_of.masks)


class PointsItemList(ImageList):
    """Images whose labels are points."""

    default_target: ClassVar[Any] = Points
    _make_labels: ClassVar[Any] = staticmethod(made_of.points)


class ObjectItemList(ImageList):
    """Images whose labels are boxes with a class each."""

    default_target: ClassVar[Any] = Boxes
    _make_labels: ClassVar[Any] = staticmethod(made_of.boxes)


def get_image_files(folder: str | PurePath, recurse: bool = False) -> list[Path]:
    """The image files of a folder, sorted."""
    return list(ImageList.from_folder(folder, recurse=recurse).items)


class ImageDataBunch(DataBunch):
    """Factories for the common layouts; all take `transform()`'s and `databunch()`'s options.

    A random share that validates is the course's, item by item; with `stratify` each class has its
    own, as in `split_by_rand_pct`.
    """

    @classmethod
    def from_folder(
        cls,
        path: str | PurePath,
        train: str = "train",
        valid: str = "valid",
        test: str | None = None,
        valid_pct: float | None = None,
        seed: int | None = None,
        classes: Sequence[str] | None = None,
        stratify: bool = False,
        **options: Any,
    ) -> DataBunch:
        """Labels from folder names; validation from folder `valid`, or a share `valid_pct`.

        With `valid_pct` everything below `train` but the folder `test` is divided ("." is `path`);
        `seed` goes with it, and a folder `valid` does not: UsageError otherwise.
        """
        if valid_pct is None and (stratify or seed is not None):
            name = "stratify" if seed is None else "seed"
            raise UsageError(f"{name} is for a random share: give valid_pct, or leave {name} out")
        if valid_pct is not None and valid != "valid":
            raise UsageError(f"valid={valid!r} and valid_pct={valid_pct}: give one of the two")
        if valid_pct is None:
            require_folders(path, train, valid)
            items = ImageList.from_folder(path, include=[train, valid])
            split = items.filter_by_folder([train, valid]).split_by_folder(train, valid)
        else:
            items = _apart(ImageList.from_folder(path), path, test, asked=True)
            items = _only_below(items, path, train, valid)
            split = items.split_by_rand_pct(valid_pct, seed, stratify)
        labelled = split.label_from_folder(classes=classes)
        return _make_databunch(labelled.add_test_folder(test) if test else labelled, **options)

    @classmethod
    def single_from_classes(cls, *args: Any, **options: Any) -> NoReturn:
        """The course's way to a learner without data; raises UsageError with today's."""
        raise UsageError(
            "single_from_classes is not needed: the exported file holds classes and sizes; write "
            "load_learner(path).predict(open_image(file))"
        )

    @classmethod
    def from_df(
        cls,
        path: str | PurePath,
        df: Any,
        folder: str | PurePath | None = None,
        label_delim: str | None = None,
        valid_pct: float = 0.2,
        seed: int | None = None,
        fn_col: Column = 0,
        label_col: Column | Sequence[Column] = 1,
        suffix: str = "",
        stratify: bool = False,
        **options: Any,
    ) -> DataBunch:
        """File names and labels from two columns of a frame."""
        items = ImageList.from_df(df, path, fn_col, folder, suffix)
        kept = _apart(items, path, options.get("test"))
        split = kept.split_by_rand_pct(
            valid_pct, seed, stratify and from_columns(label_col, label_delim)(kept)
        )
        return _make_databunch(split.label_from_df(label_col, label_delim=label_delim), **options)

    @classmethod
    def from_csv(
        cls,
        path: str | PurePath,
        folder: str | PurePath | None = None,
        label_delim: str | None = None,
        csv_labels: str | PurePath = "labels.csv",
        delimiter: str | None = None,
        header: int | str | None = "infer",
        **options: Any,
    ) -> DataBunch:
        """As `from_df`, from the file `path/csv_labels`."""
        frame = read_table(Path(path) / csv_labels, delimiter, header)
        return cls.from_df(path, frame, folder, label_delim, **options)

    @classmethod
    def from_lists(
        cls,
        path: str | PurePath,
        fnames: Sequence[Any],
        labels: Sequence[Any],
        valid_pct: float = 0.2,
        seed: int | None = None,
        stratify: bool = False,
        **options: Any,
    ) -> DataBunch:
        """Files and their labels, in the same order."""
        import pandas as pd

        if len(fnames) != len(labels):
            raise UsageError(f"there are {len(fnames)} files and {len(labels)} labels")
        frame = pd.DataFrame({"label": pd.Series(list(labels), dtype=object)})
        items = ImageList._make(PathList.of(map(Path, fnames)), path, inner_df=frame)
        labeller = from_columns("label")
        kept = _apart(items, path, options.get("test"))
        split = kept.split_by_rand_pct(valid_pct, seed, stratify and labeller(kept))
        return _make_databunch(split.label(labeller), **options)

    @classmethod
    def from_name_func(
        cls,
        path: str | PurePath,
        fnames: Iterable[Any],
        label_func: Callable[[Any], Any],
        valid_pct: float = 0.2,
        seed: int | None = None,
        stratify: bool = False,
        **options: Any,
    ) -> DataBunch:
        """Labels from a function of the file's path."""
        items = ImageList._make(PathList.of(map(Path, fnames)), path)
        kept = _apart(items, path, options.get("test"))
        split = kept.split_by_rand_pct(
            valid_pct, seed, stratify and from_function(label_func)(kept)
        )
        return _make_databunch(split.label_from_func(label_func), **options)

    @classmethod
    def from_name_re(
        cls,
        path: str | PurePath,
        fnames: Iterable[Any],
        pat: str,
        valid_pct: float = 0.2,
        seed: int | None = None,
        stratify: bool = False,
        **options: Any,
    ) -> DataBunch:
        """Labels from group 1 of a regular expression on the file's path."""
        items = ImageList._make(PathList.of(map(Path, fnames)), path)
        kept = _apart(items, path, options.get("test"))
        split = kept.split_by_rand_pct(valid_pct, seed, stratify and from_pattern(pat)(kept))
        return _make_databunch(split.label_from_re(pat), **options)


def _only_below(items: ImageList, path: str | PurePath, train: str, valid: str) -> ImageList:
    """With `train="."` everything below the path, else what lies in that folder."""
    below = Path(path) / train
    if not below.is_dir():
        raise EmptyDataError(f'there is no folder {below}: train="." takes everything in {path}')
    kept = items.filter_by_func(_below(below))
    unused = len(items) - len(kept)
    if unused and (Path(path) / valid).is_dir():
        warn(
            f"with valid_pct= a share of {train!r} validates, and the folder {valid!r} is not used "
            f"({unused} images lie outside {train!r}): leave valid_pct= out to validate on it",
            3,
        )
    return kept


def _apart(
    items: ImageList, path: str | PurePath, test: str | None, asked: bool = False
) -> ImageList:
    """The items that do not lie in the folder of the test set; a count of the others."""
    if not test:
        return items
    is_test = _below(Path(path) / test)
    kept = items.filter_by_func(lambda item: not is_test(item))
    if len(kept) < len(items) and not asked:
        warn(
            f"{len(items) - len(kept)} of {len(items)} given images lie in the folder of the test "
            f"set, {test!r}: they are in the test set alone",
            3,
        )
    return kept


def _below(folder: PurePath) -> Callable[[Any], bool]:
    """Whether a file lies in a folder, at any depth."""
    inside = Path(folder).resolve()
    return lambda item: PurePath(item).resolve().is_relative_to(inside)


def _make_databunch(labelled: LabelledItems, **options: Any) -> DataBunch:
    """Transform and batch, with the options that all factories share.

    These are `transform()`'s (`ds_tfms` its transforms), `databunch()`'s (`batch_seed` its seed)
    and `test`, the folder of a test set.
    """
    if test := options.pop("test", None):
        labelled = labelled.add_test_folder(test)
    ways = ("size", "resize_method", "padding_mode", "tfm_y")
    given = {name: options.pop(name) for name in ways if name in options}
    changed = labelled.transform(options.pop("ds_tfms", None), **given)
    return changed.databunch(seed=options.pop("batch_seed", 0), **options)
