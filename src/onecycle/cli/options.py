"""What commands are told: groups of options, each spelt once."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

from typer import Argument, Option

from onecycle.cli.commands import LEAVES

_TABLE, _SPLIT, _MODEL = "Tables", "Who validates", "The model"
_CHANGES = "How training images are changed at random"
_TRAINING = "Training"

CHANGES = ("flip_vert", "do_flip", "max_rotate", "max_zoom", "max_lighting", "max_warp")

LabelColumn = Annotated[
    str | None,
    Option(
        help="Tables: the column of labels; without it one named label, or else the second.",
        rich_help_panel=_TABLE,
    ),
]
Delimiter = Annotated[
    str | None,
    Option(help='Tables: what stands between several labels, such as " ".', rich_help_panel=_TABLE),
]
AsClasses = Annotated[
    bool,
    Option(
        "--as-classes",
        help="Tables: labels that look like numbers are names of classes.",
        rich_help_panel=_TABLE,
    ),
]
Folder = Annotated[
    str, Option(help="Tables: the folder of the images, seen from it.", rich_help_panel=_TABLE)
]
Suffix = Annotated[
    str,
    Option(help='Tables: what is missing at the names, such as ".jpg".', rich_help_panel=_TABLE),
]
Seed = Annotated[
    int,
    Option(help="The same seed gives the same split and the same run.", rich_help_panel=_TRAINING),
]
Stratify = Annotated[
    bool,
    Option(
        "--stratify",
        help="Tables: every class (every tag) in proportion on each side; of folders it is so.",
        rich_help_panel=_SPLIT,
    ),
]


@dataclass(frozen=True, kw_only=True)
class Sides:
    """Who validates and tests where nothing else says which."""

    valid_pct: Annotated[
        float,
        Option(
            min=0,
            max=1,
            help="The share that validates where nothing else says which.",
            rich_help_panel=_SPLIT,
        ),
    ] = 0.2
    test_pct: Annotated[
        float | None,
        Option(
            min=0,
            max=1,
            help="A share that is held out, and measured once, at the end.",
            rich_help_panel=_SPLIT,
        ),
    ] = None
    folds: Annotated[
        int | None,
        Option(
            min=2,
            help="Train so many times, each item validating once: figures with their spread, and "
            "the model of the last (onecycle[splits]).",
            rich_help_panel=_SPLIT,
        ),
    ] = None
    seed: Seed = 0


@dataclass(frozen=True, kw_only=True)
class SidesOfTable(Sides):
    """The same of a table, whose columns may say more."""

    valid_col: Annotated[
        str | None,
        Option(
            help="Tables: a column that is true for what validates, or says train, valid, test.",
            rich_help_panel=_SPLIT,
        ),
    ] = None
    group_col: Annotated[
        str | None,
        Option(
            help="Tables: items of one value (patient, scene) stay on one side.",
            rich_help_panel=_SPLIT,
        ),
    ] = None
    time_col: Annotated[
        str | None,
        Option(help="Tables: the latest validate (and test).", rich_help_panel=_SPLIT),
    ] = None
    test: Annotated[
        Path | None,
        Option(
            help="Labelled items of the same layout that are measured once, at the end.",
            rich_help_panel=_SPLIT,
        ),
    ] = None


@dataclass(frozen=True)
class Where(SidesOfTable):
    """Where images and their classes are, and who validates."""

    source: Annotated[
        Path, Argument(help="A folder with one sub-folder per class, or a table with labels.")
    ]
    folder: Folder = "."
    suffix: Suffix = ""
    label_col: LabelColumn = None
    label_delim: Delimiter = None
    as_classes: AsClasses = False
    pattern: Annotated[
        str | None, Option(help="Folder: label = group 1 of this regular expression on the path.")
    ] = None
    all_folders: Annotated[
        bool,
        Option(help="Folder: train on all, also on folders named like test or validation sets."),
    ] = False
    stratify: Stratify = False
    bands: Annotated[
        str | None,
        Option(
            help='Images as they are stored (16 bits, TIFF, DICOM): "all", or "4,3,2", from 1.',
            rich_help_panel=_MODEL,
        ),
    ] = None


@dataclass(frozen=True)
class WhereMasks(Sides):
    """Where images and their masks are, and who validates."""

    source: Annotated[Path, Argument(help="A folder with images and a mask for each of them.")]
    images: Annotated[
        str | None, Option(help="The folder of the images in it (images; or all of it).")
    ] = None
    mask: Annotated[
        str | None,
        Option(
            help="Where an image's mask is, seen from SOURCE: {folder} is the image's folder below "
            'that of the images, {stem} its name, as in "labels/{folder}/{stem}_P.png".'
        ),
    ] = None
    classes: Annotated[
        Path | None,
        Option(help="A text file with the name of class 0, 1, ... in its lines (codes.txt)."),
    ] = None
    void: Annotated[
        str | None,
        Option(help="The class, or the number in masks, that counts nowhere (one named void)."),
    ] = None
    valid_names: Annotated[
        Path | None,
        Option(
            help="A text file that names the images that validate (valid.txt).",
            rich_help_panel=_SPLIT,
        ),
    ] = None


@dataclass(frozen=True)
class WhereBoxes(Sides):
    """Where images and what a labelling tool says of them are, and who validates."""

    source: Annotated[
        Path, Argument(help="A file or folder of COCO, Pascal VOC, YOLO, LabelMe, CVAT, ...")
    ]
    images: Annotated[
        Path | None, Option(help="The folder of the images, where they lie elsewhere.")
    ] = None
    format: Annotated[
        str | None, Option(help="coco, voc, yolo, labelme, labelstudio or cvat, if not guessed.")
    ] = None


@dataclass(frozen=True)
class WherePoints(SidesOfTable):
    """Where images and the table of their points are, and who validates."""

    source: Annotated[
        Path, Argument(help="A table: names of images, and columns such as x1, y1, x2, y2.")
    ]
    folder: Folder = "."
    suffix: Suffix = ""
    points: Annotated[
        str | None,
        Option(help='The columns, x before y: "nose_x,nose_y,chin_x,chin_y"; found without.'),
    ] = None


@dataclass(frozen=True)
class WhereTexts(SidesOfTable):
    """Where texts and their labels are, and who validates."""

    source: Annotated[
        Path, Argument(help="A table of texts with labels, or one folder of .txt files per class.")
    ]
    text_col: Annotated[
        str | None, Option(help="The column of texts (text).", rich_help_panel=_TABLE)
    ] = None
    label_col: LabelColumn = None
    label_delim: Delimiter = None
    as_classes: AsClasses = False
    stratify: Stratify = False


@dataclass(frozen=True)
class WhereSeries(SidesOfTable):
    """Where series and their labels are, and who validates."""

    source: Annotated[
        Path,
        Argument(
            help="A table with a series in each row, a .ts, .tsv or .txt file of the archives, or "
            "a folder with NAME_TRAIN and NAME_TEST of them: then the latter validates."
        ),
    ]
    label_col: LabelColumn = None
    encodings: Annotated[
        str | None, Option(help='How a curve becomes an image: "gasf,gadf,mtf".')
    ] = None
    stratify: Stratify = False


Arch = Annotated[
    str,
    Option(
        help="Any timm model, or small, which comes with onecycle; of series also mini_rocket and "
        "inception_time.",
        rich_help_panel=_MODEL,
    ),
]
Pretrained = Annotated[
    str,
    Option(help="yes (published weights), no (from scratch), or a file.", rich_help_panel=_MODEL),
]
BatchSize = Annotated[int | None, Option(min=1, help="Items per step (64, of a small set fewer).")]


class Weighing(StrEnum):
    """How the loss weighs the classes."""

    BALANCED = "balanced"


class Policy(StrEnum):
    """Augmentation that needs no tuning, by its name."""

    TRIVIALAUGMENT = "trivialaugment"
    RANDAUGMENT = "randaugment"
    AUGMIX = "augmix"


Weights = Annotated[
    Weighing | None,
    Option(
        help="balanced: rare classes count as much as frequent ones, in the loss.",
        rich_help_panel=_TRAINING,
    ),
]
Device = Annotated[
    str | None,
    Option(help="cpu, cuda, cuda:1, mps; else a GPU.", rich_help_panel=_TRAINING),
]


@dataclass(frozen=True)
class How:
    """Which model sees the items, and how."""

    arch: Arch = "small"
    pretrained: Pretrained = "yes"
    size: Annotated[
        int | None,
        Option(
            min=8,
            help="Side of what the model sees, in pixels (128; of masks and points the shorter).",
            rich_help_panel=_MODEL,
        ),
    ] = None
    bs: BatchSize = None
    flip_vert: Annotated[
        bool,
        Option(
            help="Images have no upside (satellite, microscope): flip them freely.",
            rich_help_panel=_CHANGES,
        ),
    ] = False
    do_flip: Annotated[
        bool,
        Option("--flip/--no-flip", help="Mirror left to right.", rich_help_panel=_CHANGES),
    ] = True
    max_rotate: Annotated[
        float, Option(min=0, help="Rotate by up to so many degrees.", rich_help_panel=_CHANGES)
    ] = 10.0
    max_zoom: Annotated[
        float, Option(min=1, help="Enlarge up to so many times.", rich_help_panel=_CHANGES)
    ] = 1.1
    max_lighting: Annotated[
        float, Option(min=0, help="Change of light, below 1.", rich_help_panel=_CHANGES)
    ] = 0.2
    max_warp: Annotated[
        float, Option(min=0, help="Change of perspective.", rich_help_panel=_CHANGES)
    ] = 0.2
    policy: Annotated[
        Policy | None,
        Option(help="In place of rotation, zoom, warp and lighting.", rich_help_panel=_CHANGES),
    ] = None
    weights: Weights = None
    seed: Seed = 0
    device: Device = None

    def changes(self) -> dict[str, Any]:
        """How images are changed at random, as `get_transforms` takes it."""
        own = {"do_flip": self.do_flip or self.flip_vert, "policy": self.policy}
        return {n: getattr(self, n) for n in CHANGES} | own


@dataclass(frozen=True)
class HowTexts:
    """Which model reads texts, and how."""

    arch: Annotated[
        str,
        Option(
            help="awd_lstm, or a Hugging Face encoder by its name or folder (onecycle[text]).",
            rich_help_panel=_MODEL,
        ),
    ] = "awd_lstm"
    pretrained: Annotated[
        str,
        Option(
            help="yes (the small encoder that comes with onecycle), published (WT103, downloaded), "
            "no, or a file that save_encoder wrote.",
            rich_help_panel=_MODEL,
        ),
    ] = "yes"
    lm_epochs: Annotated[
        int,
        Option(
            min=0, help="Epochs in which it learns the language of all texts before their labels."
        ),
    ] = 1
    bs: BatchSize = None
    weights: Weights = None
    seed: Seed = 0
    device: Device = None


@dataclass(frozen=True)
class Fit:
    """How long it trains, at what rates and precision, and where the results go."""

    epochs: Annotated[
        int | None,
        Option(
            help="Epochs with the pretrained body frozen; without it by the kind of data.",
            rich_help_panel=_TRAINING,
        ),
    ] = None
    unfrozen_epochs: Annotated[
        int | None, Option(help="Epochs with everything trained.", rich_help_panel=_TRAINING)
    ] = None
    minutes: Annotated[
        float | None,
        Option(
            help="A budget instead of epochs: the first steps are measured, and all end in time.",
            rich_help_panel=_TRAINING,
        ),
    ] = None
    lr: Annotated[float | None, Option(help="Learning rate; found or usual if not given.")] = None
    fp16: Annotated[
        bool, Option("--fp16", help="16-bit floats with loss scaling.", rich_help_panel=_TRAINING)
    ] = False
    bf16: Annotated[
        bool, Option("--bf16", help="Brain floats of 16 bit.", rich_help_panel=_TRAINING)
    ] = False
    resume: Annotated[
        bool,
        Option(
            "--resume",
            help="Keep the training on disk; the same command goes on where it was cut off.",
            rich_help_panel=_TRAINING,
        ),
    ] = False
    start: Annotated[
        Path | None,
        Option(
            help="Go on from the weights of an earlier training of the same classes "
            "(model.safetensors).",
            rich_help_panel=_TRAINING,
        ),
    ] = None
    out: Annotated[
        Path, Option(help="The folder for the model and the report.", rich_help_panel=LEAVES)
    ] = Path("onecycle-output")
