# %% [markdown]
# # Plain arrays
#
# Rows of numbers train with the same learner as images: classes where the labels are words or
# whole numbers, numbers to be met where they are real.

# %%
import matplotlib.pyplot as plt
import numpy as np
import torch

from onecycle import Learner, accuracy, from_arrays, mlp, r2

n = 1200  # tiny: 100
rng = np.random.default_rng(0)
angle = rng.uniform(0, 4 * np.pi, n)
side = rng.integers(0, 2, n)
x = np.stack([np.cos(angle + np.pi * side), np.sin(angle + np.pi * side)], 1) * angle[:, None] / 10
x = (x + rng.normal(0, 0.03, x.shape)).astype(np.float32)
names = np.array(["inner", "outer"])[side]

# %% [markdown]
# ## Classes
#
# Two spirals; every fifth row validates. `mlp` makes the network: two numbers in, two layers of 64,
# as many outputs as the data has classes.

# %%
data = from_arrays(x, names, bs=64)
torch.manual_seed(0)
learn = Learner(data, mlp([2, 64, 64, data.c]), metrics=accuracy)
learn.fit_one_cycle(30, 0.02)

# %%
grid = np.stack(np.meshgrid(*[np.linspace(-1.4, 1.4, 60)] * 2), -1).reshape(-1, 2)
with torch.no_grad():
    probability = learn.model.eval()(torch.tensor(grid, dtype=torch.float32)).softmax(1)[:, 1]
plt.figure(figsize=(4.5, 4.5), layout="constrained")
plt.contourf(*grid.T.reshape(2, 60, 60), probability.reshape(60, 60), 20, cmap="coolwarm")
plt.scatter(*x.T, c=side, s=4, cmap="coolwarm", edgecolors="k", linewidths=0.2)
plt.title("two spirals, and what it says")

# %% [markdown]
# ## Numbers
#
# Real numbers as labels, so the loss is the squared error.

# %%
y = (np.sin(3 * x[:, 0]) + x[:, 1] ** 2).astype(np.float32)
numbers = from_arrays(x, y, bs=64).normalize()
torch.manual_seed(0)
learn = Learner(numbers, mlp([2, 64, 1]), metrics=r2)
learn.fit_one_cycle(20, 0.02)
print(learn.predict(x[0])[0], y[0])

# %% [markdown]
# ## In another program
#
# `learn.export()` is for photos, texts and series: its file reads what people have, and brings the
# page. What an array is made of is known to your program alone, so that arrays are refused there.
# The network by itself is exported by torch, and runs on ONNX Runtime; normalising as
# `numbers.task.input` says, and the names of classes, are up to the program.

# %%
import onnxruntime as ort

mean, std = (np.array(v, np.float32) for v in (numbers.task.input.mean, numbers.task.input.std))
any_count = ({0: torch.export.Dim("rows")},)
torch.onnx.export(
    learn.model.eval(),
    (torch.zeros(2, 2),),
    "curve.onnx",
    input_names=["x"],
    dynamic_shapes=any_count,
    verbose=False,
)
session = ort.InferenceSession("curve.onnx")
(found,) = session.run(None, {"x": (x[:3] - mean) / std})
print(found[:, 0], [learn.predict(row)[0].obj for row in x[:3]])

# %% [markdown]
# What stands between the layers, how wide they must be and why: [behind the
# scenes](../behind-the-scenes.md).
