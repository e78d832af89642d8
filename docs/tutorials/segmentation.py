# %% [markdown]
# # A class for every pixel
#
# Street scenes, drawn by code, with a mask for each: which pixels are sky, road, a car?

# %%
from functools import partial

import numpy as np

from onecycle import SegmentationInterpretation
from onecycle.vision import *

n = 120  # tiny: 24
path = streets_sample("streets", n=n, size=(64, 96))
codes = np.loadtxt(path / "codes.txt", dtype=str)
codes

# %% [markdown]
# The label of an image is the file of its mask. `tfm_y=True` moves the mask with the image; who
# validates stands in a file, as it does in CamVid.

# %%
data = (
    SegmentationItemList.from_folder(path / "images")
    .split_by_fname_file("../valid.txt")
    .label_from_func(lambda file: path / "labels" / f"{file.stem}_P.png", classes=codes)
    .transform(get_transforms(), size=(64, 96), tfm_y=True)
    .databunch(bs=8)
    .normalize(half_stats)
)
print(data)
data.show_batch(rows=2, figsize=(8, 6))

# %% [markdown]
# A U-Net on a pretrained body. Void (the borders of things) counts nowhere: not in the loss, not in
# the metrics. `mean_iou` adds up counts over the whole set.

# %%
void = list(codes).index("Void")
metrics = [partial(foreground_acc, void_code=void), partial(mean_iou, void=void)]
learn = unet_learner(data, "small", metrics=metrics)
learn.fit_one_cycle(1, 1e-2)
learn.unfreeze()
learn.fit_one_cycle(8, slice(2e-3, 2e-2))

# %% [markdown]
# Truth, and what it says:

# %%
learn.show_results(rows=2, figsize=(8, 6))

# %%
SegmentationInterpretation.from_learner(learn).per_class().round(3)
