# %% [markdown]
# # Behind the scenes
#
# What do layers do, why must something bent stand between them, how wide must they be, why do
# deep nets stop learning, why does one cycle help, and what do 16 bits cost? Each answer here is a
# few lines that run; the numbers and plots were made when this page was built.

# %%
import time

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn

from onecycle import Learner, from_arrays, mlp

KINDS = {"ReLU": nn.ReLU, "leaky ReLU": nn.LeakyReLU, "sigmoid": nn.Sigmoid, "tanh": nn.Tanh}

# %% [markdown]
# ## Stacked linear layers are one linear layer
#
# W2 (W1 x + b1) + b2 = (W2 W1) x + (W2 b1 + b2): a matrix times a matrix is a matrix. So we
# multiply the matrices of three layers, and compare the one layer with the three.

# %%
torch.manual_seed(0)
stack = mlp([4, 16, 16, 3], activation=None).double()
W, b = torch.eye(4).double(), torch.zeros(4).double()
for layer in stack:
    if isinstance(layer, nn.Linear):
        W, b = layer.weight @ W, layer.weight @ b + layer.bias
x = torch.randn(1000, 4).double()
numbers = sum(p.numel() for p in stack.parameters())
print(f"three layers of {numbers} numbers, or one of {W.numel() + b.numel()}")
print(f"largest difference of their answers: {(stack(x) - (x @ W.T + b)).abs().max():.1e}")

# %% [markdown]
# With something bent between the layers they do not collapse. For whatever is linear (plus a
# constant), `f(a) + f(c) = f(a + c) + f(0)`. How far off is each net?

# %%
a, c = torch.randn(2, 1000, 4).double()
for label, kind in {"nothing": None, **KINDS}.items():
    torch.manual_seed(0)
    net = mlp([4, 16, 16, 3], kind).double()
    with torch.no_grad():
        gap = net(a) + net(c) - net(a + c) - net(torch.zeros_like(a))
    print(f"{label:>10} between the layers: off from linear by {gap.abs().max():.0e}")

# %% [markdown]
# The same as a plot: three layers of random numbers, from one number to one number, and the best
# that each of them can do on a sine after training.

# %%
line = torch.linspace(-1, 1, 256).double()[:, None]
sine = torch.sin(2 * np.pi * line)


def trained(x, y, sizes, kind, steps, seed=0):
    """A net trained on all of x at once by L-BFGS; its last layer starts as the best one."""
    torch.manual_seed(seed)
    net = mlp(sizes, kind).double()
    with torch.no_grad():
        hidden = torch.cat([net[:-1](x), torch.ones(len(x), 1).double()], 1)
        best = torch.linalg.lstsq(hidden, y).solution
        net[-1].weight.copy_(best[:-1].T)
        net[-1].bias.copy_(best[-1])
    optimizer = torch.optim.LBFGS(
        net.parameters(),
        max_iter=steps,
        max_eval=2 * steps,
        tolerance_change=1e-12,
        history_size=50,
        line_search_fn="strong_wolfe",
    )

    def loss():
        optimizer.zero_grad()
        found = (net(x) - y).square().mean()
        found.backward()
        return found

    optimizer.step(loss)
    return net.requires_grad_(False)


steps = 300  # tiny: 10
_, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
for label, kind in {"linear only": None, "ReLU": nn.ReLU, "tanh": nn.Tanh}.items():
    torch.manual_seed(3)
    with torch.no_grad():
        raw = mlp([1, 16, 16, 1], kind).double()(4 * line)
        left.plot(line, raw - raw.mean(), label=label)
    right.plot(line, trained(line, sine, [1, 16, 16, 1], kind, steps)(line), label=label)
left.set(title="random weights", xlabel="x", xticks=[-1, 0, 1])
right.plot(line, sine, "k:", label="sine")
right.set(title="after training on a sine", xlabel="x", xticks=[-1, 0, 1])
right.legend(fontsize=8)
# %% [markdown]
# ## One hidden layer meets any continuous function, if it is wide enough
#
# A hidden unit adds one bend (ReLU) or one step (sigmoid, tanh); wide enough, they add up to
# anything continuous (Cybenko 1989, Hornik 1991). Here is the error against the width, for a
# function of one variable and a function of two; each point is the best of a few starts, because
# training may get stuck where the width alone would do.

# %%
ends = torch.linspace(-1, 1, 20).double()
plane = torch.cartesian_prod(ends, ends)
FUNCTIONS = {
    "sin(2πx) + |x|": (line, sine + line.abs()),
    "sin(3x) cos(3y)": (plane, (torch.sin(3 * plane[:, :1]) * torch.cos(3 * plane[:, 1:]))),
}
starts = 6  # tiny: 1
widths = [1, 2, 4, 8, 16, 32]  # tiny: [1, 4]
WIDE = {}
_, places = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
for ax, (title, (x, y)) in zip(places, FUNCTIONS.items(), strict=True):
    for label, kind in KINDS.items():
        errors = [
            min(
                float((trained(x, y, [x.shape[1], w, 1], kind, steps, seed)(x) - y).square().mean())
                for seed in range(starts)
            )
            for w in widths
        ]
        WIDE[title, label] = errors
        ax.loglog(widths, errors, "o-", label=label)
    ax.set(title=title, xlabel="width of the hidden layer", ylabel="mean squared error")
    ax.set_xticks(widths, widths)
    ax.minorticks_off()
