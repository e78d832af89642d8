"""Series encoded in a second, against pyts on the same series, in one run.

One thread each; seconds of the processor, the best of 15: so others on the machine count little.

python benchmarks/encodings.py --peer PYTHON    (an interpreter that has pyts; it is slow to import)
"""

import argparse
import json
import os
import subprocess
from time import process_time

SHAPES = ((16, 150, 64), (256, 150, 64), (256, 286, 64), (64, 512, 224))  # series, steps, pixels
CODE = f"""
import json, sys, numpy as np
from time import process_time
from pyts.approximation import PiecewiseAggregateApproximation as Means
from pyts.image import GramianAngularField, MarkovTransitionField, RecurrencePlot
found = {{}}
for n, t, size in {SHAPES}:
    x = np.random.default_rng(0).normal(size=(n, t)).cumsum(1)
    means = Means(None, size, overlapping=False)
    ways = dict(
        GASF=GramianAngularField(size, method="summation").transform,
        GADF=GramianAngularField(size, method="difference").transform,
        MTF=MarkovTransitionField(size, n_bins=8).transform,
        recurrence=lambda x: RecurrencePlot().transform(means.transform(x)),
    )
    for name, way in ways.items():
        way(x)
        best = 1e9
        for _ in range(15):
            start = process_time(); way(x); best = min(best, process_time() - start)
        found[f"{{name}} {{n}} {{t}} {{size}}"] = n / best
json.dump(found, sys.stdout)
"""


def ours(dtype):
    """Series a second of each encoding and shape, the best of 15."""
    import numpy as np
    import torch

    from onecycle.series.encode import gadf, gasf, mtf, recurrence

    torch.set_num_threads(1)
    ways = {
        "GASF": gasf,
        "GADF": gadf,
        "MTF": lambda x, size: mtf(x, size, 8),
        "recurrence": recurrence,
    }
    found = {}
    for n, t, size in SHAPES:
        x = torch.from_numpy(np.random.default_rng(0).normal(size=(n, t)).cumsum(1)).to(dtype)
        for name, way in ways.items():
            way(x, size)
            best = 1e9
            for _ in range(15):
                start = process_time()
                way(x, size)
                best = min(best, process_time() - start)
            found[f"{name} {n} {t} {size}"] = n / best
    return found


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--peer", required=True, help="the python that has pyts")
    args = parser.parse_args()
    alone = {"OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(
        [args.peer, "-c", CODE], env={**os.environ, **alone}, capture_output=True, check=True
    )
    import torch

    peer, single, double = json.loads(done.stdout), ours(torch.float32), ours(torch.float64)
    print("| encoding | series, steps, pixels | ours, float32 | ours, float64 | pyts | ratio |")
    print("|---|---|---|---|---|---|")
    for key, theirs in peer.items():
        name, n, t, size = key.split()
        figures = f"{single[key]:,.0f} | {double[key]:,.0f} | {theirs:,.0f}"
        print(f"| {name} | {n}, {t}, {size} | {figures} | {double[key] / theirs:.1f} |")


if __name__ == "__main__":
    main()
