# %% [markdown]
# # Points
#
# Where is something? Here: the middle of a ball, as (y, x) in pixels. Faces, hands and joints work
# the same way, with more points.

# %%
import cv2
import numpy as np

from onecycle import Path
from onecycle.vision import *

n = 240  # tiny: 40
folder = Path("balls")
folder.mkdir(exist_ok=True)
centres = {}
for i in range(n):
    rng = np.random.default_rng(i)
    image = np.full((48, 64, 3), rng.integers(20, 120, 3), np.uint8)
    y, x, radius = rng.uniform(10, 38), rng.uniform(10, 54), rng.uniform(4, 9)
    colour = rng.integers(180, 256, 3).tolist()
    cv2.circle(image, (round(x), round(y)), round(radius), colour, -1, cv2.LINE_AA)
    noisy = image + rng.normal(0, 6, image.shape)
    cv2.imwrite(str(folder / f"{i:03}.png"), noisy.clip(0, 255).astype(np.uint8))
    centres[f"{i:03}.png"] = [round(y), round(x)]

# %% [markdown]
# The label of a file is a list of points in pixels of that image; `ImagePoints` turns them into
# places from -1 to 1, so that they survive any resize. With `tfm_y=True` they move with the image.


# %%
def points_of(file):
    image = open_image(file)
    return ImagePoints(FlowField(image.size, [centres[file.name]]))


data = (
    PointsItemList.from_folder(folder)
    .split_by_rand_pct(0.2, seed=0)
    .label_from_func(points_of)
    .transform(get_transforms(max_rotate=20), tfm_y=True, size=(48, 64))
    .databunch(bs=16)
    .normalize(half_stats)
)
print(data)
data.show_batch(rows=3, figsize=(7, 5))

# %% [markdown]
# The loss is the mean squared error of those places.

# %%
learn = cnn_learner(data, models.small, ps=0)
learn.unfreeze()
learn.fit_one_cycle(15, 1e-2)
learn.show_results(rows=3, figsize=(7, 5))

# %%
found = learn.predictions()
off = (found.probabilities - found.targets).numpy().reshape(-1, 2) * [24, 32]
print(f"half of the answers are within {np.median(np.linalg.norm(off, axis=1)):.1f} pixels")
