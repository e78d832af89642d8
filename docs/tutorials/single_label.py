# %% [markdown]
# # One label per image
#
# What is the weather over a piece of forest: clear, partly cloudy, cloudy or haze? The satellite
# tiles are drawn by code, so this page needs no download: every number and plot on it was made
# when the page was built.

# %%
import pandas as pd

from onecycle import ClassificationInterpretation
from onecycle.vision import *

n = 500  # tiny: 80
path = planet_sample("weather", n=n, n_test=10, size=64)
table = pd.read_csv(path / "train_v2.csv")
table["weather"] = table["tags"].str.extract(r"\b(clear|partly_cloudy|cloudy|haze)\b")
table.head(4)

# %% [markdown]
# The steps read like a sentence: which items, who validates, what their labels are, how they are
# augmented, in batches of what size. Labels may also come from folders (`label_from_folder()`), from
# the file's name (`label_from_re(r"/([^/]+)_\d+.jpg$")`) or from any function of the file.

# %%
data = (
    ImageList.from_df(table, path, folder="train-jpg", suffix=".jpg")
    .split_by_rand_pct(0.2, seed=2)
    .label_from_df("weather")
    .transform(get_transforms(flip_vert=True, max_lighting=0.1), size=64)
    .databunch(bs=16)
    .normalize(half_stats)
)
print(data)
data.show_batch(rows=3)

# %% [markdown]
# A pretrained body and a new head. At first the body is frozen and only the head is trained. Where
# should the learning rate be? `lr_find` tries a hundred of them and puts everything back.

# %%
learn = cnn_learner(data, models.small, metrics=error_rate)
curve = learn.lr_find(num_it=60)
learn.recorder.plot(suggestion=True)

# %%
learn.fit_one_cycle(3, 1e-2)

# %% [markdown]
# Then all layers, the early ones more slowly than the late ones.

# %%
learn.unfreeze()
learn.fit_one_cycle(4, slice(1e-3, 5e-3))

# %% [markdown]
# ## What it gets wrong
#
# The largest losses: what it predicted, what is actual, the loss, and the probability of the latter.

# %%
interp = ClassificationInterpretation.from_learner(learn)
interp.plot_top_losses(4, figsize=(7, 7))

# %%
interp.plot_confusion_matrix(figsize=(5, 5))
print(interp.most_confused(min_val=1))

# %% [markdown]
# One image: the answer, its number, and the probabilities.

# %%
answer, number, chances = learn.predict(path / "test-jpg/test_0.jpg")
print(answer, int(number), chances.numpy().round(3))

# %% [markdown]
# Next: [ship it](shipping.md). Your own folders: `onecycle train images FOLDER`.