places[0].legend(fontsize=8)
for (title, label), errors in WIDE.items():
    print(f"{title:>16}, {label:>10}: {errors[0]:.1e} -> {errors[-1]:.1e}")
    assert errors[-1] < errors[0]

# %% [markdown]
# Both functions are met by all four; the smooth bends need fewer units here, because the functions
# are smooth nearly everywhere. That a net *can* be that good does not say that training finds it:
# where an error rises with the width, all starts got stuck. [Draw a curve](draw-a-curve.md)
# and watch some of them get stuck.
#
# ## Saturation: where gradients go
#
# A unit passes on the gradient times its slope. A sigmoid's slope is at most 1/4 and nearly 0 where
# it saturates, so a deep stack of sigmoids takes almost everything away before the first layer.

# %%
slopes = torch.linspace(-6, 6, 400).double().requires_grad_(True)
_, places = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
for label, kind in KINDS.items():
    (slope,) = torch.autograd.grad(kind()(slopes).sum(), slopes)
    places[0].plot(slopes.detach(), slope, label=label)
    torch.manual_seed(0)
    net = mlp([16] + [64] * 10 + [1], kind)
    net(torch.randn(256, 16)).square().mean().backward()
    sizes = [float(m.weight.grad.norm()) for m in net if isinstance(m, nn.Linear)]
    places[1].semilogy(range(1, len(sizes) + 1), sizes, "o-", label=label)
    print(f"{label:>10}: the first of 11 layers gets {sizes[0] / sizes[-1]:.0e} of the last one's")
places[0].set(title="slope of the activation", xlabel="what comes in")
places[1].set(title="size of each layer's gradient", xlabel="layer, from the input")
places[0].legend(fontsize=8)
# %% [markdown]
# What that does to training: the same ten hidden layers, on the sine, with the same Adam.

# %%
epochs = 300  # tiny: 5
DEEP = {}
plt.figure(figsize=(6, 3.4), layout="constrained")
for label, kind in KINDS.items():
    torch.manual_seed(0)
    net = mlp([1] + [64] * 10 + [1], kind)
    for m in net:
        if isinstance(m, nn.Linear):  # keeps the size of what flows through a ReLU, He et al. 2015
            nn.init.kaiming_normal_(m.weight)
            nn.init.zeros_(m.bias)
    optimizer, losses = torch.optim.Adam(net.parameters(), 1e-3), []
    for _ in range(epochs):
        loss = (net(line.float()) - sine.float()).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    DEEP[label] = losses
    plt.semilogy(losses, label=f"{label}: {losses[-1]:.1e}")
plt.title("ten hidden layers learn a sine")
plt.xlabel("step of Adam")
plt.ylabel("mean squared error")
plt.legend(fontsize=8)
# %% [markdown]
# ReLU keeps half of its units at a slope of 1, wherever they are; that, good initial weights and
# normalisation are why networks could become deep.
#
# ## Why the high rates of one cycle cross a barrier
#
# A surface with a poor valley and a good one: f(w) = (w² - 1)² + 0.3 w. Every run starts at the
# bottom of the poor valley and sees gradients with noise, as batches give them. The rates are those
# of `fit_one_cycle`, and three constant ones.

# %%
from onecycle.learn.optimizer import one_cycle

n_steps = 600
seeds = 500  # tiny: 20
top = 0.12


def surface(w):
    return (w**2 - 1) ** 2 + 0.3 * w


RATES = {
    "one cycle up to 0.12": [
        one_cycle(i, n_steps, (top / 25, top, top / 25e4)) for i in range(n_steps)
    ],
    "constant 0.12": [top] * n_steps,
    "constant 0.04": [0.04] * n_steps,
    "constant 0.01": [0.01] * n_steps,
}
_, places = plt.subplots(1, 3, figsize=(12, 3.6), layout="constrained")
ws = np.linspace(-1.6, 1.6, 200)
places[0].plot(ws, surface(ws), "k")
found = {}
for label, rates in RATES.items():
    rng, w, losses = np.random.default_rng(0), np.full(seeds, 0.96), []
    for rate in rates:
        slope = 4 * w * (w**2 - 1) + 0.3
        w = (w - rate * (slope + rng.normal(0, 3, seeds))).clip(-1.8, 1.8)
        losses.append(surface(w).mean())
    found[label] = (losses[-1], np.mean(w < 0))
    places[1].plot(losses, label=label)
    places[2].plot(np.sort(surface(w)), np.linspace(0, 1, seeds), label=label)
    print(
        f"{label:>20}: mean loss {losses[0]:+.2f} at first, {max(losses):+.2f} at most, "
        f"{losses[-1]:+.2f} in the end; {np.mean(w < 0):.0%} of {seeds} seeds in the good valley"
    )
