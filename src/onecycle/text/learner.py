"""Language models and the classifiers made of their encoders."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from numbers import Integral
from os import PathLike
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from onecycle.core.errors import CheckpointError, UsageError
from onecycle.core.table import Table
from onecycle.data.databunch import DataBunch, DatasetType
from onecycle.data.targets import Category
from onecycle.learn import loop
from onecycle.learn.callbacks.activations import ActivationRegularization
from onecycle.learn.callbacks.gradients import GradientClipping
from onecycle.learn.checkpoint import checkpoint_path
from onecycle.learn.learner import Learner
from onecycle.learn.metrics import accuracy
from onecycle.learn.predictions import Predictions
from onecycle.models.awd_lstm import (
    AWD_LSTM,
    CLASSIFIER_DROPOUTS,
    LM_DROPOUTS,
    LanguageModel,
    TextClassifier,
    dropouts,
)
from onecycle.models.chunked import Undecoded
from onecycle.models.modes import modes_kept
from onecycle.spec.words import BOS
from onecycle.text.pretrained import (
    Encoder,
    Sizes,
    find_encoder,
    read_encoder,
    reading_of,
    write_encoder,
)

_LEAST_KNOWN = 0.1  # of a vocabulary
_SHOWN = 20  # tokens


class TextLearner(Learner):
    """A learner on texts, whose encoder can be kept and used by another."""

    largest_kept = 2**25  # no two batches of a classifier have the same length

    def mixup(self, alpha: float = 0.4) -> Self:
        """Texts are numbers of tokens, of which there is no mixture."""
        raise UsageError("texts cannot be mixed: leave mixup() out")

    @property
    def vocab(self) -> tuple[str, ...]:
        """The vocabulary of the data."""
        return self.task.input.vocab  # type: ignore[attr-defined]

    @property
    def data(self) -> DataBunch:
        """The data; another DataBunch must number its texts as this one does."""
        return self._data

    @data.setter
    def data(self, other: DataBunch) -> None:
        ours, theirs = self.task.input.to_json(), other.task.input.to_json()
        differ = [k for k in ours if ours[k] != theirs.get(k)]
        if differ:
            raise UsageError(
                f"the other data's texts have another {differ[0]} than this model was made for, so "
                "that their numbers would mean other tokens: make the data with vocab=learn.vocab "
                "and the same tokenizer and direction"
            )
        Learner.data.fset(self, other)  # type: ignore[attr-defined]

    def save_encoder(self, name: str | Path) -> Path:
        """Write the encoder's weights and vocabulary to `path/model_dir/name.safetensors`."""
        if not hasattr(self.model, "encoder"):
            raise UsageError("an AWD-LSTM's encoder can be kept; keep this model with learn.save()")
        bias = getattr(self.model, "bias", None)
        path, reading = self._encoder_path(name), reading_of(self.task.input)
        return write_encoder(path, self.model.encoder, self.vocab, bias, reading=reading)  # type: ignore[arg-type]

    def load_encoder(self, name: str | Path) -> Self:
        """Read what `save_encoder` wrote, by token: words it did not know get its mean word.

        The learner is frozen to its head then. A vocabulary that shares less than a tenth with
        the encoder's is an error: the texts were tokenized otherwise, or are in another language.
        """
        path = self._encoder_path(name)
        return self.use_encoder(read_encoder(path), str(path))

    def use_encoder(self, given: Encoder, origin: str) -> Self:
        """As `load_encoder`, from an encoder in memory."""
        reading = reading_of(self.task.input)
        if given.reading != reading:
            raise CheckpointError(
                f"{origin} reads texts otherwise ({given.reading}) than this data ({reading}): "
                "make the data with the tokenizer= and backwards= that the encoder was trained with"
            )
        known = given.known(self.vocab)
        if known < _LEAST_KNOWN:
            raise CheckpointError(
                f"{origin} knows {known:.0%} of the {len(self.vocab)} tokens of these texts: it is "
                "of another language or tokenizer. Make the data with its vocabulary (vocab=), or "
                "choose another encoder"
            )
        fitted = given.for_vocab(self.vocab)
        own = self.model.encoder.state_dict()  # type: ignore[union-attr]
        tensors = fitted.tensors
        differ = [k for k in own if k not in tensors or own[k].shape != tensors[k].shape]
        if differ or set(tensors) - set(own):
            raise CheckpointError(f"{origin} is of another architecture: {differ[:3]} do not fit")
        self.model.encoder.load_state_dict(tensors)  # type: ignore[union-attr]
        bias = getattr(self.model, "bias", None)
        if fitted.bias is not None and bias is not None:
            bias.data.copy_(fitted.bias)
        self.freeze()
        return self

    def _encoder_path(self, name: str | Path) -> Path:
        return checkpoint_path(self, name)


