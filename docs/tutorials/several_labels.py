# %% [markdown]
# # Several labels per image
#
# A satellite tile may show water *and* roads. The tiles here are drawn by code, so this page needs
# no download: every number on it was made when the page was built.

# %%
from functools import partial

from onecycle import MultiLabelInterpretation
from onecycle.vision import *

n = 500  # tiny: 60
path = planet_sample("planet", n=n, n_test=10, size=64)
print((path / "train_v2.csv").read_text()[:120])

# %% [markdown]
# The data block: which items, who validates, what their labels are, how they are augmented.

# %%
src = (
    ImageList.from_csv(path, "train_v2.csv", folder="train-jpg", suffix=".jpg")
    .split_by_rand_pct(0.2, seed=42)
    .label_from_df(label_delim=" ")
)
tfms = get_transforms(flip_vert=True, max_lighting=0.1, max_zoom=1.05, max_warp=0.0)
data = src.transform(tfms, size=64).databunch(bs=16).normalize(half_stats)
print(data)
data.show_batch(rows=3)

# %% [markdown]
# A pretrained body with a new head; the body stays frozen at first. Each tag is a yes or no of its
# own: a sigmoid each, and a threshold of .2, because for the F2 score a tag too many costs less than
# one too few.

# %%
f2 = partial(fbeta, thresh=0.2)
learn = cnn_learner(data, models.small, metrics=[partial(accuracy_thresh, thresh=0.2), f2])
learn.fit_one_cycle(3, slice(1e-2))

# %% [markdown]
# Then everything is trained, early layers more slowly than late ones.

# %%
learn.unfreeze()
learn.fit_one_cycle(4, slice(1e-3, 5e-3))

# %% [markdown]
# Which tags are hard, and where should the line between yes and no be?

# %%
interp = MultiLabelInterpretation.from_learner(learn)
interp.per_label().round(3)

# %%
interp.plot_thresholds()

# %% [markdown]
# The threshold belongs to the answer, and is saved and exported with it.

# %%
learn.with_threshold(0.2)
print(learn.predict(path / "test-jpg/test_0.jpg")[0])
