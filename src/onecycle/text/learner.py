"""Language models and the classifiers made of their encoders: learners in one call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from os import PathLike
from typing import Any
from warnings import warn

import numpy as np
import torch

from onecycle.core.arguments import require_number, require_share, require_whole
from onecycle.core.errors import ModelError, OnecycleWarning, UsageError
from onecycle.data.databunch import DataBunch
from onecycle.data.task import Task
from onecycle.learn.callbacks import ActivationRegularization, GradientClipping
from onecycle.learn.metrics import accuracy
from onecycle.models.awd_lstm import (
    AWD_LSTM,
    CLASSIFIER_DROPOUTS,
    LM_DROPOUTS,
    LanguageModel,
    TextClassifier,
    dropouts,
)
from onecycle.models.groups import modes_kept
from onecycle.models.transformer import TransformerClassifier
from onecycle.runtime.inputs.subwords import encode_texts, pieces_of, uncut
from onecycle.runtime.inputs.text import text_of
from onecycle.text.columns import warn_of_long
from onecycle.text.learners import LanguageLearner, TextLearner, usual_metrics
from onecycle.text.pretrained import Encoder, Sizes, find_encoder


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
    but False where `config` gives sizes, since the published weights have their own. `alpha` and
    `beta` weigh the penalties of `ActivationRegularization`, `clip` bounds the norm of the
    gradients (None or 0: not at all); `callbacks` come beside these.
    """
    _wants(data, True)
    if clip is not None:
        require_number("clip", clip, 0)
    given, sizes = _begun(data, arch, pretrained, LM_DROPOUTS, drop_mult, config)
    output_p = sizes.pop("output_p")
    chunked = learner_options.get("loss_func") is None  # a loss of the user's wants logits
    model = LanguageModel(arch(data.c, **sizes), output_p, chunked)
    callbacks = [ActivationRegularization(alpha, beta), *([GradientClipping(clip)] if clip else [])]
    callbacks += learner_options.pop("callbacks", ())
    options = {"metrics": [accuracy], **learner_options}
    learner = LanguageLearner(data, model, callbacks=callbacks, **options)
    if given is not None:
        learner.use_encoder(given, *_origin(pretrained))
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

    Texts are read in windows of `bptt` tokens; of those with more than `max_len`, the maximum and
    the mean that the head sees are of the last `max_len` (a warning counts them).

    `arch` may be the name or folder of a Hugging Face model: the texts are then numbered by that
    model's own tokenizer, cut at `max_len` tokens or what the model takes (a warning counts
    them), and its weights and its own dropouts are used: `config`, `bptt` and `pretrained` are
    refused, and `drop_mult` is that of the head.
    `pretrained` is as for `language_model_learner`.
    `lin_ftrs` (50,) are the widths inside the head, `ps` the dropout after each (0.1); before the
    first it is output_p * drop_mult.
    """
    _wants(data, False)
    widths, rates = _head(lin_ftrs, ps)
    require_whole("bptt", bptt)
    require_whole("max_len", max_len)
    if isinstance(arch, str | PathLike):
        if arch == AWD_LSTM.__name__:
            raise UsageError("AWD_LSTM is a class: leave its quotes out")
        given = {"config": config, "pretrained": pretrained, "bptt": None if bptt == 70 else bptt}
        useless = [name for name, value in given.items() if value is not None]
        if useless:
            raise UsageError(
                f"{useless[0]} belongs to an AWD-LSTM; {str(arch)!r} has its own: leave it out"
            )
        pass

        first = dropouts(CLASSIFIER_DROPOUTS, require_number("drop_mult", drop_mult))["output_p"]
        head = (require_share("output_p * drop_mult", first, "what is dropped"), *rates)
        return transformer_learner(data, str(arch), max_len, widths, head, **learner_options)
    encoder, sizes = _begun(data, arch, pretrained, CLASSIFIER_DROPOUTS, drop_mult, config)
    output_p = sizes.pop("output_p")
    made = arch(len(data.task.input.vocab), **sizes)
    model = TextClassifier(made, data.c, widths, (output_p, *rates), bptt, max_len)
    learner = TextLearner(data, model, **{"metrics": usual_metrics(data), **learner_options})
    if encoder is not None:
        learner.use_encoder(encoder, *_origin(pretrained))
    warn_of_long(data, max_len, "maximum and mean are over the last of them alone")
    return learner


def _head(
    lin_ftrs: Sequence[int] | int | None, ps: Sequence[float] | float | None
) -> tuple[list[int], list[float]]:
    """The widths inside the head, and the dropout after each."""
    widths = [50] if lin_ftrs is None else np.atleast_1d(np.asarray(lin_ftrs, object)).tolist()
    rates = [0.1] * len(widths) if ps is None else np.atleast_1d(np.asarray(ps, object)).tolist()
    if len(rates) != len(widths):
        raise UsageError(f"each of lin_ftrs has its own of ps: {widths}, {rates}")
    return (
        [require_whole("each of lin_ftrs", width) for width in widths],
        [require_share("each of ps", rate, "what is dropped") for rate in rates],
    )


def _origin(pretrained: bool | str | None) -> tuple[str, bool]:
    """What an encoder is called in messages, and whether it was made for any texts."""
    named = True if pretrained is None else pretrained
    return f"pretrained={named!r}", named in (True, "small")


def _wants(data: DataBunch, stream: bool) -> None:
    """UsageError for data that was made for the other kind of learner, or is of no texts."""
    if data.task.input.stream is stream:
        return
    made, other = "a language model", "a classifier"
    here, there = (made, other) if stream else (other, made)
    if data.task.input.stream is None:
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
    rates = dropouts(defaults, require_number("drop_mult", drop_mult))
    sizes, config = Sizes().config(), {} if config is None else config
    wrong = [name for name in config if name not in {**rates, **sizes}]
    if wrong:
        raise UsageError(f"config knows no {wrong[0]!r}: it has {', '.join({**rates, **sizes})}")
    merged = {**rates, **sizes, **config}
    for name, value in merged.items():
        if name in sizes:
            require_whole(name, value)
        else:  # of inputs that are dropped altogether nothing would be left to learn from
            require_share(name, value, "what is dropped")
    if pretrained is None:
        pretrained = not {*sizes} & {*config}
    if pretrained is True and spec.tokenizer:
        raise UsageError(
            "the published model knows words, this data's tokenizer makes subwords: say "
            "pretrained=False, or name an encoder that was trained with this tokenizer"
        )
    given = None if pretrained is False else find_encoder(pretrained, spec.backwards)
    fitted = {} if given is None else given.sizes.config()
    fitted |= {} if spec.padding == 1 else {"padding": spec.padding}
    return given, {**merged, **fitted, **config}


# Hugging Face models as encoders of a classifier, with their own tokenizers.


def transformer_learner(
    data: DataBunch,
    name: str,
    max_len: int,
    lin_ftrs: Sequence[int],
    ps: Sequence[float],
    **learner_options: Any,
) -> Any:
    """A classifier on any `AutoModel`: a name is fetched once by Hugging Face, a folder is read.

    Nothing of the model's repository is run (`trust_remote_code` stays off). A warning counts the
    texts that are cut.
    """
    if data.task.input.backwards:  # type: ignore[attr-defined]
        raise UsageError(f"{name!r} reads forwards: make the data without backwards=True")
    body, tokenizer = _loaded(name)
    limit = int(min(max_len, tokenizer.model_max_length, _positions(body)))
    told = _as_json(tokenizer, limit)
    given: Any = replace(data.task.input, tokenizer=told, vocab=pieces_of(told), stream=False)  # type: ignore[call-arg]
    renumbered = data.with_task(Task(given, data.task.target))
    width = body.config.hidden_size
    model = TransformerClassifier(body, width, data.c, given.padding, lin_ftrs, ps)
    learner = TextLearner(renumbered, model, **{"metrics": usual_metrics(data), **learner_options})
    _warn_of_cut(renumbered, limit)
    return learner.freeze()


def _warn_of_cut(data: DataBunch, limit: int) -> None:
    """Count the texts of all sides that have more tokens than the model takes."""
    given: Any = data.task.input
    sides = [side for side in (data.src.train, data.src.valid, data.src.test) if side is not None]
    full = [
        text_of(side.items[int(i)])
        for side in sides
        for i in np.flatnonzero(given.numbered(side.items).lengths >= limit)
    ]
    found = encode_texts(uncut(given.tokenizer), full) if full else []
    long = [len(ids) for ids in found if len(ids) > limit]
    if long:
        warn(
            f"{len(long)} of {sum(map(len, sides))} texts have more tokens than the {limit} that "
            f"are read (up to {max(long)}): what follows is cut off. max_len= decides, as far as "
            "the model goes; or cut the texts in parts yourself",
            OnecycleWarning,
            stacklevel=4,
        )


def _positions(body: Any) -> float:
    """How many tokens the model has positions for; some count them from behind the padding's."""
    said = getattr(body.config, "max_position_embeddings", None) or 0
    table = getattr(getattr(body, "embeddings", None), "position_embeddings", None)
    reserved = getattr(table, "padding_idx", None)
    return said - (0 if reserved is None else reserved + 1) if said > 0 else float("inf")


