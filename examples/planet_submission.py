"""Planet on Kaggle: fetch the competition, train, write submission.csv.

python examples/planet_submission.py data        # needs Kaggle credentials
python examples/planet_submission.py data drawn  # on drawn tiles
"""

import sys
from functools import partial

from onecycle import Path
from onecycle.data.kaggle import fetch_competition
from onecycle.vision import *

NAME = "planet-understanding-the-amazon-from-space"


def main(path: Path, arch=models.small, pretrained="small", epochs=4, size=128) -> Path:
    src = (
        ImageList.from_csv(path, "train_v2.csv", folder="train-jpg", suffix=".jpg")
        .split_by_rand_pct(0.2, seed=42)
        .label_from_df(label_delim=" ")
        .add_test(ImageList.from_folder(path / "test-jpg"))
    )
    tfms = get_transforms(flip_vert=True, max_lighting=0.1, max_zoom=1.05, max_warp=0.0)
    data = src.transform(tfms, size=size).databunch(bs=32).normalize(half_stats)
    data = data.with_threshold(0.2)
    f2 = partial(fbeta, thresh=0.2)
    learn = cnn_learner(data, arch, pretrained=pretrained, metrics=f2)
    learn.fit_one_cycle(epochs, slice(1e-2))
    learn.unfreeze()
    learn.fit_one_cycle(epochs, slice(1e-3, 5e-3))
    chances, _ = learn.get_preds(DatasetType.Test)
    rows = ["image_name,tags"]
    for file, row in zip(data.test_ds.items, chances, strict=True):
        tags = [c for c, chance in zip(data.classes, row, strict=True) if chance > 0.2]
        rows.append(f"{file.stem},{' '.join(tags)}")
    to = path / "submission.csv"
    to.write_text("\n".join(rows) + "\n")
    return to


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    drawn = sys.argv[2:] == ["drawn"]
    found = planet_sample(folder / "drawn") if drawn else fetch_competition(NAME, folder)
    print(f"now: onecycle kaggle {NAME} --submit {main(found)}")
