"""What layers do and why one cycle helps: a tutorial that runs (jupytext percent script)."""

# ---
# jupyter: {jupytext: {formats: "py:percent"}}
# ---
# %% [markdown]
# # Behind the scenes: what layers do, and why one cycle helps
# Set `ONECYCLE_TINY=1` for a run of seconds; plots go to the folder in `ONECYCLE_PLOTS`, if set.
# %%
import os
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn

from onecycle.data.arrays import from_arrays
from onecycle.learn.learner import Learner
from onecycle.models.mlp import mlp

TINY = bool(os.environ.get("ONECYCLE_TINY"))
FOLDER = os.environ.get("ONECYCLE_PLOTS")
KINDS = {"ReLU": nn.ReLU, "leaky ReLU": nn.LeakyReLU, "sigmoid": nn.Sigmoid, "tanh": nn.Tanh}


def keep(name: str) -> None:
    """Show the plot, or write it as a file."""
    plt.tight_layout()
    if FOLDER:
        plt.savefig(Path(FOLDER) / f"{name}.png", dpi=80)
        plt.close()
    else:
        plt.show()


# %% [markdown]
# ## Stacked linear layers are one linear layer
# W2 (W1 x + b1) + b2 = (W2 W1) x + (W2 b1 + b2). With something in between they are not: then
# f(a) + f(b) - f(0) is no longer f(a + b).
# %%
torch.manual_seed(0)
GAPS = {}
for label, kind in {"nothing": None, **KINDS}.items():
    net = mlp([4, 16, 16, 3], kind).double()
    a, b = torch.randn(2, 100, 4, dtype=torch.float64)
    with torch.no_grad():
        gap = net(a) + net(b) - net(torch.zeros_like(a)) - net(a + b)
    GAPS[label] = float(gap.abs().max())
    print(f"{label:>10} between the layers: off from linear by {GAPS[label]:.1e}")

# %% [markdown]
# ## One hidden layer meets any smooth function: error against width
# %%
WIDTHS = [2, 4] if TINY else [2, 4, 8, 16, 32, 64]
grid = np.linspace(-1, 1, 256, dtype=np.float32)[:, None]
plane = np.random.default_rng(0).uniform(-1, 1, (256, 2)).astype(np.float32)
FUNCTIONS = {
    "sin(2 pi x)": (grid, np.sin(2 * np.pi * grid[:, 0])),
    "sin(3 x) cos(3 y)": (plane, np.sin(3 * plane[:, 0]) * np.cos(3 * plane[:, 1])),
}


def fitted(x: np.ndarray, y: np.ndarray, width: int, kind: type[nn.Module]) -> float:
    """The validation error after a short training with 1cycle."""
    torch.manual_seed(0)
    data = from_arrays(x, y.astype(np.float32), bs=64, device="cpu")
    learn = Learner(data, mlp([x.shape[1], width, 1], kind), silent=True)
    learn.fit_one_cycle(2 if TINY else 40, 0.03)
    return learn.validate()[0]


places = plt.subplots(1, 2, figsize=(9, 3.5))[1]
for ax, (title, (x, y)) in zip(places, FUNCTIONS.items(), strict=True):
    for label, kind in KINDS.items():
        ax.loglog(WIDTHS, [fitted(x, y, w, kind) for w in WIDTHS], "o-", label=label)
    ax.set(title=title, xlabel="width", ylabel="mean squared error")
places[0].legend()
keep("width")

# %% [markdown]
# ## Saturation: gradients in a deep net
# A sigmoid's slope is at most 1/4, so each layer takes away at least that much.
# %%
for label, kind in KINDS.items():
    torch.manual_seed(0)
    net = mlp([16] + [64] * 10 + [1], kind)
    net(torch.randn(256, 16)).square().mean().backward()
    sizes = [float(m.weight.grad.norm()) for m in net if isinstance(m, nn.Linear)]
    plt.semilogy(range(1, len(sizes) + 1), sizes, "o-", label=label)
plt.gca().set(xlabel="layer, from the input", ylabel="size of the gradient")
plt.legend()
keep("gradients")

# %% [markdown]
# ## Why the high rates of one cycle cross a barrier
# f(w) = (w^2 - 1)^2 + 0.3 w has a poor valley near +0.96 and a good one near -1.04. Every run
# starts in the poor one and sees noisy gradients.
# %%
STEPS, SEEDS = 400, 5 if TINY else 200
ramp = np.linspace(0, 1, STEPS)
cycle = np.where(ramp < 0.3, ramp / 0.3, (1 + np.cos(np.pi * (ramp - 0.3) / 0.7)) / 2)
RATES = {"1cycle": 0.12 * cycle, "constant 0.12": 0.12 + 0 * ramp, "constant 0.01": 0.01 + 0 * ramp}
for label, rates in RATES.items():
    luck, w, losses = np.random.default_rng(0), np.full(SEEDS, 0.96), []
    for rate in rates:
        w = w - rate * (4 * w * (w**2 - 1) + 0.3 + luck.normal(0, 3, SEEDS))
        w = w.clip(-1.8, 1.8)
        losses.append(((w**2 - 1) ** 2 + 0.3 * w).mean())
    plt.plot(losses, label=f"{label}: {np.mean(w < 0):.0%} in the good valley")
    print(f"{label}: final loss {losses[-1]:.3f}, {np.mean(w < 0):.0%} in the good valley")
plt.gca().set(xlabel="step", ylabel="mean loss over the seeds")
plt.legend()
keep("barrier")

# %% [markdown]
# ## What 16 bits lose and gain
# %%
for kind in (torch.float16, torch.bfloat16):
    info = torch.finfo(kind)
    lost = torch.tensor(1.0, dtype=kind) + torch.tensor(1e-4, dtype=kind) == 1
    print(f"{kind}: step at 1 {info.eps:.1e}, up to {info.max:.1e}, 1 + 0.0001 == 1: {bool(lost)}")
print("a gradient of 1e-8 in float16:", float(torch.tensor(1e-8).half()))
print("the same times 65536, then divided:", float(torch.tensor(1e-8 * 65536).half()) / 65536)
print("bytes of a million weights:", 4_000_000, "or", 2_000_000)
