# %% [markdown]
# # Own loss, metric, callback
#
# All three are plain: a loss and a metric are functions of (outputs, y), a callback is a class with
# the moments that it cares about.

# %%
import torch
from torch.nn import functional as F

from onecycle.vision import *

path = butterflies_sample("butterflies", n=PICTURES, size=48)
data = (
    ImageList.from_folder(path)
    .split_by_rand_pct(0.2, seed=1)
    .label_from_re(r"/([^/]+)_\d+\.jpg$")
    .transform(get_transforms(), size=48)
    .databunch(bs=16)
    .normalize(half_stats)
)


# %% [markdown]
# A loss takes `reduction` as well, so that the loss of each item can be asked for.


# %%
def careful(outputs, y, reduction="mean"):
    return F.cross_entropy(outputs, y, reduction=reduction, label_smoothing=0.1)


def confidence(outputs, y):
    return outputs.softmax(1).max(1).values.mean()


class LargestGradient(Callback):
    """Remembers the largest gradient of the fit."""

    def before_fit(self, run):
        self.largest = 0.0

    def after_backward(self, run):
        norms = [p.grad.norm() for p in run.model.parameters() if p.grad is not None]
        self.largest = max(self.largest, float(torch.stack(norms).max()))


watch = LargestGradient()
learn = cnn_learner(data, models.small, loss_func=careful, metrics=[accuracy, confidence])
learn.fit_one_cycle(1, callbacks=[watch])
print(f"largest gradient {watch.largest:.2f}")
