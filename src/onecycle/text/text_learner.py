"""A learner on texts, whose encoder can be kept and used by another."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self
from warnings import warn

from onecycle.core.errors import CheckpointError, OnecycleWarning, UsageError, listing
from onecycle.data.databunch import DataBunch
from onecycle.data.targets import Category
from onecycle.learn.checkpoint import checkpoint_path
from onecycle.learn.learner import Learner
from onecycle.learn.metrics import accuracy
from onecycle.spec.words import SPECIAL
from onecycle.text.pretrained import Encoder, read_encoder, reading_of, write_encoder
from onecycle.text.sides import warn_of_text

_LEAST_KNOWN = 0.1  # of a vocabulary


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

    def predict(self, item: Any, thresh: float | None = None, return_x: bool = False) -> Any:
        """As every learner; a warning says where no word of the text is known, or some are cut."""
        found = super().predict(item, thresh, return_x)
        given: Any = self.task.input
        warn_of_text(given, given.text_of(item))
        return found

    def save_encoder(self, name: str | Path) -> Path:
        """Write the encoder's weights and vocabulary to `path/model_dir/name.safetensors`."""
        if not hasattr(self.model, "encoder"):
            raise UsageError("an AWD-LSTM's encoder can be kept; keep this model with learn.save()")
        bias = getattr(self.model, "bias", None)
        path, reading = self._encoder_path(name), reading_of(self.task.input)
        return write_encoder(path, self.model.encoder, self.vocab, bias, reading=reading)  # type: ignore[arg-type]

    def load_encoder(self, name: str | Path) -> Self:
        """Read what `save_encoder` wrote, by token: words it did not know get its mean word.

        The learner is frozen to its head then. A warning counts the words that the encoder does
        not know. A vocabulary that shares less than a tenth with the encoder's is an error: the
        texts were tokenized otherwise, or are in another language.
        """
        path = self._encoder_path(name)
        return self.use_encoder(read_encoder(path), str(path))

    def use_encoder(self, given: Encoder, origin: str, published: bool = False) -> Self:
        """As `load_encoder`, from an encoder in memory.

        One that is `published` was made for any texts: new words are expected, and not counted.
        """
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
        shapes = [{k: [*v.shape] for k, v in side.items()} for side in (tensors, own)]
        differ = [k for k in {**shapes[1], **shapes[0]} if shapes[0].get(k) != shapes[1].get(k)]
        if differ:
            there, here = (side.get(differ[0], "missing") for side in shapes)
            raise CheckpointError(
                f"{origin} is of another architecture: {len(differ)} tensors do not fit, the first "
                f"{differ[0]}: it is {there} there and {here} here. It was made with "
                f"config={given.sizes.config()}"
            )
        self.model.encoder.load_state_dict(tensors)  # type: ignore[union-attr]
        bias = getattr(self.model, "bias", None)
        if fitted.bias is not None and bias is not None:
            bias.data.copy_(fitted.bias)
        if not published:
            _warn_of_new(given, self.vocab, origin)
        self.freeze()
        return self

    def _encoder_path(self, name: str | Path) -> Path:
        return checkpoint_path(self, name)


def _warn_of_new(given: Encoder, vocab: Sequence[str], origin: str) -> None:
    """Count the words of the data for which the encoder has no row of its own."""
    known = {*given.vocab, *SPECIAL, "xxfake"}
    new = [word for word in vocab if word not in known]
    if new:
        warn(
            f"{origin} does not know {len(new):,} of the {len(vocab):,} tokens of this data "
            f"({listing(new, 3)}): each begins as its mean word. To read texts as it does, make "
            "the data with its vocabulary (vocab=, the language model's data.vocab)",
            OnecycleWarning,
            stacklevel=4,
        )


def usual_metrics(data: DataBunch) -> list[Any]:
    """Accuracy, where there is one class a text."""
    return [accuracy] if isinstance(data.task.target, Category) else []
