"""A hundred images as people have them: odd sizes, turned, grey, CMYK, clear, with profiles."""

import numpy as np
from PIL import Image as Pillow
from PIL import ImageCms
from PIL.PngImagePlugin import PngInfo

SHAPES = [
    (32, 48),
    (48, 32),
    (1, 1),
    (3, 200),
    (211, 2),
    (61, 83),
    (128, 96),
    (33, 240),
    (150, 201),
]
WAYS = (
    *("RGB", "L", "RGBA", "LA", "P", "1", "I;16", "CMYK"),
    *("turned", "profile", "gamma", "jpg", "webp", "gif", "bmp"),
)


def odd_images(folder, count=100):
    """The files, of every way and size in turn; smooth, so that JPEG changes little."""
    rng = np.random.default_rng(11)
    return [_saved(folder, i, _smooth(rng, SHAPES[i % len(SHAPES)])) for i in range(count)]


def _smooth(rng, shape):
    small = rng.integers(0, 256, (5, 6, 3), dtype=np.uint8)
    return Pillow.fromarray(small).resize(shape[::-1], Pillow.Resampling.BICUBIC)


def _saved(folder, i, image):
    way = WAYS[i % len(WAYS)]
    name = folder / f"{i:03d}_{way.replace(';', '')}"
    if way in {"jpg", "webp", "gif", "bmp"}:
        file = name.with_suffix(f".{way}")
        image.save(file, **({"quality": 92} if way == "jpg" else {}))
        return file
    if way == "CMYK":
        image.convert("CMYK").save(name.with_suffix(".jpg"), quality=95)
        return name.with_suffix(".jpg")
    if way == "turned":
        exif = Pillow.Exif()
        exif[274] = 1 + i // len(WAYS) % 8
        image.save(name.with_suffix(".jpg"), exif=exif, quality=95)
        return name.with_suffix(".jpg")
    if way == "profile":  # one that takes blue for red: nobody may follow it
        profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
        for old, new in ((b"rXYZ", b"none"), (b"bXYZ", b"rXYZ"), (b"none", b"bXYZ")):
            profile = profile.replace(old, new)
        file = name.with_suffix(".jpg" if i % 2 else ".png")
        image.save(file, icc_profile=profile, quality=95)
        return file
    if way == "gamma":
        linear = PngInfo()
        linear.add(b"gAMA", (100_000).to_bytes(4))
        image.save(name.with_suffix(".png"), pnginfo=linear)
        return name.with_suffix(".png")
    if way == "I;16":
        grey = np.asarray(image.convert("L")).astype(np.uint16) * 257
        image = Pillow.fromarray(grey)
    elif way in {"RGBA", "LA"}:
        alpha = Pillow.linear_gradient("L").resize(image.size)
        alpha = alpha.point(lambda v: min(3 * v, 255))  # a band that is not opaque is warned of
        image = image.convert(way[:-1])
        image.putalpha(alpha)
    else:
        image = image.convert(way)
    image.save(name.with_suffix(".png"))
    return name.with_suffix(".png")
