"""What the maker of a page adds to it: a theme, an icon, and examples to try."""

import io
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from onecycle.core.errors import UsageError
from onecycle.core.json_text import is_unicode, parse_json
from onecycle.core.walk import files_below
from onecycle.runtime.kinds import InputSpec, TargetSpec

ICONS = (180, 512)  # pixels of a side
_MOST_EXAMPLES = 12


def make_icons(icon: str | Path | None) -> dict[str, bytes]:
    """The icons in their two sizes; UsageError for what makes none."""
    if icon is None:
        return {}
    from PIL import Image

    from onecycle.runtime.inputs.pixels import open_pixels

    pixels = open_pixels(icon)
    h, w = pixels.shape[:2]
    if h != w or h < ICONS[0]:
        raise UsageError(
            f"an icon is a square of {ICONS[0]} x {ICONS[0]} pixels or more; {icon} has {w} x {h}"
        )
    found = {}
    for side in ICONS:
        buffer = io.BytesIO()
        Image.fromarray(pixels).resize((side, side), Image.Resampling.LANCZOS).save(buffer, "PNG")
        found[f"icon-{side}.png"] = buffer.getvalue()
    return found


def read_examples(
    folder: str | Path | None, given: InputSpec
) -> tuple[list[dict[str, str]], dict[str, bytes]]:
    """What the page is told of the examples, and their files by place: the names lead nowhere."""
    if folder is None:
        return [], {}
    files = files_below(folder, given.files, recurse=False)
    if not 1 <= len(files) <= _MOST_EXAMPLES:
        raise UsageError(
            f"{folder} holds {len(files)} files of the kind {given.files.what!r}; a page shows "
            f"1 to {_MOST_EXAMPLES} examples: leave there what says best what the model does"
        )
    for file in files:
        given.array(file)
    places = [f"examples/{i}{file.suffix.lower()}" for i, file in enumerate(files)]
    names = [file.stem.replace("_", " ") for file in files]
    shown = [{"file": place, "name": name} for place, name in zip(places, names, strict=True)]
    return shown, {place: file.read_bytes() for place, file in zip(places, files, strict=True)}


# A theme: what the page draws for each class, an emoji or a smiley that makes a face.
#
# A smiley is a few numbers, as in `{"happy": {"mouth": 0.9, "open": 0.2}, "sad": "😢"}`; features
# that are left out rest in the middle.

FEATURES = {  # the least, the most, and the resting value
    "mouth": (-1.0, 1.0, 0.0),  # corners down, corners up
    "open": (0.0, 1.0, 0.0),  # the mouth: shut, wide
    "eyes": (0.0, 1.0, 0.5),  # shut, wide
    "wink": (0.0, 1.0, 0.0),  # how far one eye is shut besides
    "brows": (-1.0, 1.0, 0.0),  # low, high
    "frown": (-1.0, 1.0, 0.0),  # inner ends up (sorrow), down (anger)
    "blush": (0.0, 1.0, 0.0),
    "tears": (0.0, 1.0, 0.0),
}
COLOUR = "#ffd54a"
_LONGEST = 16  # characters of an emoji with all its joiners

Look = str | dict[str, Any]


def read_theme(file: str | Path) -> dict[str, Any]:
    """The object in a JSON file; UsageError where there is none."""
    try:
        theme = parse_json(Path(file).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{file} is no JSON file of class to smiley: {error}") from error
    if not isinstance(theme, dict):
        raise UsageError(f"{file} holds no object of class to smiley")
    return theme


def check_theme(theme: str | Path | Mapping[str, Any], target: TargetSpec) -> dict[str, Look]:
    """Class to emoji or whole smiley, for a model of such answers.

    Raises UsageError for classes that the model does not know, for a model without one class per
    image, and for features or values that no smiley has.
    """
    given = read_theme(theme) if isinstance(theme, str | Path) else theme
    if not target.one_class:
        raise UsageError(f"a theme is for models that name one class, not for {target.kind!r}")
    classes = {str(c) for c in target.classes}
    unknown = sorted(set(given) - classes)
    if unknown:
        raise UsageError(
            f"the theme names {unknown}, which are no classes of the model: {sorted(classes)}"
        )
    return {name: _look(name, value) for name, value in given.items()}


def _look(name: str, value: Any) -> Look:
    if isinstance(value, str) and 0 < len(value) <= _LONGEST and is_unicode(value):
        return value
    if not isinstance(value, Mapping):
        raise UsageError(f"the theme of {name!r} is {value!r}: an emoji or an object is wanted")
    unknown = sorted(set(value) - set(FEATURES) - {"colour"})
    if unknown:
        raise UsageError(
            f"the smiley {name!r} has {unknown}; there is {', '.join(FEATURES)}, colour"
        )
    colour = value.get("colour", COLOUR)
    if not (isinstance(colour, str) and re.fullmatch(r"#[0-9a-fA-F]{6}", colour)):
        raise UsageError(f"the smiley {name!r}: colour is {colour!r}, not as in '#ffd54a'")
    numbers = {key: _number(name, key, value.get(key, FEATURES[key][2])) for key in FEATURES}
    return {**numbers, "colour": colour}


def _number(name: str, key: str, value: Any) -> float:
    least, most, _ = FEATURES[key]
    real = isinstance(value, int | float) and not isinstance(value, bool)
    if not (real and least <= value <= most):  # NaN is in no range
        raise UsageError(f"the smiley {name!r}: {key} is {value!r}, not in {least:g} to {most:g}")
    return float(value)
