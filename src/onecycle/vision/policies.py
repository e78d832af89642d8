"""Augmentation that needs no tuning: TrivialAugment, RandAugment and AugMix.

Operations and ranges are those of torchvision's v2 transforms of these names. Here what is drawn
joins the one matrix of the sample, so that masks, points and boxes move along, and what a warp
uncovers is filled by the padding mode; colours are changed after it, by Pillow.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

from onecycle.core.errors import UsageError, require_number, require_whole
from onecycle.vision import geometry as geo
from onecycle.vision.transform import (
    Always,
    Choice,
    Draw,
    Foreign,
    Geometric,
    Pixels,
    Signed,
    Transform,
    Uniform,
    Whole,
)

_SHIFT = 32 / 224  # of the window, where the paper has 32 pixels
_LEVELS = 30  # RandAugment counts its magnitude up to here


def trivial_augment() -> Transform:
    """One operation of 14, at a strength drawn from a wide range.

    Source: Müller & Hutter 2021 (arXiv 2103.10158), the wide ranges.
    """
    moves = [Uniform(-most, most) for most in (0.99, _SHIFT, 135.0, 0.99)]
    return _choice("trivial_augment", 1, *moves, Whole(2, 8), Uniform(0, 256))


def rand_augment(n: int = 2, magnitude: float = 9) -> Transform:
    """`n` operations of 14 one after the other, each at `magnitude` of 30.

    Source: Cubuk et al. 2019 (arXiv 1909.13719).
    """
    require_whole("n", n)
    level = require_number("magnitude", magnitude, 0, _LEVELS) / _LEVELS
    moves = [Signed(most * level) for most in (0.3, 150 / 331, 30.0, 0.9)]
    bits, threshold = Always(8 - round(4 * level)), Always(256 * (1 - level))
    return _choice("rand_augment", n, *moves, bits, threshold)


def aug_mix(severity: int = 3) -> Transform:
    """A blend of the image with three chains of operations on it, by torchvision's v2.AugMix.

    `severity` from 1 to 10. For images whose labels do not lie on them: UsageError for others.
    Source: Hendrycks et al. 2019 (arXiv 1912.02781).
    """
    from torchvision.transforms import v2

    if not 1 <= require_whole("severity", severity) <= 10:
        raise UsageError(f"severity is a whole number from 1 to 10, not {severity!r}")
    return Foreign("aug_mix", call=v2.AugMix(severity=severity), moves_labels=False)


POLICIES: dict[str, Callable[[], Transform]] = {
    "trivialaugment": trivial_augment,
    "randaugment": rand_augment,
    "augmix": aug_mix,
}


def by_name(policy: str) -> Transform:
    """The policy of that name; UsageError for another name."""
    if policy not in POLICIES:
        raise UsageError(f"policy is one of {', '.join(POLICIES)}, not {policy!r}")
    return POLICIES[policy]()


def _choice(name: str, count: int, *strengths: Draw) -> Transform:
    """Strengths of shears, shifts, turns, enhancers, bits that stay, and a threshold."""
    shear, shift, degrees, change, bits, threshold = strengths
    none = Always(0.0)
    among = (
        Transform("identity"),
        Geometric("shear_x", {"x": shear, "y": none}, matrix=_shear),
        Geometric("shear_y", {"x": none, "y": shear}, matrix=_shear),
        Geometric("translate_x", {"x": shift, "y": none}, matrix=_translation),
        Geometric("translate_y", {"x": none, "y": shift}, matrix=_translation),
        Geometric("rotate", {"degrees": degrees}, matrix=geo.rotation),
        *(Pixels(n, {"change": change}, change=partial(_enhance, n)) for n in _ENHANCERS),
        Pixels("posterize", {"bits": bits}, change=_posterize),
        Pixels("solarize", {"threshold": threshold}, change=_solarize),
        Pixels("autocontrast", change=partial(_whole, ImageOps.autocontrast)),
        Pixels("equalize", change=partial(_whole, ImageOps.equalize)),
    )
    return Choice(name, {"which": Whole(0, len(among) - 1)}, among=among, count=count)


def _shear(h: float, w: float, x: float, y: float) -> geo.Matrix:
    return np.array([[1.0, x, 0], [y, 1.0, 0], [0, 0, 1]])


def _translation(h: float, w: float, x: float, y: float) -> geo.Matrix:
    return geo.shift(x * w, y * h)


_ENHANCERS: dict[str, Any] = {
    "brightness": ImageEnhance.Brightness,
    "color": ImageEnhance.Color,
    "contrast": ImageEnhance.Contrast,
    "sharpness": ImageEnhance.Sharpness,
}


def _photo(pixels: np.ndarray) -> np.ndarray:
    """The pixels; UsageError for those of bands, which have no colours to be changed."""
    if pixels.dtype != np.uint8 or pixels.shape[2] != 3:
        raise UsageError(
            "policies change the colours of photos, of 8 bits and 3 bands, and these are "
            f"{pixels.dtype} of {pixels.shape[2]}: use get_transforms() without policy="
        )
    return pixels


def _enhance(name: str, pixels: np.ndarray, rng: np.random.Generator, change: float) -> np.ndarray:
    enhanced = _ENHANCERS[name](Image.fromarray(_photo(pixels))).enhance(1 + change)
    return np.array(enhanced)


def _posterize(pixels: np.ndarray, rng: np.random.Generator, bits: int) -> np.ndarray:
    return _photo(pixels) & np.uint8(256 - 2 ** (8 - bits))


def _solarize(pixels: np.ndarray, rng: np.random.Generator, threshold: float) -> np.ndarray:
    return np.where(_photo(pixels) >= threshold, 255 - pixels, pixels)


def _whole(
    function: Callable[[Image.Image], Image.Image], pixels: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    return np.array(function(Image.fromarray(_photo(pixels))))
