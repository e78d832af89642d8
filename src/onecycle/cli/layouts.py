"""Where items and labels are: the data block's steps for the layouts that people have."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from shlex import quote
from typing import Any

import numpy as np

from onecycle.cli.frames import read_frame
from onecycle.cli.options import Where, WhereBoxes, WhereMasks, WherePoints, WhereSeries, WhereTexts
from onecycle.cli.sides import DRAWS, column, draw, of_table, refuse
from onecycle.core.display import threaded
from onecycle.core.errors import TableError, UsageError, listing, warn
from onecycle.core.files import read_lines
from onecycle.data.checks import sides_of
from onecycle.data.databunch import LabelledItems
from onecycle.data.labels import SplitItems, from_pattern
from onecycle.data.lists import ItemList
from onecycle.data.targets import Category
from onecycle.runtime.inputs.pixels import open_indexes
from onecycle.series.lists import SeriesList
from onecycle.text.lists import TextList
from onecycle.vision.lists import ImageList, ObjectItemList, PointsItemList, SegmentationItemList
from onecycle.vision.targets import Mask, Points

TABLES = (".csv", ".tsv", ".jsonl", ".parquet")
_LABELS = ("label", "labels", "class", "category", "tags", "target")
_MASK_FOLDERS = ("masks", "labels", "annotations", "mask", "SegmentationClass")
_MASK_ENDS = ("", "_P", "_mask", "_L", "_label", "_gt", "-mask")
_MASK_FILES = (".png", ".bmp", ".tif", ".tiff", ".gif")
_CODES = ("codes.txt", "classes.txt", "labels.txt")
_VOID = {"void", "ignore", "unlabeled", "unlabelled"}
_LOOKED_AT = 200  # masks, for the numbers that occur in them
_OF_TABLES = ("valid_col", "group_col", "time_col")
Label = Callable[[SplitItems], LabelledItems]


@dataclass(frozen=True)
class Found:
    """Splits (several of folds), and what labels them; `held` are the items of a test set."""

    splits: Sequence[SplitItems]
    label: Label
    held: Any = None

    def __post_init__(self) -> None:
        if self.held is not None and self.splits[0].test is not None:
            raise UsageError(
                "there are two test sets: leave out --test, or what else holds one out (--test-pct "
                "or the column of the sides)"
            )

    def labelled(self, fold: int = 0) -> LabelledItems:
        """Both sides of a split with their labels."""
        return self.label(replace(self.splits[fold], test=None))

    def measured(self) -> LabelledItems | None:
        """The test set in the place of the validation set, or None where there is none."""
        held = self.splits[0].test if self.held is None else self.held
        if held is None:
            return None
        train: Any = self.splits[0].train
        return self.label(train.split_by_list(train, held))


def images(where: Where) -> Found:
    """Folders named like the classes, a pattern, or a table of names and labels."""
    if where.source.is_file():
        return _images_of_table(where)
    if not where.source.is_dir():
        raise UsageError(f"{where.source} is neither a folder nor a table")
    refuse(
        where, "a folder", "folder", "suffix", "label_col", "label_delim", "as_classes", *_OF_TABLES
    )
    items = _with_bands(ImageList.from_folder(where.source), where.bands)
    items, held = (items, None) if where.pattern else _test_of(where, items)
    by = _by_pattern(where) if where.pattern else {"stratify": where.stratify or None}
    splits = _split_folders(where, items, not where.pattern, **by)

    def label(split: SplitItems) -> LabelledItems:
        return split.label_from_re(where.pattern) if where.pattern else split.label_from_folder()

    if where.test:
        held = _with_bands(ImageList.from_folder(where.test), where.bands)
    return Found(splits, label, held)


def _with_bands(items: ImageList, bands: str | None) -> ImageList:
    """The list, of images as they are stored where bands were asked for."""
    if bands is None:
        return items
    numbers = [part.strip() for part in bands.split(",")]
    whole = all(part.isdecimal() for part in numbers)
    return items.with_bands([int(part) for part in numbers] if whole else bands)


def _by_pattern(where: Where) -> dict[str, Any]:
    """The classes that a pattern reads, where they are to be in proportion; folders are none."""
    if not where.stratify:
        return {}
    label: Any = from_pattern(where.pattern or "")
    return {"stratify": lambda item: label([item])[0]}


def _test_of(where: Any, items: Any) -> tuple[Any, Any]:
    """What is beside a folder test of a folder with train, and that, where its classes are known.

    It is the test set where --test names none.
    """
    sides = sides_of([] if getattr(where, "all_folders", None) else {*items.first_folders()})
    if not sides["train"] or len(sides["test"]) != 1:
        return items, None
    (name,) = sides["test"]
    held, rest = items.filter_by_folder([name]), items.filter_by_folder(exclude=[name])
    trained = rest.filter_by_folder(sides["train"])
    classes = {Path(item).parent.name for item in trained if trained.relative(item).count("/") > 1}
    given = None if where.test is None else where.test.absolute()
    if given == (where.source / name).absolute():
        return rest, None
    if given or not {Path(item).parent.name for item in held} <= classes:
        return items, None
    refuse(where, f"a folder with {name}, which is the test set", "test_pct")
    print(f"{len(held)} {items.files.what}s in {name} are the test set")
    return rest, held


def _split_folders(
    where: Any, items: Any, of_classes: bool = True, **by: Any
) -> Sequence[SplitItems]:
    """By folders that are named like the sides of a split, or a random share.

    What is kept for later (`test`) is left out, and so is all beside a folder `train`. Where
    folders are classes, a class of trains is no side: it holds its items itself.
    """
    folders = dict.fromkeys(items.first_folder(item) for item in items)
    everything = getattr(where, "all_folders", None)
    sides = sides_of([] if everything else folders)
    if sides["train"] and of_classes:
        deep = {items.first_folder(i) for i in items if items.relative(i).count("/") > 1}
        sides["train"] = [name for name in sides["train"] if name in deep]
    train, valid = sides["train"], sides["valid"]
    if len(train) > 1 or (train and len(valid) > 1):
        raise UsageError(
            f"{where.source} has the folders {listing([*train, *valid])}: only one can train "
            "and one validate; rename the others, or take --all-folders"
        )
    if train and valid:
        refuse(where, f"a folder with {train[0]} and {valid[0]}", *DRAWS)
    taken = [*train, *valid] if train and valid else train
    others = [name for name in folders if name not in taken]
    unused = others if train else [*valid, *sides["test"]]
    if unused:
        count = sum(items.first_folder(item) in unused for item in items)
        warn(
            f"{count} of {len(items)} {items.files.what}s are left out: those in "
            f"{listing(name or 'no folder' for name in unused)}. "
            + "".join(
                f"--test {quote(str(where.source / name))} measures those. "
                for name in sides["test"] * hasattr(where, "test")
                if where.test is None
            )
            + ("" if everything is None else "--all-folders takes all, and ")
            + "folders named train and valid are the sides of a split",
            3,
        )
        items = items.filter_by_func(lambda item: items.first_folder(item) not in unused)
    if train and valid:
        return [items.split_by_folder(train[0], valid[0])]
    return draw(where, items, **by)


def _images_of_table(where: Where) -> Found:
    refuse(where, "a table", "pattern", "all_folders")

    def items(table: Path) -> ImageList:
        frame = read_frame(table)
        listed = ImageList.from_df(frame, table.parent, 0, where.folder, where.suffix)
        return _with_bands(listed, where.bands)

    found = items(where.source)
    return _of_table(where, found, where.test and items(where.test))


# Tables of all kinds.


def _of_table(where: Any, items: Any, held: Any) -> Found:
    """What a table holds whose labels are in a column."""
    labels, delim = label_column(where, items.frame), where.label_delim
    if delim is not None:
        refuse(where, "labels with a delimiter, which are names", "as_classes")
    kind = Category if where.as_classes else None
    return Found(
        of_table(where, items, labels if where.stratify else None, delim),
        lambda split: split.label_from_df(labels, label_delim=delim, label_cls=kind),
        held,
    )


def label_column(where: Any, frame: Any) -> int | str:
    """The one asked for, one that is named like labels, or the second."""
    if where.label_col is not None:
        return column(where.label_col)
    named = [name for name in frame.columns if str(name).strip().lower() in _LABELS]
    if len(named) > 1:
        raise TableError(
            f"{where.source} has the columns {listing(named)}: say which with --label-col"
        )
    return named[0] if named else 1


# Masks beside images.


def masks(where: WhereMasks) -> Found:
    """Images whose masks are found by their names."""
    if not where.source.is_dir():
        raise UsageError(f"{where.source} is no folder")
    root = where.source / (where.images or ("images" * (where.source / "images").is_dir()))
    items = SegmentationItemList.from_folder(root)
    mask_of = _mask_finder(where, items)
    kept = [item for item in items if not _is_mask(Path(item), mask_of, items)]
    missing = [str(item) for item in kept if not mask_of(item).is_file()]
    if missing:
        warn(
            f"{len(missing)} of {len(kept)} images have no mask and are left out: "
            f"{listing(missing)}",
            2,
        )
    whole = {*kept} - {*map(type(items.items[0]), missing)}
    items = items.filter_by_func(lambda item: item in whole)
    target, classes = _classes_of_masks(where, [mask_of(item) for item in items])

    def label(split: SplitItems) -> LabelledItems:
        return split.label_from_func(mask_of, label_cls=target, classes=classes)

    return Found(_split_masks(where, items), label)


def _mask_finder(where: WhereMasks, items: ItemList) -> Callable[[Any], Path]:
    """From an image to the file of its mask: as it is said, or else as the most images have one."""

    def finder(pattern: str) -> Callable[[Any], Path]:
        def mask_of(item: Any) -> Path:
            folder, stem = Path(items.relative(item)).parent.as_posix(), Path(item).stem
            return where.source / pattern.format(folder=folder, stem=stem)

        return mask_of

    if where.mask is not None:
        try:
            finder(where.mask)(items.items[0])
        except (KeyError, IndexError, ValueError) as error:
            raise UsageError(
                f"--mask {where.mask!r} has other parts than {{folder}} and {{stem}} ({error})"
            ) from error
        return finder(where.mask)
    folders = [name for name in _MASK_FOLDERS if (where.source / name).is_dir()]
    beside = Path(items.path).relative_to(where.source).as_posix()
    places = [f"{folder}/{{folder}}" for folder in folders] + [f"{beside}/{{folder}}"]
    tried = [
        f"{place}/{{stem}}{end}{suffix}"
        for place in places
        for end in _MASK_ENDS
        for suffix in _MASK_FILES
        if end or not place.startswith(beside)  # an image is not its own mask
    ]
    some = items.items[:: max(1, len(items) // 50)]
    counts = {p: sum(finder(p)(item).is_file() for item in some) for p in tried}
    best = max(counts, key=lambda pattern: counts[pattern])
    if not counts[best]:
        raise UsageError(
            f"no masks were found for {listing([*map(str, some)], 2)}: say where they are, as in "
            '--mask "masks/{folder}/{stem}.png"'
        )
    print(f"masks: {best.replace('/./', '/').replace('{folder}/', '[folder]/')}")
    return finder(best)


def _is_mask(file: Path, mask_of: Callable[[Any], Path], items: ItemList) -> bool:
    """Whether a file among the images is the mask of another one."""
    if mask_of(items.items[0]).parent != Path(items.items[0]).parent:
        return False
    end = mask_of(file).stem.removeprefix(file.stem)
    return bool(end) and file.stem.endswith(end) and mask_of(file).suffix == file.suffix


def _split_masks(where: WhereMasks, items: ItemList) -> Sequence[SplitItems]:
    names = where.valid_names or where.source / "valid.txt"
    if where.valid_names or names.is_file():
        refuse(where, f"images that {names} divides", *DRAWS)
        return [items.split_by_files(read_lines(names))]
    return _split_folders(where, items, of_classes=False)


def _classes_of_masks(where: WhereMasks, files: Sequence[Path]) -> tuple[Mask, list[str]]:
    """The kind of masks and the names of their classes: from a file, or as the numbers are."""
    some = files[:: max(1, len(files) // _LOOKED_AT)]
    numbers = sorted({int(n) for one in threaded(_numbers_of, some) for n in one})
    file = where.classes or next(
        (f for name in _CODES if (f := where.source / name).is_file()), None
    )
    div = numbers == [0, 255]
    if file is not None:
        classes = [line.strip() for line in read_lines(file) if line.strip()]
    elif div:
        classes = ["background", "object"]
    else:
        counted = [n for n in numbers if n != 255]
        classes = ["background", *(f"class {n}" for n in range(1, max(counted, default=0) + 1))]
        warn(
            f"the classes have no names: they are {listing(classes)}, by the numbers {numbers} in "
            f"{len(some)} masks. --classes FILE names them, one a line",
            3,
        )
    void: Any = where.void
    if void is None:
        void = next((name for name in classes if name.lower() in _VOID), None)
        void = 255 if void is None and 255 in numbers and not div else void
    elif void.lstrip("-").isdigit():
        void = int(void)
    if void is not None:
        print(f"void, which counts nowhere: {void}")
    return Mask(void=void, div=div), classes


def _numbers_of(file: Path) -> np.ndarray:
    return np.unique(open_indexes(file))


# Points, texts and series.


def boxes(where: WhereBoxes) -> Found:
    """Images with the boxes that a labelling tool has written."""
    items = ObjectItemList.from_annotations(where.source, where.format, where.images)
    return Found(_split_folders(where, items, of_classes=False), _as_annotated)


def _as_annotated(split: SplitItems) -> LabelledItems:
    return split.label_from_annotations()


def points(where: WherePoints) -> Found:
    """A table of names of images and coordinates."""

    def items(table: Path) -> PointsItemList:
        frame = read_frame(table)
        return PointsItemList.from_df(frame, table.parent, 0, where.folder, where.suffix)

    found = items(where.source)
    pairs = _point_columns(where, [str(name) for name in found.frame.columns[1:]])
    print("points (x, y): " + ", ".join(f"({x}, {y})" for x, y in pairs))

    def numbers(items: Any) -> list[Any]:
        try:
            cells = [items.frame[name].astype(float) for x, y in pairs for name in (y, x)]
        except (TypeError, ValueError) as error:
            raise TableError(f"{where.source}: a coordinate is no number ({error})") from error
        return np.stack(cells, 1).reshape(len(items), -1, 2).tolist()

    return Found(
        of_table(where, found),
        lambda split: split.label(numbers, label_cls=Points(unit="pixels")),
        where.test and items(where.test),
    )


def _point_columns(where: WherePoints, names: Sequence[str]) -> list[tuple[str, str]]:
    """Pairs (x, y) of columns whose names differ in that letter alone."""
    if where.points:
        given = [name.strip() for name in where.points.split(",")]
        unknown = [name for name in given if name not in names]
        if unknown or len(given) % 2:
            raise UsageError(
                f"--points are pairs of columns, x before y, of {listing(names, 12)}, not "
                f"{where.points!r}"
            )
        return list(zip(given[::2], given[1::2], strict=True))
    pairs = [
        (name, other)
        for name in names
        for at in re.finditer("x", name, re.IGNORECASE)
        for letter in ("y" if name[at.start()] == "x" else "Y",)
        if (other := name[: at.start()] + letter + name[at.end() :]) in names
    ]
    if not pairs:
        raise UsageError(
            f"{where.source} has the columns {listing(names, 12)}: say which are the points with "
            '--points "x1,y1,x2,y2"'
        )
    return pairs


def texts(where: WhereTexts) -> Found:
    """A table with a column of texts, or a folder of .txt files for each class."""
    if where.source.is_dir():
        refuse(where, "a folder", "text_col", "label_col", "label_delim", "as_classes", *_OF_TABLES)
        taken, own = _test_of(where, TextList.from_folder(where.source))
        held = TextList.from_folder(where.test) if where.test else own
        splits = _split_folders(where, taken, stratify=where.stratify or None)
        return Found(splits, SplitItems.label_from_folder, held)

    def items(table: Path) -> TextList:
        frame = read_frame(table)
        return TextList.from_df(frame, table.parent, text_column(where, frame))

    found = items(where.source)
    return _of_table(where, found, where.test and items(where.test))


def text_column(where: WhereTexts, frame: Any) -> int | str:
    """The one asked for, one that is named like texts, or the only one beside the labels."""
    if where.text_col is not None:
        return column(where.text_col)
    named = [name for name in frame.columns if str(name).strip().lower() in ("text", "texts")]
    if not named and frame.shape[1] > 1:
        label = label_column(where, frame)
        label = frame.columns[label] if isinstance(label, int) else label
        named = [name for name in frame.columns if name not in (label, "is_valid")]
    if len(named) != 1:
        raise TableError(f"{where.source}: say which --text-col it is, of {listing(frame, 12)}")
    return named[0]


def series(where: WhereSeries) -> Found:
    """A table with a series in each row, or files of the archives."""
    how: dict[str, Any] = {}
    if where.encodings:
        how["encodings"] = tuple(name.strip() for name in where.encodings.split(","))
    if where.source.suffix.lower() in (".csv", ".jsonl", ".parquet"):
        found = series_of_table(where.source, where, how)
        held = where.test and series_of_table(where.test, where, how)
        by = found.label_col if where.stratify else None
        return Found(of_table(where, found, by), SplitItems.label_from_df, held)
    refuse(where, "files of the archives", "label_col", *_OF_TABLES)
    held = where.test and SeriesList.from_ts(where.test, **how)
    if where.source.is_dir():
        refuse(where, "a folder with NAME_TRAIN and NAME_TEST", *DRAWS)
        pair = SeriesList.from_ts(*archive_files(where.source), **how)
        return Found([pair.split_by_file()], SplitItems.label_from_df, held)
    splits = draw(where, SeriesList.from_ts(where.source, **how), stratify=where.stratify or None)
    return Found(splits, SplitItems.label_from_df, held)


def series_of_table(table: Path, where: WhereSeries, how: dict[str, Any]) -> SeriesList:
    """The columns beside that of labels (and that of the split) are the steps."""
    frame = read_frame(table)
    if where.label_col is None and label_column(where, frame) == 1:
        raise TableError(f"{table}: say which --label-col it is, of {listing(frame, 12)}")
    label = label_column(where, frame)
    label = frame.columns[label] if isinstance(label, int) else label
    others = [label, *filter(None, (where.valid_col, where.group_col, where.time_col))]
    steps = [name for name in frame.columns if name not in others]
    cols = steps if others[1:] else None  # without one, odd columns are found
    return SeriesList.from_df(frame, table.parent, cols, label, **how)


def archive_files(folder: Path) -> tuple[Path, Path]:
    """NAME_TRAIN and NAME_TEST of a folder."""
    found = {
        side: [f for f in sorted(folder.iterdir()) if f.stem.upper().endswith(f"_{side}")]
        for side in ("TRAIN", "TEST")
    }
    if any(len(files) != 1 for files in found.values()):
        raise UsageError(
            f"{folder} has {len(found['TRAIN'])} files named NAME_TRAIN and {len(found['TEST'])} "
            "named NAME_TEST, and one each is wanted: name a file"
        )
    print(f"{found['TEST'][0].name} validates")
    return found["TRAIN"][0], found["TEST"][0]