def _loaded(name: str) -> tuple[Any, Any]:
    try:
        from transformers import AutoModel, AutoTokenizer
    except ImportError as error:
        raise UsageError(
            "Hugging Face models need the package transformers: pip install 'onecycle[text]'"
        ) from error
    try:
        tokenizer = AutoTokenizer.from_pretrained(name, use_fast=True)
        body = AutoModel.from_pretrained(name, use_safetensors=True)
    except (OSError, ValueError) as error:
        raise ModelError(f"{name!r}: no Hugging Face model that can be read: {error}") from error
    body = body.get_encoder() if body.config.is_encoder_decoder else body
    try:
        with modes_kept(body), torch.no_grad():
            features = body.eval()(input_ids=torch.tensor([[0, 1]])).last_hidden_state
        assert features.shape == (1, 2, body.config.hidden_size)
    except Exception as error:  # whatever this architecture wants
        raise ModelError(
            f"{name!r}: {type(body).__name__} gives no features of tokens ({error}): choose an "
            "encoder such as DistilBERT"
        ) from error
    return body, tokenizer


def _as_json(tokenizer: Any, limit: int) -> str:
    """The tokenizer with its padding, cutting texts at `limit` tokens."""
    fast = getattr(tokenizer, "backend_tokenizer", None)
    if fast is None or tokenizer.pad_token_id is None:
        raise ModelError(
            f"{type(tokenizer).__name__} has no JSON form, or no token to pad with: choose a model "
            "with a fast tokenizer and a padding token"
        )
    fast.enable_truncation(limit)
    fast.enable_padding(pad_id=tokenizer.pad_token_id, pad_token=tokenizer.pad_token)
    return str(fast.to_str())
