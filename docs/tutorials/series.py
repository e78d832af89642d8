# %% [markdown]
# # Time series as images
#
# A curve becomes an image, and a network for images tells curves apart. Here: three kinds of
# waves, each at a random place and with noise.

# %%
import numpy as np

from onecycle import *

n = 240  # tiny: 40
rng = np.random.default_rng(0)
t = np.linspace(0, 4 * np.pi, 96) + rng.uniform(0, 2 * np.pi, (n, 1))
kinds = {"sine": np.sin(t), "square": np.sign(np.sin(t)), "saw": (t / np.pi) % 2 - 1}
names = rng.choice(list(kinds), n)
series = np.stack([kinds[name][i] for i, name in enumerate(names)]) + rng.normal(0, 0.3, t.shape)

# %% [markdown]
# Three ways to make an image of a curve, as three channels: Gramian angular fields (sum and
# difference; Wang & Oates 2015) and a Markov transition field. Files of the UCR and UEA archives are
# read by `SeriesList.from_ts`, tables by `from_csv` and `from_df`.

# %%
data = (
    SeriesList.from_array(series, names, encodings=("gasf", "gadf", "mtf"))
    .split_by_rand_pct(0.25, seed=0)
    .label_from_df("label")
    .transform(series_transforms(), size=48)
    .databunch(bs=16)
)
print(data)
data.show_batch(rows=2, figsize=(9, 6))

# %%
learn = series_learner(data, models.small, metrics=accuracy)
learn.unfreeze()
learn.fit_one_cycle(6, 4e-3)
print(learn.predict(np.sin(t[0]))[0])

# %% [markdown]
# ## Long series, and many channels
#
# An image of 64 pixels shows 64 means of a series, however long it is, and twelve channels lie small
# beside one another. Where that is likely to lose, a warning says so, and names networks for the series
# itself:
#
# - `arch="mini_rocket"` (Dempster et al. 2021): ten thousand fixed features and a linear layer, which
#   `fit_ridge()` finds in seconds. It chooses its strength by leaving out one training series after the
#   other, so that there is no rate and no number of epochs to choose, and probabilities are calibrated.
# - `arch="inception_time"` (Fawaz et al. 2020): convolutions of three lengths. It takes minutes on a CPU,
#   and wants more series.
#
# Both export to the same one file, for the page and the server. By default each series is scaled by
# itself, so that its level does not count; where it does, `by="train"` in the list keeps it.

# %%
items = SeriesList.from_array(series, names, by="train").split_by_rand_pct(0.25, seed=0)
data = items.label_from_df("label").databunch(bs=16)
learn = series_learner(data, arch="mini_rocket", metrics=accuracy)
learn.fit_ridge()
print(learn.predict(np.sin(t[0]))[0])
