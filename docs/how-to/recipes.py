# %% [markdown]
# # Recipes of training
#
# By the names that the field gives them. Each is one line; none is a promise: measure on your own
# validation side, over more than one seed.

# %%
import tempfile

from onecycle.vision import *

path = hands_sample(Path(tempfile.mkdtemp()) / "hands", n=60)
src = ImageList.from_folder(path).split_by_rand_pct(0.3, seed=1).label_from_folder()
tfms = get_transforms(do_flip=False, policy="trivialaugment")
data = src.transform(tfms, size=48).databunch(bs=16)
learn = cnn_learner(data, models.small, pretrained="small", metrics=accuracy)

# %% [markdown]
# The data was not normalised: the learner's is, by the statistics of its weights, and a warning says so.
# `data.normalize(...)` before decides otherwise.
#
# | recipe | line |
# |---|---|
# | 1cycle | `learn.fit_one_cycle(5, 1e-3)` |
# | flat, then a cosine | `learn.fit_flat_cos(5, 1e-3)` |
# | the head, then everything | `learn.fine_tune(5)` |
# | the head as far as it goes, then everything, and the best of both | `learn.fine_tune(5, from_probe=True)` |
# | a budget of time | `learn.fit_one_cycle(max_lr=1e-3, minutes=20)` |
# | TrivialAugment, RandAugment, AugMix | `get_transforms(policy="trivialaugment")`, `"randaugment"`, `"augmix"` |
# | MixUp, CutMix | `learn.mixup()`, `learn.cutmix()` |
# | an average of the weights | `fit_one_cycle(5, 1e-3, callbacks=[ModelEMA()])` |
# | label smoothing | `cnn_learner(..., loss_func=LabelSmoothingCrossEntropy())` |
# | batches larger than memory | `cnn_learner(..., accumulate=4)`: a step after four batches, which is said |
# | clipped gradients | `callbacks=[GradientClipping(1.0)]` |
# | a soup of several trainings | `soup(learn, ["a", "b", "c"])` |
#
# TrivialAugment and RandAugment move masks, points and boxes along with their image; AugMix blends
# several images and refuses them.

# %%
learn.fine_tune(1)
learn.save("a")
learn.fit_flat_cos(1, 1e-4)
learn.save("b")

# %% [markdown]
# A soup is the mean of the weights of several models that went on from the same pretrained ones. It
# begins with the best of them, and each other one is left out where the validation loss would rise; the
# statistics of batch norm are renewed by a pass over the training side.

# %%
print(soup(learn, ["a", "b"]), learn.validate())

# %% [markdown]
# ## Small sets with fine differences
#
# On a few hundred images of many classes, training of all layers may end below what the head alone
# reaches. `fine_tune(..., from_probe=True)` cannot, on the validation side: the head first trains for 20
# epochs on features that the frozen body gives once (seconds); then all layers train, the first ones a
# hundredth as fast as the last; what is validated is the average of their weights; and the best epoch
# stays, or else the head alone. A plain linear head (`lin_ftrs=[]`) has fewer weights to be learned from
# few images.

# %%
learn = cnn_learner(data, models.small, pretrained="small", metrics=accuracy, lin_ftrs=[])
learn.fine_tune(1, freeze_epochs=3, from_probe=True)
print(learn.validate())

# %% [markdown]
# The best of several epochs on the same validation items looks better on them than on others. Measure what
# you report on a test side (`learn.evaluate()`).
