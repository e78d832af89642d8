"""Distances of series for 1-NN, and a check of them against aeon.

    PYTHON_WITH_AEON benchmarks/nearest.py FOLDER

FOLDER holds the UCR and UEA sets. Prints the largest relative difference from aeon's distances on
random walks, and aeon's own 1-NN accuracy on the sets.
"""

import sys
from pathlib import Path

import numpy as np


def euclid(x, one):
    return ((x - one) ** 2).sum((1, 2))


def dtw(x, one):
    """Distances (n,) of series (n, c, t) to `one` (c, t) without a window, by anti-diagonals."""
    cost = ((x[:, :, :, None] - one[None, :, None, :]) ** 2).sum(1)
    n, a, b = cost.shape
    total = np.full((n, a + 1, b + 1), np.inf)
    total[:, 0, 0] = 0
    for d in range(a + b - 1):
        i = np.arange(max(0, d - b + 1), min(a, d + 1))
        j = d - i
        best = np.minimum(total[:, i, j + 1], np.minimum(total[:, i + 1, j], total[:, i, j]))
        total[:, i + 1, j + 1] = cost[:, i, j] + best
    return total[:, a, b]


def sides(folder):
    """(series (n, c, t), labels) of the training and of the test side, read without onecycle."""
    from aeon.datasets import load_from_ts_file

    for side in ("TRAIN", "TEST"):
        (file,) = folder.glob(f"*_{side}.*")
        if file.suffix == ".ts":
            yield load_from_ts_file(str(file))
        else:
            rows = np.loadtxt(file, delimiter="\t")
            yield rows[:, None, 1:], rows[:, 0]


def main():
    from aeon.classification.distance_based import KNeighborsTimeSeriesClassifier
    from aeon.distances import dtw_distance

    rng, apart = np.random.default_rng(0), []
    for channels, steps in ((1, 5), (1, 40), (3, 17), (6, 100)):
        x = rng.normal(size=(8, channels, steps)).cumsum(2)
        for one in x:
            theirs = np.array([dtw_distance(other, one) for other in x])
            apart.append(np.abs(dtw(x, one) - theirs).max() / theirs.max())
    print(f"largest relative difference {max(apart):.1e}")
    for folder in sorted(p for p in Path(sys.argv[1]).iterdir() if p.is_dir()):
        (x, y), (test, true) = sides(folder)
        model = KNeighborsTimeSeriesClassifier(distance="dtw").fit(x, y)
        print(f"{folder.name}: {model.score(test, true):.3f}")


if __name__ == "__main__":
    main()
