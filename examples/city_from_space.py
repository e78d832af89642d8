"""Your city from space: what is on a satellite tile, several tags at a time.

    python examples/city_from_space.py            # on drawn tiles
    python examples/city_from_space.py --data city/tiles.csv --folder tiles

The table says per row the file, its tags apart by blanks, and, if you like, `is_valid`: split by
area, as neighbouring tiles look alike and a random split flatters.
"""

import pathlib
from functools import partial

import typer

from onecycle.data.tables import read_table
from onecycle.interpret.classification import MultiLabelInterpretation
from onecycle.vision import *


def main(
    data: pathlib.Path | None = None,
    folder: str = "",
    out: pathlib.Path = Path("city"),
    quick: bool = False,
) -> Path:
    """Train, export, and write the site into out/site."""
    n, size, epochs = (40, 32, 1) if quick else (800, 128, 6)
    suffix = ""
    if data is None:
        drawn = planet_sample(out / "data", n, n_test=4, size=size * 4 // 3)
        data, folder, suffix = drawn / "train_v2.csv", "train-jpg", ".jpg"
    tiles = ImageList.from_csv(data.parent, data.name, folder=folder, suffix=suffix)
    has_column = "is_valid" in read_table(data).columns
    src = tiles.split_from_df("is_valid") if has_column else tiles.split_by_rand_pct(0.2, seed=42)
    # a tile has no upright: it may be flipped and turned, and is seen straight from above
    tfms = get_transforms(flip_vert=True, max_lighting=0.1, max_zoom=1.05, max_warp=0.0)
    bunch = src.label_from_df(label_delim=" ").transform(tfms, size=size).databunch(bs=32)
    scores = [partial(accuracy_thresh, thresh=0.5), partial(fbeta, thresh=0.2), average_precision]
    learn = cnn_learner(bunch.normalize(half_stats), "small", pretrained="small", metrics=scores)
    learn.fit_one_cycle(epochs, 1e-2)
    learn.unfreeze()
    learn.fit_one_cycle(2 * epochs, slice(1e-3, 5e-3))
    found = MultiLabelInterpretation.from_learner(learn)
    best = found.best_threshold(beta=1)  # a page should neither miss nor invent
    learn.with_threshold(best).metrics = partial(fbeta, thresh=best)
    print(found.per_label().round(3))
    model = learn.export((out / "city.onnx").absolute())
    return write_site(model, out / "site", title="Your city from space")


if __name__ == "__main__":
    typer.run(main)
