"""Hugging Face models as encoders of a classifier, with their own tokenizers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from warnings import warn

import numpy as np
import torch

from onecycle.core.errors import ModelError, OnecycleWarning, UsageError
from onecycle.data.databunch import DataBunch
from onecycle.data.task import Task
from onecycle.deploy.feeds import text_of
from onecycle.models.modes import modes_kept
from onecycle.models.transformer import TransformerClassifier
from onecycle.spec.subwords import encoded, pieces_of, uncut
from onecycle.text.text_learner import TextLearner, usual_metrics


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
    given: Any = replace(data.task.input, tokenizer=told, vocab=pieces_of(told), stream=False)  # type: ignore[type-var]
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
    found = encoded(uncut(given.tokenizer), full) if full else []
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
