"""Texts as model input: read, tokenized, numbered, and batched by length or as a stream."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from onecycle.core.display import Table
from onecycle.core.errors import DataError, UsageError, listing, require_whole, warn
from onecycle.data.looks import Finding, Look, digest_of, print_of_text
from onecycle.data.targets import Target, per_item, require_shape
from onecycle.data.task import Batches, Input, Sample
from onecycle.export.graph import Examples
from onecycle.export.text import classifier_graph, encoder_graph
from onecycle.learn.exporting import cost_on, own_side, pairs_of, sources_of
from onecycle.models.awd_lstm import TextClassifier, Undecoded
from onecycle.models.head import TransformerClassifier
from onecycle.runtime.inputs.subwords import limit_of, padding_of, pieces_of
from onecycle.runtime.inputs.text import TextSpec, commonest, text_of
from onecycle.runtime.inputs.words import SPECIAL
from onecycle.runtime.kinds import Answer
from onecycle.text.batches import LengthLoader, StreamLoader
from onecycle.text.corpus import NumberedTexts, Text, Texts
from onecycle.text.store import save_data

_HIDDEN = {"json": False}
NUMBERING = ("max_vocab", "min_freq", "bptt", "tokenizer", "backwards")  # options of every list
_LOST = "\ufffd"  # what stands for bytes that could not be decoded
_LONG, _TIMES = 10_000, 20  # characters of a text, and lengths of the usual one, that are many
_LENGTHS = (1, 7, 40, 160)  # tokens of the texts that an export is checked with


@dataclass(frozen=True, eq=False)
class TextInput(TextSpec, Input):
    """How a text becomes ids; a source is the text itself, or the path of a text file.

    `stream` makes batches for a language model: all texts in a row, `bptt` tokens at a time.
    """

    max_vocab: int = field(default=60_000, metadata=_HIDDEN)
    min_freq: int = field(default=2, metadata=_HIDDEN)
    stream: bool = field(default=False, metadata=_HIDDEN)
    bptt: int = field(default=70, metadata=_HIDDEN)

    def __post_init__(self) -> None:
        for name, least in (("bptt", 1), ("max_vocab", len(SPECIAL)), ("min_freq", 1)):
            require_whole(name, getattr(self, name), least)
        if not isinstance(self.tokenizer, str):
            raise UsageError(
                "tokenizer= is a tokenizer's JSON as text: path.read_text() of a file, "
                f"to_str() of a Tokenizer; not {self.tokenizer!r}"
            )

    def text_of(self, source: Any) -> str:
        """The text of a source; undecodable bytes are replaced."""
        return source.text if isinstance(source, Text) else text_of(source)

    def read(self, source: Any) -> Text:
        """The text itself."""
        return Text(self.text_of(source))

    def fit(self, sources: Sequence[Any]) -> Self:
        """With the vocabulary of these texts, unless there is one."""
        if self.vocab:
            return self
        if self.tokenizer:
            padding_of(self.tokenizer)  # raises where there is none
            return replace(self, vocab=pieces_of(self.tokenizer))
        counts = Texts.of(sources).counts()
        vocab = commonest(counts, self.max_vocab, self.min_freq)
        self._warn_of_cut(counts, len(vocab))
        return replace(self, vocab=vocab)

    def _warn_of_cut(self, counts: Mapping[str, int], kept: int) -> None:
        """Say how many words max_vocab leaves out, though they come often enough."""
        usual = sorted((n for token, n in counts.items() if token not in SPECIAL), reverse=True)
        enough = [n for n in usual if n >= self.min_freq]
        lost = enough[max(0, kept - len(SPECIAL)) :]
        if lost:
            message = (
                f"max_vocab={self.max_vocab} leaves out {len(lost):,} of the {len(enough):,} words "
                f"that come {self.min_freq} times or more: {sum(lost) / sum(usual):.1%} of all "
                "words of the training texts are read as unknown for it. Raise it, or train a "
                "tokenizer of parts of words (train_subwords)"
            )
            warn(message, 5)

    def to_ids(self, sources: Sequence[Any]) -> NumberedTexts:
        """The ids of each text; the tokens of a TextList's are made once for all."""
        return NumberedTexts(Texts.of(sources), self)

    def check(self, sources: Iterable[Any]) -> None:
        """Raise for files that are missing and for what is no text."""
        for source in sources:
            if isinstance(source, os.PathLike) and not os.path.isfile(source):  # noqa: PTH113
                raise DataError(f"{source}: no such text file")
            if not isinstance(source, str | os.PathLike):
                raise DataError(f"a text is a str or a path, not {source!r}")

    advice: ClassVar[Mapping[str, str]] = {
        "empty": "it says nothing: leave it out",
        "encoding": "convert the file to UTF-8, or those characters are lost",
        "long": "is it one text? Divide it, or say how much is read with max_len= of the learner",
    }

    def look(self, source: Any) -> Look:
        text = self.text_of(source)
        problems = [] if any(map(str.isalnum, text)) else [("empty", "no letter, no digit")]
        if lost := text.count(_LOST):
            problems.append(("encoding", f"{lost} characters could not be read"))
        return Look(tuple(problems), (len(text),), digest_of(text), print_of_text(text))

    def doubts(self, sources: Sequence[Any], looks: Sequence[Look]) -> Iterator[Finding]:
        """Texts that are far longer than most."""
        lengths = np.array([look.size[0] if look.size else 0 for look in looks])
        usual = int(np.median(lengths))
        for i in np.flatnonzero(lengths > max(_LONG, _TIMES * usual)):
            yield int(i), "long", f"{lengths[i]:,} characters, most have about {usual:,}"

    def require_alike(self, other: Any) -> None:
        for name in (*NUMBERING, *["vocab"] * bool(other.vocab)):
            if getattr(self, name) != getattr(other, name):
                raise UsageError(
                    f"the two lists of texts were made with other options: {name} is "
                    f"{listing([getattr(other, name)])} in the second; give both the same"
                )

    def with_transforms(self, tfms: Any, *options: Any, **more: Any) -> Self:
        """Texts have no transforms."""
        if any((tfms, *options, *more.values())):
            raise UsageError("texts take no transforms, no size and no way of resizing")
        return self

    def with_stats(self, stats: Any, data: Any) -> Self:
        """Texts are not normalised."""
        raise UsageError("texts are not normalised: leave normalize() out")

    def load(
        self, source: Any, y: np.ndarray, target: Target, rng: np.random.Generator | None
    ) -> Sample:
        """The ids of one text."""
        return Sample(self.ids(self.text_of(source)), y)

    def as_item(self, x: Any) -> Text:
        """A sample, or a row of ids, as a readable text."""
        if isinstance(x, Text):
            return x
        ids = x.x if isinstance(x, Sample) else np.asarray(x)
        return Text(self.readable(ids.tolist()), ids)

    in_tables: ClassVar[bool] = True

    def table(self, items: Sequence[Any], y: Sequence[Any], target: Any) -> Table:
        """Ids as readable texts, with their labels where there are any."""
        columns = {"text": [str(self.as_item(item)) for item in items]}
        if not self.stream:
            columns["label"] = [str(target.answer(np.asarray(label))) for label in y]
        return Table(columns)

    def save_data(self, data: Any, file: Any) -> Any:
        return save_data(data, file)

    def export_examples(self, learner: Any, precision: str, calibrate: int | None) -> Examples:
        """Random ids of several lengths and texts of the validation set."""
        model, limit = learner.model, limit_of(self.tokenizer) if self.tokenizer else None
        if isinstance(model, TransformerClassifier) and limit is not None:
            body = encoder_graph(limit)
        elif isinstance(model, TextClassifier):
            body = classifier_graph
        else:
            raise UsageError(
                "a classifier of texts is exported: an AWD-LSTM's, or one on a Hugging Face model; "
                "a language model only gives its encoder (learn.save_encoder)"
            )
        if calibrate is not None:
            raise UsageError("calibrate= is for images and series: texts are scaled as they come")
        if precision == "int8" and learner.data.valid_dl is None:
            raise UsageError("int8 needs the data: export it from the learner that was trained")
        rng = np.random.default_rng(0)
        lengths = sorted({min(n, limit or n) for n in _LENGTHS})
        raw = [rng.integers(0, len(self.vocab), n) for n in lengths]
        pairs = [(ids, torch.as_tensor(ids)[None]) for ids in raw]
        side = own_side(learner)
        texts = [] if side is None else [self.text_of(source) for source in sources_of(side)]
        pairs += pairs_of(learner, texts, self.ids)
        return Examples(pairs, [pairs[1][1]], cost_on(learner), None, body)

    def loader(self, dataset: Any, **options: Any) -> Batches:
        """A stream for language models, batches by length for everything else; without threads."""
        options["num_workers"] = 0  # three times as fast as sixteen threads that wait for a lock
        return (StreamLoader if self.stream else LengthLoader)(dataset, **options)


