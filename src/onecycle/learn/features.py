"""The head alone, on features that the frozen body gave once: `fit(..., cache_features=True)`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from onecycle.core.errors import UsageError, require_whole
from onecycle.core.machine import defaults
from onecycle.data.databunch import DataBunch, DatasetType
from onecycle.data.loader import Loader, to_device
from onecycle.learn import loop
from onecycle.learn.callback import Callback, Run
from onecycle.learn.engine import Engine
from onecycle.learn.fitting import Trainable
from onecycle.learn.optimizer import GroupedOptimizer
from onecycle.models.groups import modes_kept

_STATELESS = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.AlphaDropout)  # and yet not always alike
Stored = tuple[Tensor, Tensor]  # features and encoded labels of a set, in its order


@contextmanager
def train_on_features(learner: Trainable, views: bool | int) -> Iterator[Trainable]:
    """What is to be trained in the learner's place: its head on stored features, or all of it.

    The body runs once over both sides in evaluation mode: with True over each training item as in
    validation, with a number over so many augmented looks, which the epochs take in turn. So the
    features are (n, c) where the head begins with a pooling, else the maps, on the CPU. Batches
    are those that training has without it. The weights of the body stay as they are, those of its
    batch norms too. UsageError where the body is not frozen, and for what needs its items.
    Without `views` it is the learner itself.
    """
    if views is False:
        yield learner
        return
    require_frozen(learner, views)
    body, head = frozen_parts(learner)
    data, (pool, rest) = learner.data, divide(head)
    shown = defaults.progress and not learner.silent
    made = Features(nn.Sequential(body, pool), learner.engine, data, shown)
    yield _Head(learner, rest, _on(data, made.of_training(views), made.of_validation(), shown))


def require_frozen(learner: Trainable, views: bool | int) -> None:
    """UsageError for a learner or a number that `train_on_features` refuses."""
    if views is False:
        return
    if views is not True:
        require_whole("cache_features", views, 1)
    frozen_parts(learner)
    require_items(learner)


def frozen_parts(learner: Trainable, asked: str = "cache_features=") -> tuple[nn.Module, nn.Module]:
    """Body and head, where the body is frozen but for its batch norms.

    UsageError for other models; `asked` is what it says needs it.
    """
    model = learner.model
    if not isinstance(model, nn.Sequential) or len(model) != 2:
        raise UsageError(
            f"{asked} is for a body with a head behind it, as cnn_learner() makes: of a "
            f"{type(model).__name__} the features change while it learns"
        )
    norms = {
        id(p)
        for module in model[0].modules()
        if isinstance(module, nn.modules.batchnorm._BatchNorm)
        for p in module.parameters()
    }
    learns = sum(p.requires_grad and id(p) not in norms for p in model[0].parameters())
    if learns:
        raise UsageError(
            f"{asked} stores what a frozen body gives, and {learns} weights of this one learn: "
            "freeze() it before"
        )
    return model[0], model[1]


def require_items(learner: Trainable, asked: str = "cache_features=") -> None:
    """UsageError where there are several processes, or items that come as a stream."""
    if learner.engine.processes > 1 or not isinstance(learner.data.train_dl, Loader):
        raise UsageError(
            f"{asked} is for one process and data that is read item by item: leave it out"
        )


def divide(head: nn.Module) -> tuple[nn.Module, nn.Module]:
    """The first layers of a head, which learn nothing and draw nothing, and what follows them."""
    layers = list(head) if isinstance(head, nn.Sequential) else [head]
    count = 0
    while count < len(layers) and not (
        isinstance(layers[count], _STATELESS) or layers[count].state_dict()
    ):
        count += 1
    return nn.Sequential(*layers[:count]), nn.Sequential(*layers[count:])


@dataclass
class Features:
    """Runs a model over the sides of the data."""

    model: nn.Module
    engine: Engine
    data: DataBunch
    shown: bool

    def of_training(self, views: bool | int) -> list[Stored]:
        """Of the training set, in its order: as in validation, or of so many augmented looks."""
        if views is True:
            return [self._run(self.data.in_order(DatasetType.Train), "features")]
        found = list[Stored]()
        for view in range(views):
            loader: Any = self.data.in_order(DatasetType.Train)
            loader.dataset = self.data.train_ds
            loader.restore(view)
            found.append(self._run(loader, f"features, look {view + 1} of {views}"))
        return found

    def of_validation(self) -> list[Stored]:
        """Of the validation set, if there is one."""
        if self.data.valid_dl is None:
            return []
        return [self._run(self.data.valid_dl, "features")]

    def _run(self, loader: Any, label: str) -> Stored:
        with modes_kept(self.model):
            pairs = list(loop.predict(self.model, loader, self.engine, self.shown, label))
        x, y = (torch.cat([part.cpu() for part in column]) for column in zip(*pairs, strict=True))
        return x, y


def _on(
    data: DataBunch, training: list[Stored], validation: list[Stored], shown: bool
) -> DataBunch:
    """The same data, whose loaders give stored features."""
    count, size = len(training[0][1]), sum(x.nbytes for x, _ in (*training, *validation))
    if shown:
        looks = f"{len(training)} augmented looks" if len(training) > 1 else "one look"
        print(
            f"cache_features: {looks} at each of {count} training items, {size / 1e6:.1f} MB; the "
            "body and its batch norms stay as they are"
        )
    valid = FeatureLoader(data.valid_dl, validation) if validation else None
    return replace(data, train_dl=FeatureLoader(data.train_dl, training), valid_dl=valid)


class FeatureLoader:
    """Batches (features, y) of the items that `source` would give batches of, in its order."""

    def __init__(self, source: Any, looks: Sequence[Stored]) -> None:
        self.source, self.looks = source, looks
        self.dataset, self.batch_size, self.train = source.dataset, source.batch_size, source.train
        self.given = torch.empty(0)  # the features of the batch that is trained on

    def __len__(self) -> int:
        return len(self.source)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        epoch, batches = self.source.begin()
        x, y = self.looks[epoch % len(self.looks)]
        for batch in batches:
            rows = torch.from_numpy(batch % len(y))  # a sampler may draw an item again
            self.given = to_device(x[rows], self.source.device)
            yield self.given, to_device(y[rows], self.source.device)

    def state(self) -> Any:
        """That of the source."""
        return self.source.state()

    def restore(self, state: Any, batch: int = 0) -> None:
        """As the source does."""
        self.source.restore(state, batch)


class _Untouched(Callback):
    """Refuses what changes the items of a batch: these are features."""

    order = 1000

    def before_batch(self, run: Run) -> None:
        """After all others."""
        given = run.data.train_dl.given  # type: ignore[attr-defined]
        if run.x is not given or given._version:
            raise UsageError(
                "cache_features= trains on features, and a callback (mixup, or another with "
                "before_batch) changes the items of each batch: leave one of the two out"
            )


class _Head:
    """A learner whose model is the head, and whose data are features; the rest is `owner`'s."""

    def __init__(self, owner: Trainable, model: nn.Module, data: DataBunch) -> None:
        self.owner, self.model, self._data = owner, model, data
        self.engine, self.recorder, self.history = owner.engine, owner.recorder, owner.history
        self.callbacks: list[Callback] = [*owner.callbacks, _Untouched()]
        self.metrics, self.accumulate = owner.metrics, owner.accumulate
        self.silent, self.train_bn = owner.silent, owner.train_bn

    @property
    def opt(self) -> GroupedOptimizer | None:
        """Made for each fit."""
        return self.owner.opt

    @opt.setter
    def opt(self, opt: GroupedOptimizer | None) -> None:
        self.owner.opt = opt

    @property
    def data(self) -> DataBunch:
        """Loaders of features."""
        return self._data

    @property
    def loss_func(self) -> Callable[..., Tensor]:
        """The owner's."""
        return self.owner.loss_func
