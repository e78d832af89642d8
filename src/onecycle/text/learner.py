"""Language models and the classifiers made of their encoders."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from onecycle.core.errors import CheckpointError, UsageError
from onecycle.core.files import write_atomically
from onecycle.data.databunch import DataBunch
from onecycle.learn.callbacks.activations import ActivationRegularization
from onecycle.learn.callbacks.gradients import GradientClipping
from onecycle.learn.learner import Learner
from onecycle.learn.metrics import accuracy
from onecycle.models.awd_lstm import (
    AWD_LSTM,
    CLASSIFIER_DROPOUTS,
    LM_DROPOUTS,
    LanguageModel,
    TextClassifier,
    dropouts,
)
from onecycle.spec.words import BOS, UNK, detokenize, tokenize


class TextLearner(Learner):
    """A learner on texts, whose encoder can be kept and used by another."""

    @property
    def vocab(self) -> tuple[str, ...]:
        """The vocabulary of the data."""
        return self.task.input.vocab  # type: ignore[attr-defined]

    def save_encoder(self, name: str | Path) -> Path:
        """Write the encoder's weights and vocabulary to `path/model_dir/name.safetensors`."""
        from safetensors.torch import save_file

        path = self._encoder_path(name)
        state = self.model.encoder.state_dict()  # type: ignore[union-attr]
        tensors = {k: v.detach().cpu().contiguous().clone() for k, v in state.items()}
        about = {"onecycle_encoder": json.dumps(self.vocab)}
        write_atomically(path, lambda to: save_file(tensors, to, about))
        return path

    def load_encoder(self, name: str | Path) -> Self:
        """Read what `save_encoder` wrote, by token: words it did not know get its mean word.

        The learner is frozen to its head then.
        """
        from safetensors import SafetensorError, safe_open

        path = self._encoder_path(name)
        try:
            with safe_open(path, "pt") as file:
                told = (file.metadata() or {}).get("onecycle_encoder", "")
                tensors = {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118
                vocab = json.loads(told)
        except (OSError, SafetensorError, ValueError) as error:
            raise CheckpointError(f"{path} is no encoder that can be read: {error}") from error
        rows = remapped(tensors["embedding.weight"], vocab, self.vocab)
        tensors["embedding.weight"] = rows
        own = self.model.encoder.state_dict()  # type: ignore[union-attr]
        differ = [k for k in own if k not in tensors or own[k].shape != tensors[k].shape]
        if differ or set(tensors) - set(own):
            raise CheckpointError(f"{path} is of another architecture: {differ[:3]} do not fit")
        self.model.encoder.load_state_dict(tensors)  # type: ignore[union-attr]
        self.freeze()
        return self

    def _encoder_path(self, name: str | Path) -> Path:
        folder = Path(self.path) / self.model_dir
        return (folder / name).with_suffix(".safetensors")


def remapped(weights: Tensor, old: Sequence[str], new: Sequence[str]) -> Tensor:
    """Rows (len(new), d): those of the same tokens, and the mean row for tokens that are new."""
    where: dict[str, int] = {}
    for i, token in enumerate(old):
        where.setdefault(token, i)
    index = torch.tensor([where.get(token, -1) for token in new])
    rows = weights[index.clamp(min=0)]
    return torch.where((index >= 0)[:, None], rows, weights.mean(0, keepdim=True))


class LanguageLearner(TextLearner):
    """A language model: what comes next."""

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
        """`text`, gone on with for `n_words` tokens, drawn at random.

        Probabilities are raised to 1 / `temperature`; only the `top_k` likeliest, or those above
        `min_p`, are drawn from; with `no_unk` never the unknown token.
        """
        if temperature <= 0:
            raise UsageError(f"the temperature is above 0, not {temperature}")
        luck = torch.Generator()
        luck.manual_seed(int(np.random.randint(2**31)) if seed is None else seed)
        given = self.task.input
        tokens = tokenize(text)
        ids = given.numericalize(tokens)  # type: ignore[attr-defined]
        x = torch.as_tensor(ids)[None].to(self.data.device)
        forbidden = [given.numbers[UNK]] if no_unk else []  # type: ignore[attr-defined]
        forbidden += [i for i, token in enumerate(self.vocab) if token in {BOS, "xxfake", "xxpad"}]
        modes = [(module, module.training) for module in self.model.modules()]
        self.model.eval()
        self.model.reset()  # type: ignore[operator]
        try:
            for _ in range(n_words):
                with torch.no_grad():
                    logits = self.engine.forward(self.model, x)[0, :, -1].cpu()
                logits[forbidden] = -torch.inf
                shares = _limited((logits / temperature).softmax(0), top_k, min_p)
                drawn = int(torch.multinomial(shares, 1, generator=luck))
                tokens.append(self.vocab[drawn])
                x = torch.tensor([[drawn]], device=self.data.device)
        finally:
            self.model.reset()  # type: ignore[operator]
            for module, training in modes:
                module.training = training
        return detokenize(tokens)


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
    pretrained: bool | str = False,
    clip: float | None = None,
    alpha: float = 2.0,
    beta: float = 1.0,
    **learner_options: Any,
) -> LanguageLearner:
    """A language model on `data` (of `label_for_lm`).

    `config` are the encoder's sizes (emb_sz, n_hid, n_layers) and dropouts; `drop_mult` multiplies
    all dropouts. `pretrained` is False, or the path of an encoder that `save_encoder` wrote.
    """
    sizes = {**dropouts(LM_DROPOUTS, drop_mult), **(config or {})}
    output_p = sizes.pop("output_p")
    model = LanguageModel(arch(data.c, **sizes), output_p)
    callbacks = [ActivationRegularization(alpha, beta), *([GradientClipping(clip)] if clip else [])]
    options = {"metrics": [accuracy], "callbacks": callbacks, **learner_options}
    learner = LanguageLearner(data, model, **options)
    if pretrained:
        learner.load_encoder(_file(pretrained))
    return learner


def text_classifier_learner(
    data: DataBunch,
    arch: Callable[..., AWD_LSTM] = AWD_LSTM,
    bptt: int = 70,
    max_len: int = 1400,
    config: dict[str, Any] | None = None,
    pretrained: bool | str = False,
    drop_mult: float = 1.0,
    lin_ftrs: Sequence[int] = (50,),
    ps: Sequence[float] = (0.1,),
    **learner_options: Any,
) -> TextLearner:
    """A classifier on an encoder; `load_encoder` gives it a language model's.

    `ps` are the dropouts of the head's layers but the first, which is output_p * drop_mult.
    """
    sizes = {**dropouts(CLASSIFIER_DROPOUTS, drop_mult), **(config or {})}
    output_p = sizes.pop("output_p")
    encoder = arch(len(data.task.input.vocab), **sizes)  # type: ignore[attr-defined]
    model = TextClassifier(encoder, data.c, lin_ftrs, (output_p, *ps), bptt, max_len)
    learner = TextLearner(data, model, **{"metrics": [accuracy], **learner_options})
    if pretrained:
        learner.load_encoder(_file(pretrained))
    return learner


def _file(pretrained: bool | str) -> str:
    if not isinstance(pretrained, str):
        raise UsageError(
            "no published weights are known yet: pretrained= takes the path of an encoder that "
            "save_encoder wrote, or False"
        )
    return str(Path(pretrained).absolute())
