"""`onecycle demo imdb`: a language model, fine-tuned on film reviews, then a classifier."""

from collections.abc import Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

import torch

from onecycle.cli.plots import stage_table
from onecycle.core.plot import save_figure
from onecycle.interpret.classification import ClassificationInterpretation
from onecycle.interpret.words import word_scores
from onecycle.samples.reviews import reviews_sample
from onecycle.text.learner import language_model_learner, text_classifier_learner
from onecycle.text.lists import TextList

Stage = tuple[str, int | None, int, slice]  # name, freeze_to (None: all trained), epochs, rates
STAGES: tuple[Stage, ...] = (
    ("head", -1, 1, slice(2e-2)),
    ("last layer", -2, 1, slice(1e-2 / 2.6**2, 1e-2)),
    ("all layers", None, 5, slice(5e-3 / 2.6**2, 1e-2)),
)
REVIEW = "Although the plot was great, the acting is far from clever. The ending was dull."


def imdb(  # long: the stages of a lesson, one after the other
    out: Path,
    reviews: int,
    seed: int,
    lm_epochs: int = 2,
    stages: Sequence[Stage] = STAGES,
    pretrained: bool | str = "small",
) -> dict[str, dict[str, float]]:
    """Write the reviews, train through all stages, export the classifier; returns the stages."""
    start = perf_counter()
    torch.manual_seed(seed)
    root = reviews_sample(out / "data" / f"reviews-{reviews}", n=reviews, seed=seed)
    print(f"{reviews} reviews written to {root}")
    texts: Any = TextList.from_csv(root, "texts.csv", cols="text").split_from_df("is_valid")
    language = language_model_learner(
        texts.label_for_lm().databunch(bs=32, seed=seed), pretrained=pretrained, drop_mult=0.3
    )
    print("\nlanguage model")
    language.unfreeze().fit_one_cycle(lm_epochs, 5e-3, moms=(0.8, 0.7))
    print(language.predict("I thought the acting", n_words=12, seed=seed))
    language.save_encoder((out / "encoder").absolute())
    same = TextList.from_csv(root, "texts.csv", cols="text", vocab=language.vocab)
    data = same.split_from_df("is_valid").label_from_df("label").databunch(bs=32, seed=seed)
    learn = text_classifier_learner(
        data, pretrained=str(out / "encoder.safetensors"), drop_mult=0.3
    )
    rows = {}
    for name, depth, epochs, rates in stages:
        print(f"\n{name}")
        learn.unfreeze() if depth is None else learn.freeze_to(depth)
        learn.fit_one_cycle(epochs, rates, moms=(0.8, 0.7))
        rows[name] = learn.history[-1]
    print(stage_table(rows))
    found = ClassificationInterpretation.from_learner(learn)
    save_figure(found.plot_confusion_matrix(), out / "confusion.png")
    save_figure(learn.recorder.plot_losses(), out / "losses.png")
    data.show_batch(10).save(out / "batch.html")
    found.plot_top_losses(10).save(out / "worst.html")
    word_scores(learn, REVIEW).save(out / "words.html")
    learn.save((out / "model").absolute(), with_opt=False)
    file = learn.export((out / "reviews.onnx").absolute())
    print(f"{REVIEW}\n  {learn.predict(REVIEW)[0]}")
    print(f"model and plots are in {out} ({perf_counter() - start:.0f} s in all). Next:")
    print(f"  onecycle site {file} site")
    return rows