places[0].plot(0.96, surface(0.96), "ro")
places[0].set(
    title="a poor valley and a good one", xlabel="w, every run starts at the dot", ylabel="loss"
)
places[1].set(title="mean loss over the seeds", xlabel="step")
places[2].set(title="share of the seeds below a final loss", xlabel="loss", xlim=(-0.35, 1.5))
places[1].legend(fontsize=8)
# %% [markdown]
# Small rates never leave the poor valley. Large ones leave it, and never come to rest. One cycle
# does both, one after the other: its loss *rises* while the rate is high, which is the way over the
# barrier, and settles when the rate falls. A loss that rises for a while is not a fault.
#
# ## What 16 bits lose and gain
#
# A number in 16 bits has fewer digits (both kinds), and float16 a smaller range as well.

# %%
for kind in (torch.float32, torch.bfloat16, torch.float16):
    info = torch.finfo(kind)
    print(
        f"{kind}: {info.bits} bits, step after 1: {info.eps:.0e}, "
        f"from {info.tiny:.0e} to {info.max:.0e}"
    )

# %% [markdown]
# **Small steps are lost.** A weight of 1 that should move by 0.0001 a thousand times:

# %%
for kind in (torch.float32, torch.bfloat16, torch.float16):
    weight = torch.tensor(1.0, dtype=kind)
    for _ in range(1000):
        weight += torch.tensor(1e-4, dtype=kind)
    print(f"{kind}: {float(weight):.4f}")

# %% [markdown]
# So the weights stay in 32 bits, and only the arithmetic between them is done in 16: that is what
# `learn.to_fp16()` and `learn.to_bf16()` do.
#
# **Small gradients are lost**, in float16: what lies below its range is 0. The loss is multiplied
# before the backward pass, and the gradients are divided afterwards.

# %%
torch.manual_seed(0)
net = mlp([16, 64, 64, 64, 1], nn.Tanh)
loss = 1e-4 * (net(torch.randn(512, 16))).square().mean()  # late in training losses are small
grads = torch.cat([g.ravel() for g in torch.autograd.grad(loss, net.parameters())])
scales = [1, 2**8, 2**16]
gone = [float(((grads * s).half() == 0).float().mean()) for s in scales]
for s, share in zip(scales, gone, strict=True):
    print(f"loss times {s:>5}: {share:.1%} of the gradients are 0 in float16")
bf16 = float((grads.bfloat16() == 0).float().mean())
print(f"in bfloat16 without any scale: {bf16:.1%}")
plt.figure(figsize=(6, 3.2), layout="constrained")
for s in scales:
    plt.hist(
        (grads.abs() * s).clamp_min(1e-14).log10(), 60, histtype="step", label=f"loss times {s}"
    )
plt.axvline(np.log10(6e-8), color="k", ls=":", label="smallest number of float16")
plt.title("sizes of the gradients")
plt.xlabel("power of ten")
plt.legend(fontsize=8)
# %% [markdown]
# **What is gained** is memory and, on hardware with 16-bit arithmetic, time. What is learned hardly
# changes: the same data, the same seed, with and without.

# %%
x = np.random.default_rng(0).uniform(-1, 1, (2000, 2)).astype(np.float32)
y = (np.sin(3 * x[:, 0]) * np.cos(3 * x[:, 1])).astype(np.float32)
data = from_arrays(x, y, bs=64)
rounds = 20  # tiny: 1
for precision in ("fp32", "bf16"):
    torch.manual_seed(0)
    learn = Learner(data, mlp([2, 64, 64, 1], nn.Tanh), silent=True)
    if precision == "bf16":
        learn.to_bf16()
    begun = time.perf_counter()
    learn.fit_one_cycle(rounds, 0.01)
    seconds = time.perf_counter() - begun
    print(f"{precision}: error {learn.validate()[0]:.4f}, {seconds:.1f} s on {data.device}")
wide = torch.zeros(1_000_000)
sizes = {kind: wide.to(kind).nbytes for kind in (torch.float32, torch.float16)}
print("bytes of a million numbers:", *sizes.values())

# %% [markdown]
# On a CPU without 16-bit arithmetic 16 bits are no faster; on a GPU try `learn.to_fp16()` and time
# an epoch. There, PyTorch's convolutions round their factors to 10 bits ("TF32") even in 32 bits, so
# an exported file's answers differ from the learner's by up to about .001. What a phone loads is
# smaller in any case: `learn.export(precision="fp16")`.
