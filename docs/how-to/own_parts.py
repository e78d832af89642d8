# %% [markdown]
# # Own loss, metric, callback
#
# All three are plain: a loss and a metric are functions of (outputs, y), a callback is a class with
# the moments that it cares about.

# %%
import torch
from torch.nn import functional as F

from onecycle import (
    Callback,
    EarlyStopping,
    Learner,
    StopFit,
    accuracy,
    from_arrays,
    higher_is_better,
    mlp,
    whole_set,
)

torch.manual_seed(0)
x = torch.rand(1000, 2) * 2 - 1
names = ["near" if r < 0.5 else "middle" if r < 0.9 else "far" for r in x.norm(dim=1)]
data = from_arrays(x.numpy(), names, bs=32)
print(data)

# %% [markdown]
# ## A loss
#
# It takes the raw outputs (n, classes), the encoded labels (n,), and `reduction`, so that the loss of
# each item can be asked for: "mean", "sum" or "none".


# %%
def careful(outputs, y, reduction="mean"):
    return F.cross_entropy(outputs, y, reduction=reduction, label_smoothing=0.1)


# %% [markdown]
# ## A metric
#
# A function of the raw outputs and the labels. It is called for each batch and averaged over the
# items; where that is not the same as over the whole set (F scores, areas under curves), put
# `@whole_set` before it, and it is called once with everything. `@higher_is_better` (or
# `@lower_is_better`) says which way it improves, for `EarlyStopping`, `SaveModel` and their kin.
# Functions of scikit-learn, as `partial(f1_score, average="macro")`, and objects of torchmetrics are
# taken as they are.


# %%
def confidence(outputs, y):
    return outputs.softmax(1).max(1).values.mean()


@whole_set
@higher_is_better
def worst_class(outputs, y):
    right = outputs.argmax(1) == y
    return min(right[y == number].float().mean() for number in y.unique())


# %% [markdown]
# ## A callback
#
# It sees the `Run`: model, batch, outputs, loss, step, history. What it changes there counts. This one
# remembers the largest gradient, and ends the training when one explodes.


# %%
class LargestGradient(Callback):
    """Remembers the largest gradient of the fit, and stops when one explodes."""

    def before_fit(self, run):
        self.largest = 0.0

    def after_backward(self, run):
        norms = [p.grad.norm() for p in run.model.parameters() if p.grad is not None]
        self.largest = max(self.largest, float(torch.stack(norms).max()))
        if self.largest > 1000:
            raise StopFit


watch = LargestGradient()
metrics = [accuracy, confidence, worst_class]
learn = Learner(data, mlp([2, 32, 32, data.c]), loss_func=careful, metrics=metrics)
stop = EarlyStopping(monitor="worst_class", patience=3)
learn.fit_one_cycle(8, 1e-2, callbacks=[watch, stop])
print(f"largest gradient {watch.largest:.2f}")

# %% [markdown]
# The moments, in their order: `before_fit`, `before_epoch`, `before_batch`, `after_loss`,
# `after_backward`, `after_step`, `before_validate`, `after_epoch`, `after_fit`. The last one comes
# after an error, too.
