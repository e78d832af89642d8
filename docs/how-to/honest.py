# %% [markdown]
# # Probabilities that keep their word
#
# A network says 95 % where 80 % would be true: training makes its outputs ever larger, also where it
# has nothing more to learn. `learn.calibrate()` measures on the validation side by how much, and divides
# the outputs by one number, the temperature ([Guo et al. 2017](https://arxiv.org/abs/1706.04599)). What is
# likeliest stays so; what changes is how likely it is said to be. The points here overlap, so that
# nobody could be right about all of them.

# %%
import numpy as np

from onecycle import (
    ClassificationInterpretation,
    Learner,
    MultiLabelInterpretation,
    accuracy,
    balanced_loss,
    calibration_error,
    from_arrays,
    mlp,
    set_seed,
)

set_seed(0)
rng = np.random.default_rng(0)


def points(n):
    labels = rng.choice(3, n, p=[0.7, 0.2, 0.1])
    centres = np.zeros((3, 20))
    centres[1, :10] = centres[2, 10:] = 0.7
    x = (centres[labels] + rng.normal(0, 1, (n, 20))).astype(np.float32)
    return x, [["common", "some", "rare"][i] for i in labels]


n = 2000  # tiny: 500
train, valid = points(400), points(n)
data = from_arrays(*train, *valid, bs=32)
learn = Learner(data, mlp([20, 200, 3]), metrics=[accuracy, calibration_error], silent=True)
learn.fit_one_cycle(30, 1e-2)
print(dict(zip(("loss", "accuracy", "calibration error"), learn.validate(), strict=True)))

# %% [markdown]
# `calibration_error` is a metric like others: the mean distance between what is said and how often it
# is right. The plot shows both for each probability, and as bars how many answers have it.

# %%
ClassificationInterpretation.from_learner(learn).plot_calibration()

# %%
print(learn.calibrate())
ClassificationInterpretation.from_learner(learn).plot_calibration()

# %% [markdown]
# From here on `predict`, `get_preds`, `learn.save`, the exported file, its server and its page have the
# calibrated probabilities. The page says under "About this model" whether its percentages are
# calibrated. The temperature belongs to the weights: a later fit drops it, with a warning, and
# `learn.load` brings that of the file. It wants validation items that training has not seen, better
# some hundreds than some dozens, and of the kind that will be asked about.
#
# The metrics of `validate`, `evaluate` and the report are those of the calibrated answers. Losses, also
# those by which the worst items are found, stay what training makes small: of the outputs as they are.
#
# The figures that `calibrate` returns are of the items that it was fitted to. One number flatters little,
# but to judge it, use others.
#
# ## "Not sure"
#
# With a threshold a model of one class per item may also say that it does not know: where no class is
# above it, the answer is "not sure", its name is `None`, and its number -1.

# %%
learn.with_threshold(0.8)
for item in valid[0][8:12]:
    answer, number, probabilities = learn.predict(item)
    print(answer, answer.obj, int(number), probabilities.numpy().round(2))

probabilities, y = learn.get_preds()
sure, right = probabilities.max(1).values > 0.8, probabilities.argmax(1) == y
print(
    f"all: {right.float().mean():.2f} right; {sure.float().mean():.2f} are sure, "
    f"and of these {right[sure].float().mean():.2f} right"
)

# %% [markdown]
# A server replies `{"answer": null, "text": "not sure", "probabilities": {...}}`, the table of
# `onecycle predict` has "not sure" in its column, and the page says "Not sure" above the likeliest
# classes. `?thresh=0.9`, `--thresh 0.9` and `predict(item, thresh=0.9)` decide otherwise for once; 0 asks
# for the likeliest class in any case.
#
# ## A threshold for each label
#
# Of several labels each is a yes or no of its own, and a rare one may want a lower line.
# `fit_thresholds` takes for each the one with the best F-beta on the validation side (`beta=2`: a label
# too many costs less than one too few); where it is calibrated, call it after that. A dict sets some by
# hand. A metric keeps a threshold of its own: that of the answers is
# `partial(fbeta, thresh=learn.task.target.thresh)`. Thresholds stay when the learner gets other data.

# %%
x, names = points(1500)
tags = [[name, "far"] if row @ row > 24 else [name] for row, name in zip(x, names, strict=True)]
many = Learner(from_arrays(x, tags, bs=32), mlp([20, 50, 4]), silent=True)
many.fit_one_cycle(10, 1e-2)
print(many.fit_thresholds(beta=1))
many.with_threshold({"rare": 0.1})
MultiLabelInterpretation.from_learner(many).per_label().round(2)

# %% [markdown]
# ## Few items of a class
#
# Two ways make rare classes count as much as frequent ones. `databunch(sampler="balanced")` (here as an
# option of `from_arrays`) makes every epoch of as many items of each class: rare ones come again, each
# time augmented anew, frequent ones take turns. `loss_func=balanced_loss(data)` weighs them in the loss
# instead; the validation loss is then weighted, too. Use one of them. Either finds more of what is
# rare, and takes more for it that is not; a threshold of its own does that without training anew.

# %%
for how, sampler in {"as they are": None, "balanced sampler": "balanced"}.items():
    set_seed(1)
    some = Learner(
        from_arrays(*train, *valid, bs=32, sampler=sampler), mlp([20, 50, 3]), silent=True
    )
    some.fit_one_cycle(10, 1e-2)
    found = ClassificationInterpretation.from_learner(some).confusion_matrix()
    error = some.validate(metrics=calibration_error)[1]
    recall = (found.diagonal() / found.sum(1)).round(2).tolist()
    print(f"{how}: found of each {dict(zip(some.data.classes, recall, strict=True))}, {error=:.3f}")
print(balanced_loss(data).weight)

# %% [markdown]
# Both make rare classes look likelier than they are. The temperature corrects how sure a model is, not
# how often each class occurs: where probabilities matter, train on the items as they are.