# The next token as an answer: what a language model is trained on.


@dataclass(frozen=True)
class NextToken(Target):
    """Cross-entropy of the next token: y int64 (n, t), outputs (n, vocab, t)."""

    vocab_sz: int = 0
    kind: ClassVar[str] = "next_token"
    one_row_an_item: ClassVar[bool] = False
    activation: ClassVar[str] = "softmax"
    fitting_losses: ClassVar[str] = (
        "for the next token there are nn.CrossEntropyLoss(label_smoothing=...), or leave loss_func "
        "out"
    )
    suited_metrics: ClassVar[tuple[tuple[str, dict[str, Any]], ...]] = (("accuracy", {}),)

    @property
    def n_outputs(self) -> int:
        return self.vocab_sz

    def loss(self, outputs: Tensor | Undecoded, y: Tensor, reduction: str = "mean") -> Tensor:
        """Mean over tokens, or over each row's."""
        if isinstance(outputs, Undecoded):
            if reduction == "mean":
                return outputs.cross_entropy(y)
            outputs = outputs.logits()
        self.check_outputs(outputs, y)
        flat = outputs.transpose(1, 2).reshape(-1, outputs.shape[1])
        each = F.cross_entropy(flat, y.reshape(-1), reduction="none").reshape(y.shape)
        return per_item(each, reduction)

    def check_outputs(self, outputs: Any, y: Tensor) -> None:
        """One output per token of the vocabulary, for each token of the text."""
        require_shape(outputs, (len(y), self.vocab_sz, y.shape[1]), self.vocab_sz, "tokens")

    def activate(self, outputs: Tensor) -> Tensor:
        """Probabilities of every token."""
        return outputs.float().softmax(1)

    def decisions(self, outputs: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """The numbers of all tokens in a row."""
        return outputs.argmax(1).flatten(), y.flatten()

    def scores(self, outputs: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Probabilities (tokens, vocab) of all tokens in a row, and their numbers."""
        return self.activate(outputs).movedim(1, -1).flatten(0, 1), y.flatten()

    def weight(self, y: Tensor) -> int:
        """Its tokens: the last batch of a pass holds fewer than the others."""
        return y.numel()

    def show(self, answer: Answer, ax: Any) -> None:
        """Nothing: the text itself says what comes next."""
