# %% [markdown]
# # Faster
#
# What costs time, and what it costs to save it. Measure before and after: `learn.history` has the
# seconds of each epoch.
#
# | it takes long | you write | what it costs |
# |---|---|---|
# | to decode large photos in every epoch | `databunch(cache=True)` | disk: of photos at 224 px about 110 KB each |
# | to train a head behind a frozen body | `fit_one_cycle(4, 1e-2, cache_features=True)` | the head sees no augmentation |
# | to choose rate and epochs for a linear head | `fit_ridge()` ([below](#a-frozen-body-that-runs-once)) | the same, and every item counts alike |
# | the steps, on a GPU or a CPU that knows bfloat16 | `learn.to_bf16()` (or `to_fp16()`) | some digits |
# | the steps of a long training | `learn.compile()` ([below](#compiled-steps)) | minutes, before each new kind of step |
# | the first epochs | small images first: `transform(size=128)`, then 224 | a second `databunch` |
# | the check of files before training | `databunch(check="sample")` | faults show when their batch comes |
#
# Lists of files cost little: a million are found in .6 s and hold 28 bytes each beside their names
# (`benchmarks/results/list_growth.md`).

# %%
import tempfile
from pathlib import Path
from time import perf_counter, sleep

from onecycle import (
    ImageList,
    PixelCache,
    accuracy,
    butterflies_sample,
    cnn_learner,
    get_transforms,
    half_stats,
    models,
)

# %% [markdown]
# ## Each image decoded once
#
# A JPEG is decoded again in every epoch, whatever happens to its pixels afterwards. With `cache=True`
# they are kept in `~/.cache/onecycle/pixels` (below `ONECYCLE_CACHE`, if that is set) while the first
# epoch runs, already shrunk to about the size that is trained on; later epochs, and later programs,
# read them. The batches are the same, to the last bit. What decides is the path, the size and the times of the
# file, and the size that was asked for: a file that changes is read anew. Of [a kind of your own](own_items.md)
# also its class, its fields and its `look_version`, which you raise when the code of its `array` changes.

# %%
n = 400  # tiny: 100
path = butterflies_sample(Path(tempfile.mkdtemp()), n, size=400, layout="folders") / "train"
sleep(2.1)  # a file that was written just now may change again, and is not kept yet
items = ImageList.from_folder(path).split_by_rand_pct(0.2, seed=42).label_from_folder()
cache = PixelCache(Path(tempfile.mkdtemp()))
data = items.transform(get_transforms(), size=64).databunch(bs=16, cache=cache)
for epoch in range(2):
    begin = perf_counter()
    count = sum(len(x) for x, _ in data.train_dl)
    print(f"pass {epoch}: {count / (perf_counter() - begin):.0f} images a second")

# %% [markdown]
# It takes at most half of what is free on the disk (`PixelCache(folder, most=20_000_000_000)` says
# otherwise), what was not used for longest goes first, and what finds no room is decoded in each epoch,
# with a warning. Several programs may share it; a program that is killed, a full disk and damaged bytes
# cost time, never a wrong image. Of images of more than 5 million pixels nothing is kept: they take as
# long to read as to decode.
#
# ## A frozen body that runs once
#
# While only the head is trained, the body gives the same features for an image in every epoch, but for
# augmentation. `cache_features=True` lets it run once over both sides, as in validation, and trains the
# head on what it gave:

# %%
learn = cnn_learner(data.normalize(half_stats), models.small, pretrained="small", metrics=accuracy)
learn.fit_one_cycle(12, 1e-2, cache_features=True)

# %% [markdown]
# An epoch then takes hundredths of a second, and twenty cost as much as two. What it gives up: the head
# sees each image in one look, without augmentation (with `cache_features=3` in three augmented ones, which
# epochs take in turn), and the batch norms of the body stay as they are. For a head on a good body that
# is often as good; where it is not, the epochs after `unfreeze()` see every look. `mixup` and whatever
# else changes items is refused.
#
# A head of one linear layer (`cnn_learner(..., lin_ftrs=[])`, or `series_learner(data, arch="mini_rocket")`)
# needs no epochs at all. `learn.fit_ridge()` finds it in closed form, as a ridge on standardised features:
# its strength is the one that is best by leaving out one training item after the other, and by the same
# answers outputs are scaled so that probabilities are honest, without a validation item. It is for one
# label, several labels and numbers, and for some ten thousand items. Items of one group (a patient, a scene)
# stand in for one another there, so that with few large groups it is surer than it should be:
# `learn.calibrate()` on a validation side of other groups tells.

# %%
learn.unfreeze()
learn.fit_one_cycle(1, slice(1e-5, 1e-3))

# %% [markdown]
# ## Compiled steps
#
# `learn.compile()` runs the model as `torch.compile` makes it. Nothing else changes: the names of the
# weights, files, `freeze`, `to_bf16`, checkpoints of a fit (one that began compiled goes on without, and
# the other way round). Before the first step of each kind the machine compiles, for half a minute to
# minutes: a step of training, one of validation, a batch of another size, another precision, another set of
# frozen layers. So it is for trainings of hours. On two CPU cores a step of a MobileNetV3 then takes .65 of
# its time, that of a resnet18 1.13: there it costs time, so measure your own
# (`benchmarks/results/compiled.md`). Summaries and heatmaps, which look into layers, run without it.
# Dropout draws other numbers than without. It needs a C++ compiler, on a GPU Triton; where there is none
# it says so at once.
#
# ```python
# learn.compile()
# learn.fit_one_cycle(100, 1e-3)
# ```

# %% [markdown]
# ## Where the time of a batch goes
#
# The [flame graph](../loader.svg) of one thread that loads satellite tiles at 224 px (open it, and point at a
# bar): interpolation 31 %, decoding 19 %, normalising 14 %, lighting 4 %, opening and reading files 4 %,
# stacking 2 %, the rest is Python. On more cores the decoding and warping run beside each other, the Python
# does not: below 128 px more than two threads gain little. It was drawn by `benchmarks/flame.py`.
#
# ## Where the memory goes
#
# A resnet18 on batches of 64 images at 128 px, in 32 bits on a CPU, the highest at each moment:
#
# | after | MB |
# |---|---|
# | `import torch` | 608 |
# | `from onecycle.vision import *` | 648 |
# | the data block, which reads its table by pandas | 734 |
# | the learner: torchvision and timm, the model | 1,020 |
# | the first forward pass: what 64 images leave in each layer | 1,500 |
# | the first backward pass: gradients | 1,700 |
# | the first steps: Adam's two averages, oneDNN's buffers | 1,850 |
# | an epoch with its validation, frozen and then unfrozen | 2,100 |
#
# What helps: `to_bf16()` (1,600 instead of 2,100), a smaller batch with `accumulate=`, smaller images.
#
# ## How it grows
#
# ![Six curves: seconds for lists of a thousand to ten million items, images a second by size and by the number of threads, tokens a second by vocabulary, milliseconds of validation by classes, images a second by batch size](../growth.png)
#
# Lists grow with their length, nothing with its square: ten million names take three minutes. Images cost
# their area once they are larger than 128 px. Threads gain nothing on two cores. Words of a vocabulary
# cost a row of the decoder each; classes nothing until there are thousands; batches below 16 images leave
# the cores waiting. `python benchmarks/growth.py FOLDER`
