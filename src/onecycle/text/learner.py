"""Language models and the classifiers made of their encoders: learners in one call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from numbers import Integral
from os import PathLike
from typing import Any

import numpy as np

from onecycle.core.errors import UsageError
from onecycle.data.databunch import DataBunch
from onecycle.learn.callbacks.activations import ActivationRegularization
from onecycle.learn.callbacks.gradients import GradientClipping
from onecycle.learn.metrics import accuracy
from onecycle.models.awd_lstm import (
    AWD_LSTM,
    CLASSIFIER_DROPOUTS,
    LM_DROPOUTS,
    LanguageModel,
    TextClassifier,
    dropouts,
)
from onecycle.text.language_learner import LanguageLearner
from onecycle.text.pretrained import (
    Encoder,
    Sizes,
    find_encoder,
)
from onecycle.text.text_learner import TextLearner, usual_metrics


def language_model_learner(
    data: DataBunch,
    arch: Callable[..., AWD_LSTM] = AWD_LSTM,
    config: dict[str, Any] | None = None,
    drop_mult: float = 1.0,
    pretrained: bool | str | None = None,
    clip: float | None = None,
    alpha: float = 2.0,
    beta: float = 1.0,
    **learner_options: Any,
) -> LanguageLearner:
    """A language model on `data` (of `label_for_lm`).

    `config` are the encoder's sizes (emb_sz, n_hid, n_layers) and dropouts; `drop_mult` multiplies
    all dropouts. `pretrained` is True (the published WT103 model, downloaded), False, "small"
    (comes with the package) or the path of an encoder that `save_encoder` wrote; None means True,
    but False where `config` gives sizes, since the published weights have their own.
    """
    _wants(data, True)
    given, sizes = _begun(data, arch, pretrained, LM_DROPOUTS, drop_mult, config)
    output_p = sizes.pop("output_p")
    chunked = learner_options.get("loss_func") is None  # a loss of the user's wants logits
    model = LanguageModel(arch(data.c, **sizes), output_p, chunked)
    callbacks = [ActivationRegularization(alpha, beta), *([GradientClipping(clip)] if clip else [])]
    options = {"metrics": [accuracy], "callbacks": callbacks, **learner_options}
    learner = LanguageLearner(data, model, **options)
    if given is not None:
        learner.use_encoder(given, f"pretrained={pretrained or True!r}")
    return learner


def text_classifier_learner(
    data: DataBunch,
    arch: Callable[..., AWD_LSTM] | str | PathLike[str] = AWD_LSTM,
    bptt: int = 70,
    max_len: int = 1400,
    config: dict[str, Any] | None = None,
    pretrained: bool | str | None = None,
    drop_mult: float = 1.0,
    lin_ftrs: Sequence[int] | int | None = None,
    ps: Sequence[float] | float | None = None,
    **learner_options: Any,
) -> TextLearner:
    """A classifier on an encoder; `load_encoder` gives it a language model's.

    `arch` may be the name or folder of a Hugging Face model: the texts are then numbered by that
    model's own tokenizer, cut at `max_len` tokens or what the model takes, and its weights are
    used (`config`, `bptt` and `pretrained` are not).
    `pretrained` is as for `language_model_learner`.
    `lin_ftrs` (50,) are the widths inside the head, `ps` the dropout after each (0.1); before the
    first it is output_p * drop_mult.
    """
    _wants(data, False)
    lin_ftrs = [50] if lin_ftrs is None else [*np.atleast_1d(lin_ftrs).tolist()]
    ps = [0.1] * len(lin_ftrs) if ps is None else [*np.atleast_1d(ps).tolist()]
    if len(ps) != len(lin_ftrs) or max_len < 1 or bptt < 1:
        raise UsageError(
            f"each of lin_ftrs has its own of ps, bptt and max_len are 1 or more: {lin_ftrs}, "
            f"{ps}, {bptt}, {max_len}"
        )
    if isinstance(arch, str | PathLike):
        if arch == AWD_LSTM.__name__:
            raise UsageError("AWD_LSTM is a class: leave its quotes out")
        from onecycle.text.transformers import transformer_learner

        head = (CLASSIFIER_DROPOUTS["output_p"] * drop_mult, *ps)
        return transformer_learner(data, str(arch), max_len, lin_ftrs, head, **learner_options)
    given, sizes = _begun(data, arch, pretrained, CLASSIFIER_DROPOUTS, drop_mult, config)
    output_p = sizes.pop("output_p")
    encoder = arch(len(data.task.input.vocab), **sizes)  # type: ignore[attr-defined]
    model = TextClassifier(encoder, data.c, lin_ftrs, (output_p, *ps), bptt, max_len)
    learner = TextLearner(data, model, **{"metrics": usual_metrics(data), **learner_options})
    if given is not None:
        learner.use_encoder(given, f"pretrained={pretrained or True!r}")
    return learner


def _wants(data: DataBunch, stream: bool) -> None:
    """UsageError for data that was made for the other kind of learner, or is of no texts."""
    if getattr(data.task.input, "stream", None) is stream:
        return
    made, other = "a language model", "a classifier"
    here, there = (made, other) if stream else (other, made)
    if not hasattr(data.task.input, "stream"):
        raise UsageError(f"{here} of texts needs data of texts, not {data!r}")
    factory = "text_classifier_learner" if stream else "language_model_learner"
    raise UsageError(
        f"this data is made for {there}, not for {here}: use {factory}, or make the data with "
        + ("label_for_lm() or TextLMDataBunch" if stream else "labels, or TextClasDataBunch")
    )


def _begun(
    data: DataBunch,
    arch: Any,
    pretrained: bool | str | None,
    defaults: dict[str, float],
    drop_mult: float,
    config: dict[str, Any] | None,
) -> tuple[Encoder | None, dict[str, Any]]:
    """The pretrained encoder; dropouts, its sizes, and what the user says of either."""
    spec: Any = data.task.input
    if not callable(arch):
        raise UsageError(f"arch is a class like AWD_LSTM (without quotes), not {arch!r}")
    rates, sizes, config = dropouts(defaults, drop_mult), Sizes().config(), config or {}
    wrong = [name for name in config if name not in {**rates, **sizes}]
    if wrong:
        raise UsageError(f"config knows no {wrong[0]!r}: it has {', '.join({**rates, **sizes})}")
    merged = {**rates, **sizes, **config}
    for name, value in merged.items():
        if name in sizes and (not isinstance(value, Integral) or value < 1):
            raise UsageError(f"{name} is a whole number from 1 on, not {value!r}")
        if name in rates and not 0 <= value <= 1:
            raise UsageError(f"{name}, a share of what is dropped, is 0 to 1, not {value:g}")
    if pretrained is None:
        pretrained = not {*sizes} & {*config}
    if pretrained is True and spec.tokenizer:
        raise UsageError(
            "the published model knows words, this data's tokenizer makes subwords: say "
            "pretrained=False, or name an encoder that was trained with this tokenizer"
        )
    given = find_encoder(pretrained, spec.backwards) if pretrained else None
    fitted = {} if given is None else given.sizes.config()
    fitted |= {} if spec.padding == 1 else {"padding": spec.padding}
    return given, {**merged, **fitted, **config}
