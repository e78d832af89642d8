"""Language models and the classifiers made of their encoders: learners in one call."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from os import PathLike
from typing import Any, Unpack

import numpy as np
import torch

from onecycle.core.errors import (
    ModelError,
    UsageError,
    require_number,
    require_share,
    require_whole,
    warn,
)
from onecycle.data.databunch import DataBunch
from onecycle.data.task import Task
from onecycle.learn.callbacks import ActivationRegularization, GradientClipping
from onecycle.learn.metrics import accuracy
from onecycle.learn.options import LearnerOptions
from onecycle.models import awd_lstm, groups
from onecycle.models.awd_lstm import AWD_LSTM
from onecycle.models.head import TransformerClassifier
from onecycle.runtime.inputs.subwords import encode_texts, pieces_of, uncut
from onecycle.runtime.inputs.text import text_of
from onecycle.text.columns import sides_of, warn_of_long
from onecycle.text.learners import LanguageLearner, TextLearner
from onecycle.text.pretrained import SIZES, Encoder, find_encoder


def language_model_learner(
    data: DataBunch,
    arch: Callable[..., AWD_LSTM] = AWD_LSTM,
    config: dict[str, Any] | None = None,
    drop_mult: float = 1.0,
    pretrained: bool | str | None = None,
    clip: float | None = None,
    alpha: float = 2.0,
    beta: float = 1.0,
    **learner_options: Unpack[LearnerOptions],
) -> LanguageLearner:
    """A language model on `data` (of `label_for_lm`).

    `config` are the encoder's sizes (emb_sz, n_hid, n_layers) and dropouts; `drop_mult` multiplies
    all dropouts. `pretrained` is True (the published WT103 model, downloaded), False, "small"
    (comes with the package) or the path of an encoder that `save_encoder` wrote; None means True,
    but False where `config` gives sizes, since the published weights have their own. `alpha` and
    `beta` weigh the penalties of `ActivationRegularization`, `clip` bounds the norm of the
    gradients (None or 0: not at all); `callbacks` come beside these.
    """
    _require_data(data, stream=True)
    if clip is not None:
        require_number("clip", clip, 0)
    encoder, sizes = _sizes(data, arch, pretrained, awd_lstm.LM_DROPOUTS, drop_mult, config)
    output_p = sizes.pop("output_p")
    chunked = learner_options.get("loss_func") is None  # a loss of the user's wants logits
    model = awd_lstm.LanguageModel(arch(data.c, **sizes), output_p, chunked)
    callbacks = [ActivationRegularization(alpha, beta), *([GradientClipping(clip)] if clip else [])]
    callbacks += learner_options.pop("callbacks", ())
    learner = _learner(LanguageLearner, data, model, callbacks=callbacks, **learner_options)
    if encoder is not None:
        learner.use_encoder(encoder, *_origin(pretrained))
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
    **learner_options: Unpack[LearnerOptions],
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
    _require_data(data, stream=False)
    widths, rates = _head(lin_ftrs, ps)
    require_whole("bptt", bptt)
    require_whole("max_len", max_len)
    defaults = awd_lstm.CLASSIFIER_DROPOUTS
    if isinstance(arch, str | PathLike):
        if arch == AWD_LSTM.__name__:
            raise UsageError("AWD_LSTM is a class: leave its quotes out")
        given = {"config": config, "pretrained": pretrained, "bptt": None if bptt == 70 else bptt}
        useless = [name for name, value in given.items() if value is not None]
        if useless:
            raise UsageError(
                f"{useless[0]} belongs to an AWD-LSTM; {str(arch)!r} has its own: leave it out"
            )
        first = defaults["output_p"] * require_number("drop_mult", drop_mult)
        rates.insert(0, require_share("output_p * drop_mult", first, "what is dropped"))
        return _transformer_learner(data, str(arch), max_len, widths, rates, learner_options)
    encoder, sizes = _sizes(data, arch, pretrained, defaults, drop_mult, config)
    rates.insert(0, sizes.pop("output_p"))
    body = arch(len(data.task.input.vocab), **sizes)
    model = awd_lstm.TextClassifier(body, data.c, widths, rates, bptt, max_len)
    learner = _learner(TextLearner, data, model, **learner_options)
    if encoder is not None:
        learner.use_encoder(encoder, *_origin(pretrained))
    warn_of_long(data, max_len)
    return learner


def _learner(kind: Any, data: DataBunch, model: Any, **options: Any) -> Any:
    """A learner with the accuracy as its metric, where there is one class a text or token."""
    suited = ("accuracy", {}) in data.task.target.suited_metrics
    return kind(data, model, **{"metrics": [accuracy] if suited else [], **options})


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


def _require_data(data: DataBunch, stream: bool) -> None:
    """UsageError for data that was made for the other kind of learner, or is of no texts."""
    found = data.task.input.stream
    if found is stream:
        return
    names = {True: "a language model", False: "a classifier"}
    if found is None:
        raise UsageError(f"{names[stream]} of texts needs data of texts, not {data!r}")
    factory = "text_classifier_learner" if stream else "language_model_learner"
    raise UsageError(
        f"this data is made for {names[found]}, not for {names[stream]}: use {factory}, or make "
        "the data with "
        + ("label_for_lm() or TextLMDataBunch" if stream else "labels, or TextClasDataBunch")
    )


def _sizes(
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
    config = config or {}
    usual = {**awd_lstm.dropouts(defaults, require_number("drop_mult", drop_mult)), **SIZES}
    wrong = [name for name in config if name not in usual]
    if wrong:
        raise UsageError(f"config knows no {wrong[0]!r}: it has {', '.join(usual)}")
    for name, value in {**usual, **config}.items():
        if name in SIZES:
            require_whole(name, value)
        else:  # of inputs that are dropped altogether nothing would be left to learn from
            require_share(name, value, "what is dropped")
    if pretrained is None:
        pretrained = not {*SIZES} & {*config}
    if pretrained is True and spec.tokenizer:
        raise UsageError(
            "the published model knows words, this data's tokenizer makes subwords: say "
            "pretrained=False, or name an encoder that was trained with this tokenizer"
        )
    given = None if pretrained is False else find_encoder(pretrained, spec.backwards)
    fitted = {} if given is None else given.sizes
    fitted |= {} if spec.padding == 1 else {"padding": spec.padding}
    return given, {**usual, **fitted, **config}


# Hugging Face models as encoders of a classifier, with their own tokenizers.


def _transformer_learner(
    data: DataBunch,
    name: str,
    max_len: int,
    lin_ftrs: Sequence[int],
    ps: Sequence[float],
    learner_options: LearnerOptions,
) -> Any:
    """A classifier on any `AutoModel`: a name is fetched once by Hugging Face, a folder is read.

    Nothing of the model's repository is run (`trust_remote_code` stays off). A warning counts the
    texts that are cut.
    """
    given: Any = data.task.input
    if given.backwards:
        raise UsageError(f"{name!r} reads forwards: make the data without backwards=True")
    body, tokenizer = _load(name)
    limit = int(min(max_len, tokenizer.model_max_length, _positions(body)))
    subwords = _as_json(tokenizer, limit)
    given = replace(given, tokenizer=subwords, vocab=pieces_of(subwords), stream=False)
    renumbered = data.with_task(Task(given, data.task.target))
    width = body.config.hidden_size
    model = TransformerClassifier(body, width, data.c, given.padding, lin_ftrs, ps)
    learner = _learner(TextLearner, renumbered, model, **learner_options)
    _warn_of_cut(renumbered, limit)
    return learner.freeze()


def _warn_of_cut(data: DataBunch, limit: int) -> None:
    """Count the texts of all sides that have more tokens than the model takes."""
    given: Any = data.task.input
    sides = sides_of(data)
    full = [
        text_of(side.items[int(i)])
        for side in sides
        for i in np.flatnonzero(given.to_ids(side.items).lengths >= limit)
    ]
    found = encode_texts(uncut(given.tokenizer), full) if full else []
    long = [len(ids) for ids in found if len(ids) > limit]
    if long:
        message = (
            f"{len(long)} of {sum(map(len, sides))} texts have more tokens than the {limit} that "
            f"are read (up to {max(long)}): what follows is cut off. max_len= decides, as far as "
            "the model goes; or cut the texts in parts yourself"
        )
        warn(message, 4)


def _positions(body: Any) -> float:
    """How many tokens the model has positions for; some count them from behind the padding's."""
    count = getattr(body.config, "max_position_embeddings", None) or 0
    table = getattr(getattr(body, "embeddings", None), "position_embeddings", None)
    reserved = getattr(table, "padding_idx", None)
    return count - (0 if reserved is None else reserved + 1) if count > 0 else float("inf")


def _load(name: str) -> tuple[Any, Any]:
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
        with groups.modes_kept(body), torch.no_grad():
            ids = torch.tensor([[0, 1]])
            found = body.eval()(input_ids=ids, attention_mask=torch.ones_like(ids))
            features = found.last_hidden_state
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
