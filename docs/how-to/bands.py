# %% [markdown]
# # Images as they are: bands, 16 bits, DICOM, HEIC
#
# A list of images reads photos: three bands of 8 bits. What has more is read as it is stored when the list
# is told so, in one step:
#
# | you have | you write | and install |
# |---|---|---|
# | tiles of a satellite (TIFF, GeoTIFF, COG) | `.with_bands("all")`, or `.with_bands((3, 2, 1, 4))` | `onecycle[tiff]` |
# | one band of 16 bits: X-ray, microscope | `.with_bands(1, value_range=(0, 4095))` | `onecycle[tiff]`; PNG needs nothing |
# | DICOM | `.with_bands(1, value_range=(-160, 240))`, the window | `onecycle[dicom]` |
# | arrays (h, w, bands) | `.with_bands("all")` | |
# | HEIC of a phone | nothing: it is a photo | `onecycle[heic]` |
# | AVIF | nothing: it is a photo | |
#
# Bands are counted from 1, as in GDAL and in data sheets. Their order is that in which the network gets
# them: with pretrained weights name red, green and blue first, whose filters the first three planes keep.

# %%
import tempfile
from pathlib import Path

import numpy as np
import tifffile
import torch

from onecycle import ImageList, Predictor, accuracy, cnn_learner, get_transforms, models

root = Path(tempfile.mkdtemp())
rng = np.random.default_rng(0)
for i in range(120):  # blue, green, red, near-infrared, in which alone crops and soil differ
    crop = "wheat" if i % 2 else "soil"
    field = np.add.outer(rng.normal(0, 9, 48).cumsum(), rng.normal(0, 9, 48).cumsum())
    values = 1000 + field[..., None] + rng.normal(0, 60, (48, 48, 4))
    values[..., 3] += 2400 if crop == "wheat" else 900
    (root / crop).mkdir(exist_ok=True)
    tifffile.imwrite(
        root / crop / f"{i}.tif",
        values.clip(0, 10_000).astype(np.uint16),
        photometric="minisblack",
        planarconfig="contig",
        compression="deflate",
    )

items = ImageList.from_folder(root).with_bands((3, 2, 1, 4), rgb=(4, 3, 2))
split = items.split_by_rand_pct(0.25, seed=1)
src = split.label_from_folder()

# %% [markdown]
# ## The value range
#
# Each band goes from its range to 0-1; below and above it is cut off. What is known is given, one
# `(low, high)` for all bands or one for each: `value_range=(0, 10_000)`. What is not is measured, as above,
# on the training images, and a line says it. 16 bits and floats keep their depth: from there on they are
# 32-bit floats. Where more than half of an image lies outside the range, a warning counts such
# images; so it does where there is no value (NaN, or GDAL's *no data*), which becomes the lowest.
#
# ## Training
#
# Flips, rotations, zooms and warps move all bands together; brightness and contrast change each within its
# own range. `normalize()` measures mean and deviation of each band on the training images (on up to 1,000).
# The first layer of the network takes as many planes as there are bands; pretrained weights are widened, of
# any timm model and of `models.small`, and of a U-Net's body. `rgb` are the bands that are drawn as red,
# green and blue, here near-infrared as red; without it, the first three.

# %%
tfms = get_transforms(flip_vert=True, max_lighting=0.1)
data = src.transform(tfms, size=48).databunch(bs=16).normalize()
print(data.task.input.planes, [round(m, 2) for m in data.task.input.mean])
data.show_batch(3)

# %%
torch.manual_seed(0)
learn = cnn_learner(data, models.small, pretrained="small", metrics=accuracy)
learn.fit_one_cycle(1, 1e-2)
learn.unfreeze()
learn.fit_one_cycle(3, slice(1e-3, 5e-3))

# %% [markdown]
# From the shell: `onecycle train images FOLDER --bands 3,2,1,4` (or `all`); ranges are measured.
# `--policy trivialaugment` and its kind are for photos, and an error on bands.
#
# ## Shipping
#
# The file takes the numbers as they are stored, float32 (n, h, w, bands) under the name `raw`, and holds
# the range; its answers are compared with `learn.predict` before it is kept. `Predictor` and the server take
# TIFF files (an array is one with all its stored bands); a file with too few bands is an error that names
# it. The page in the browser takes photos and the camera, which have three bands of 8 bits, so it is not
# made for such a model: `onecycle site` says so, and so does the server in place of the page.

# %%
learn.export(root / "crops.onnx")
predictor = Predictor(root / "crops.onnx")
file = root / "wheat" / "1.tif"
print(predictor.predict(file), learn.predict(file)[0])
print(predictor.input.page_fault())

# %% [markdown]
# ## What is said, and what is not read
#
# - A photo list that gets 16 bits, a fourth band or several pages says how many files, what it did with
#   them, and that `with_bands` decides otherwise.
# - Of a file with several pages (or frames of DICOM) the first is read, and a warning counts such files;
#   `with_bands(page=2)` reads the second of each.
#   Smaller copies inside a COG are no pages.
# - Files of a palette, of complex numbers or of volumes are errors; so are files that lack a band. All
#   headers are read before training, and up to 200 files whole; `data.check()` reads all.
# - DICOM: grey values are rescaled (slope and intercept, or the modality's table), and MONOCHROME1 is turned
#   round, so that the larger is always the lighter. Compressed files need what pydicom names (`pylibjpeg`).
# - A folder's DICOM files need the ending `.dcm` or `.dicom`; others are named by `extensions=`.
# - `databunch(cache=True)` keeps bands too, as floats; another choice of bands or another range is kept apart.
#
# What a near-infrared band gives where it carries signal: `benchmarks/results/bands.md`.
