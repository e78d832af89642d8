"""What `learn.compile()` costs and gains: steps of training and of validation, with and without it.

    python benchmarks/compiled.py [--size 96] [--bs 16] [--rounds 5] [--steps 6]

Both ways of one model take turns in one process, round by round; medians of the rounds, in seconds
of processor time for each step (of the clock on CUDA). The cost is that of the first step of each
kind, which compiles; "again" is the same in a fresh process, which finds what the first has kept.
"""

import argparse
import statistics
import subprocess
import sys
import time

import numpy as np
import torch

from onecycle.learn.compiler import Compiler
from onecycle.learn.engine import Engine


def timed(work, device):
    """Seconds of the clock, and of the processor."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - wall, time.process_time() - cpu


class Way:
    """One model that is run in one way."""

    def __init__(self, name, device, precision, compiler):
        import timm

        torch.manual_seed(0)
        self.model = timm.create_model(name, num_classes=10).to(device)
        self.engine = Engine(device, precision).compiling(compiler)
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-4)

    def train(self, x, y):
        self.model.train()
        loss = torch.nn.functional.cross_entropy(self.engine.forward(self.model, x), y)
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad()

    def look(self, x, y):
        self.model.eval()
        with torch.no_grad():
            self.engine.forward(self.model, x)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, default in (("size", 96), ("bs", 16), ("rounds", 5), ("steps", 6)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--models", nargs="*", default=["resnet18", "mobilenetv3_small_100"])
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--cost-only", action="store_true")
    given = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    x = torch.randn(given.bs, 3, given.size, given.size, device=device)
    y = torch.from_numpy(np.arange(given.bs) % 10).to(device)
    compiler = Compiler(device, "default", "inductor")
    for name in given.models:
        ways = {
            "as it is": Way(name, device, given.precision, None),
            "compiled": Way(name, device, given.precision, compiler),
        }
        for kind in ("train", "look"):

            def step(way, kind=kind):
                getattr(way, kind)(x, y)

            first = {how: timed(lambda way=way: step(way), device) for how, way in ways.items()}
            wall, cpu = first["compiled"]
            told = f"{name} {kind}: first compiled step {wall:.1f} s ({cpu:.1f} s of the processor)"
            print(told, flush=True)
            if given.cost_only:
                continue
            found = {how: [] for how in ways}
            for _ in range(given.rounds):
                for how, way in ways.items():
                    for _ in range(given.steps):
                        found[how].append(timed(lambda way=way: step(way), device))
            column = 0 if device.type == "cuda" else 1
            typical = {h: statistics.median(row[column] for row in f) for h, f in found.items()}
            plain, made = typical["as it is"], typical["compiled"]
            pays = cpu / (plain - made) if made < plain else float("inf")
            print(
                f"{name} {kind}: {plain:.4f} s a step as it is, {made:.4f} compiled, ratio "
                f"{made / plain:.2f}; pays after {pays:,.0f} steps",
                flush=True,
            )
    if not given.cost_only:
        print("again, in a fresh process:", flush=True)
        subprocess.run([sys.executable, *sys.argv, "--cost-only"], check=True)


if __name__ == "__main__":
    main()
