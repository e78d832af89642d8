"""IMDB: is a film review good or bad? A language model first, then a classifier on its encoder.

python examples/imdb.py                       # on reviews put together from phrases
python examples/imdb.py --data imdb/texts.csv # columns label, text and, if you like, is_valid
"""

import pathlib

import typer

from onecycle import (
    Path,
    TextList,
    language_model_learner,
    reviews_sample,
    text_classifier_learner,
    write_site,
)
from onecycle.data.tables import read_table


def main(
    data: pathlib.Path | None = None,
    out: pathlib.Path = Path("imdb"),
    quick: bool = False,
    weights: str = "small",
) -> Path:
    """Train, export, and write the site into out/site."""
    n, bs, epochs = (64, 8, 1) if quick else (2000, 32, 3)
    options = {"pretrained": weights, "drop_mult": 0.3}
    if quick or not weights:  # from nothing
        options = {"pretrained": False, "config": {"emb_sz": 100, "n_hid": 200, "n_layers": 2}}
    table = data or reviews_sample(out / "data", n) / "texts.csv"
    held = "is_valid" in read_table(table).columns

    def texts(**more):
        listed = TextList.from_csv(table.parent, table.name, cols="text", **more)
        return listed.split_from_df("is_valid") if held else listed.split_by_rand_pct(0.2, seed=42)

    language = language_model_learner(texts().label_for_lm().databunch(bs=bs), **options)
    language.unfreeze().fit_one_cycle(epochs, 5e-3, moms=(0.8, 0.7))
    encoder = (out / "encoder").absolute()
    language.save_encoder(encoder)
    bunch = texts(vocab=language.vocab).label_from_df("label").databunch(bs=bs)
    learn = text_classifier_learner(bunch, pretrained=f"{encoder}.safetensors", drop_mult=0.3)
    for depth, rates in ((-1, slice(2e-2)), (-2, slice(1e-2 / 2.6**2, 1e-2))):
        learn.freeze_to(depth)
        learn.fit_one_cycle(1, rates, moms=(0.8, 0.7))
    learn.unfreeze()
    learn.fit_one_cycle(epochs, slice(5e-3 / 2.6**2, 1e-2), moms=(0.8, 0.7))
    model = learn.export((out / "reviews.onnx").absolute())
    return write_site(model, out / "site", title="Did they like the film?")


if __name__ == "__main__":
    typer.run(main)
