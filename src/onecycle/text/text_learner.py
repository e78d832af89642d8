"""A learner on texts, whose encoder can be kept and used by another."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

from onecycle.core.errors import CheckpointError, UsageError
from onecycle.data.databunch import DataBunch
from onecycle.data.targets import Category
from onecycle.learn.checkpoint import checkpoint_path
from onecycle.learn.learner import Learner
from onecycle.learn.metrics import accuracy
from onecycle.text.pretrained import (
    Encoder,
    read_encoder,
    reading_of,
    write_encoder,
)

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


def usual_metrics(data: DataBunch) -> list[Any]:
    """Accuracy, where there is one class a text."""
    return [accuracy] if isinstance(data.task.target, Category) else []