class LanguageLearner(TextLearner):
    """A language model: what comes next."""

    largest_kept = Learner.largest_kept  # its batches are all alike

    def predict(  # type: ignore[override]
        self,
        text: str,
        n_words: int = 1,
        no_unk: bool = True,
        temperature: float = 1.0,
        min_p: float | None = None,
        top_k: int | None = None,
        seed: int | None = None,
    ) -> str:
        """`text` as it stands, and `n_words` tokens after it (a backward model: before it).

        Tokens are drawn by chance: probabilities are raised to 1 / `temperature`; only the
        `top_k` likeliest, or those above `min_p`, are drawn from; with `no_unk` never the unknown
        token.
        """
        if not 0 < temperature < np.inf:
            raise UsageError(f"the temperature is above 0 and finite, not {temperature}")
        if not isinstance(n_words, Integral) or n_words < 0:
            raise UsageError(f"n_words is a whole number from 0 on, not {n_words!r}")
        if top_k is not None and (not isinstance(top_k, Integral) or top_k < 1):
            raise UsageError(f"top_k is a whole number from 1 on, not {top_k!r}")
        if min_p is not None and not 0 <= min_p <= 1:
            raise UsageError(f"min_p is a probability, not {min_p!r}")
        given: Any = self.task.input
        text = given.text_of(text)
        begun = given.ids(text).tolist()
        if given.backwards:  # what comes before is asked for: the text does not begin here
            begun = begun[:-1]
        luck = torch.Generator()
        luck.manual_seed(int(np.random.randint(2**31)) if seed is None else seed)
        forbidden = [given.unknown] if no_unk else []
        forbidden += [i for i, token in enumerate(self.vocab) if token in {BOS, "xxfake", "xxpad"}]

        def drawn(logits: Tensor) -> int:
            logits[forbidden] = -torch.inf
            shares = _limited((logits / temperature).softmax(0), top_k, min_p)
            return int(torch.multinomial(shares, 1, generator=luck))

        return _joined(given, text, begun, self._gone_on(begun, n_words, drawn))

    def predictions(self, ds_type: DatasetType = DatasetType.Valid) -> Predictions:
        """A language model has no answer for each text."""
        raise UsageError(
            "a language model says what comes next, not one thing about each text: see validate(), "
            "show_results() and predict()"
        )

    def show_results(
        self,
        ds_type: DatasetType = DatasetType.Valid,
        rows: int = 5,
        figsize: tuple[float, float] | None = None,
    ) -> Table:
        """Beginnings of texts, and of each of the next 20 tokens what it is and what was said."""
        given: Any = self.task.input
        x, y = next(iter(self.data.dl(ds_type)))
        x, y = x[:rows, : 2 * _SHOWN], y[:rows, : 2 * _SHOWN]
        loader: Any = [(x, y)]
        batches = list(loop.predict(self.model, loader, self.engine))
        said = torch.cat([outputs.argmax(1).cpu() for outputs, _ in batches])
        half = min(_SHOWN, x.shape[1] // 2)
        return Table(
            {
                "text": [given.readable(row) for row in x[:, :half].tolist()],
                "true": [given.readable(row) for row in y[:, half:].tolist()],
                "said": [given.readable(row) for row in said[:, half:].tolist()],
            }
        )

    def _gone_on(self, ids: list[int], n: int, drawn: Callable[[Tensor], int]) -> list[int]:
        """`ids`, and `n` more that `drawn` takes from the logits (vocab,) of each next one."""
        x = torch.as_tensor(ids)[None].to(self.data.device)
        found = list(ids)
        with modes_kept(self.model), torch.no_grad():
            self.model.eval()
            self.model.reset()  # type: ignore[operator]
            for _ in range(n):
                outputs: Any = self.engine.forward(self.model, x)
                outputs = outputs.last() if isinstance(outputs, Undecoded) else outputs
                found.append(drawn(outputs[0, :, -1].float().cpu()))
                x = torch.tensor([[found[-1]]], device=self.data.device)
        self.model.reset()  # type: ignore[operator]
        return found


def _joined(given: Any, text: str, begun: list[int], whole: list[int]) -> str:
    """The text and what was added, put together as the tokens are where these say how."""
    read, known = given.readable(whole), given.readable(begun)
    if given.backwards:
        added = given.readable(whole[len(begun) :])
        return (read.removesuffix(known) if read.endswith(known) else f"{added} ") + text
    added = given.readable(whole[len(begun) :])
    return text + (read.removeprefix(known) if read.startswith(known) else f" {added}")


def _limited(shares: Tensor, top_k: int | None, min_p: float | None) -> Tensor:
    if top_k is not None:
        least = shares.topk(min(top_k, len(shares))).values[-1]
        shares = torch.where(shares >= least, shares, 0.0)
    if min_p is not None and bool((shares >= min_p).any()):
        shares = torch.where(shares >= min_p, shares, 0.0)
    return shares


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


def usual_metrics(data: DataBunch) -> list[Any]:
    """Accuracy, where there is one class a text."""
    return [accuracy] if isinstance(data.task.target, Category) else []


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
