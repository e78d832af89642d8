"""A learner on disk: one safetensors file with weights, optimizer and, as JSON, the task.

The file is replaced in one step, so a crash while saving leaves the old one whole; its digest
finds damage that safetensors itself does not see.
"""

import json
from collections.abc import Collection, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from onecycle.core.errors import CheckpointError, UsageError, listing, warn
from onecycle.core.files import write_atomically
from onecycle.data.task import Task
from onecycle.learn.calibration import forget_temperature, set_temperature
from onecycle.learn.optimizer import GroupedOptimizer
from onecycle.learn.sharding import placed, whole
from onecycle.runtime.kinds import TUNED, Plain
from onecycle.runtime.task import task_to_json
from onecycle.version import __version__

FORMAT = 1
DIFFERENCES = ("warn", "error", "ignore")
_MODEL, _OPT = "model.", "opt."
_READING = ("vocab", "tokenizer", "backwards")  # what the numbers of a text mean


def checkpoint_path(path: str | Path, model_dir: str | Path, file: str | Path) -> Path:
    """`path/model_dir/file.safetensors`; an absolute file stays where it is."""
    name = Path(file)
    name = name if name.suffix == ".safetensors" else name.with_name(name.name + ".safetensors")
    return Path(path) / model_dir / name


def tensors_of(
    model: nn.Module, optimizer: GroupedOptimizer | None, kept: bool = True
) -> dict[str, Tensor]:
    """Copies on the CPU of all weights, and of the optimizer's state where there is one.

    Of several processes all take part, and those that do not write need not have `kept` them.
    """
    found = {_MODEL + name: value for name, value in model.state_dict().items()}
    if optimizer is not None:
        found |= {
            f"{_OPT}{index}.{name}": torch.as_tensor(value)
            for index, values in optimizer.inner.state_dict()["state"].items()
            for name, value in values.items()
            if value is not None
        }
    tensors = dict[str, Tensor]()
    for name, value in found.items():
        all_of_it = whole(value.detach())
        if kept:
            tensors[name] = all_of_it.cpu().contiguous().clone()
    return tensors


def save(
    path: Path,
    tensors: dict[str, Tensor],
    task: Task,
    optimizer: GroupedOptimizer | None,
    more: Mapping[str, Any],
) -> None:
    """Write what `tensors_of` gave, the task, and `more` (history and recipe)."""
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    about = {
        "format": FORMAT,
        "onecycle": __version__,
        "task": task_to_json(task.input, task.target),
        **more,
        "trained": optimizer and sum(len(part["params"]) for part in optimizer.param_groups),
    }
    text = json.dumps(about, default=str)
    metadata = {"onecycle": text, "sha256": digest(tensors, text)}
    try:
        write_atomically(path, lambda to: save_file(tensors, to, metadata))
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "reason", error)
        raise CheckpointError(
            f"{path} cannot be written ({reason}); an older file there is as it was. Set "
            "learn.path or learn.model_dir to a folder with room that you may write to"
        ) from error


def write(learner: Any, file: str | Path, with_opt: bool) -> Path:
    """See `Learner.save`; of several processes the first writes."""
    path = checkpoint_path(learner.path, learner.model_dir, file)
    learner.engine.synchronize(learner.model)
    more = {"history": learner.history, "recipe": learner.recipe}
    more["data"] = learner.data.train_dl.state()
    engine, optimizer = learner.engine, learner.opt if with_opt else None
    tensors = tensors_of(learner.model, optimizer, engine.main)
    engine.by_first(lambda: save(path, tensors, learner.task, learner.opt, more))
    return path


def restore(learner: Any, path: Path, with_opt: bool, strict: bool, differences: str) -> None:
    """Make a learner what `save` wrote, calibration included; see `Learner.load`."""
    content = load(path, learner.model, learner.task, strict, differences)
    learner.opt, about = None, content[0]
    temperature = about["task"]["target"].get("temperature", 1.0)
    if temperature == 1.0:
        forget_temperature(learner, f"the weights of {path} were saved uncalibrated", 3)
    set_temperature(learner, temperature)
    if not with_opt:
        return
    learner.history[:] = about.get("history") or []
    if learner.data.train_dl is not None and about.get("data") is not None:
        learner.data.train_dl.restore(about["data"])
    if has_optimizer(content):
        optimizer = learner.create_opt(1e-3)
        if not restore_optimizer(optimizer, content, path):
            learner.opt = None


Content = tuple[dict[str, Any], dict[str, Tensor]]  # the JSON part, and the tensors


def load(path: Path, model: nn.Module, task: Task, strict: bool, differences: str) -> Content:
    """Read weights that `save` wrote into the model; returns what `read` gives."""
    if differences not in DIFFERENCES:
        known = ", ".join(map(repr, DIFFERENCES))
        raise UsageError(f"differences is one of {known}, not {differences!r}")
    content = read(path)
    fill(path, content, model, task, strict, differences)
    return content


def fill(
    path: Path, content: Content, model: nn.Module, task: Task, strict: bool, differences: str
) -> None:
    """The weights of a file that was read into the model, where they are of such a one."""
    about, tensors = content
    if differences != "ignore":
        _check_task(task, about, path)
        _compare_inputs(task, about, path, differences)
    weights = {k.removeprefix(_MODEL): v for k, v in tensors.items() if k.startswith(_MODEL)}
    _check_weights(model, weights, path, strict)
    ours = model.state_dict()
    weights = {k: placed(v, ours[k]) if k in ours else v for k, v in weights.items()}
    model.load_state_dict(weights, strict=strict)


def read(path: Path) -> Content:
    """The JSON part and the tensors of a checkpoint, checked."""
    from safetensors import safe_open

    if not path.is_file():
        near = sorted(p.stem for p in path.parent.glob("*.safetensors"))
        raise CheckpointError(f"{path}: no such file; saved here are: {listing(near) or 'none'}")
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            about = json.loads(metadata.get("onecycle", "{}"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except Exception as error:  # safetensors raises its own kind for each fault of the header
        raise CheckpointError(f"{path}: damaged, or no checkpoint at all ({error})") from error
    if not isinstance(about, dict) or "format" not in about:
        raise CheckpointError(
            f"{path}: not written by learn.save(); for weights of another program use "
            f'pretrained="{path.name}"'
        )
    if not _is_whole(about):
        raise CheckpointError(f"{path}: damaged: its description lacks what learn.save() writes")
    if about["format"] > FORMAT:
        raise CheckpointError(f"{path}: written by a newer onecycle ({about.get('onecycle')})")
    if metadata.get("sha256") != digest(tensors, metadata["onecycle"]):
        raise CheckpointError(f"{path}: damaged: its content does not match its digest")
    return about, tensors


def _is_whole(about: Any) -> bool:
    """Whether the JSON part has what is looked at, each of its type."""
    task, rows = about.get("task"), about.get("history", [])
    return (
        isinstance(about["format"], int)
        and isinstance(about.get("trained"), int | None)
        and isinstance(task, dict)
        and all(isinstance(task.get(side), dict) for side in ("input", "target"))
        and isinstance(rows, list)
        and all(isinstance(row, dict) for row in rows)
    )


def stored_row(path: Path, model: nn.Module, task: Task) -> tuple[dict[str, Any], str | None]:
    """The last row of the history in a file, and why the file is none of this learner.

    ({}, None) where there is no file. Reads the header alone.
    """
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        return {}, None
    try:
        with safe_open(path, "pt") as file:
            about = json.loads((file.metadata() or {})["onecycle"])
            names = [name for name in file.keys() if name.startswith(_MODEL)]  # noqa: SIM118
            shapes = {name: tuple(file.get_slice(name).get_shape()) for name in names}
        if not _is_whole(about):
            raise ValueError("parts are missing")
        _check_task(task, about, path)
        history = about["history"]
    except CheckpointError:
        return {}, "of a model with other answers"
    except (OSError, SafetensorError, ValueError, KeyError, TypeError, AttributeError):
        return {}, "damaged or no checkpoint"
    ours = model.state_dict()
    if shapes != {_MODEL + name: tuple(value.shape) for name, value in ours.items()}:
        return {}, "of another model"
    return (history[-1] if history else {}), None


def digest(tensors: Mapping[str, Tensor], text: str) -> str:
    """SHA-256 over the JSON part, and names, kinds and bytes of the tensors."""
    total = sha256(text.encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        total.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        total.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return total.hexdigest()


def has_optimizer(content: Content) -> bool:
    """Whether the optimizer was saved too."""
    return any(name.startswith(_OPT) for name in content[1])


def restore_optimizer(optimizer: GroupedOptimizer, content: Content, path: Path) -> bool:
    """Fill a fresh optimizer; False, with a warning, where it has another shape (frozen groups)."""
    about, tensors = content
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        if key.startswith(_OPT):
            _, index, name = key.split(".", 2)
            state.setdefault(int(index), {})[name] = value
    trained = about.get("trained") or 0
    parameters = [p for part in optimizer.param_groups for p in part["params"]]
    fits = trained == len(parameters) and all(
        index < trained and (value.ndim == 0 or value.shape == parameters[index].shape)
        for index, values in state.items()
        for value in values.values()
    )
    if fits:
        for number, kept in state.items():
            wide = [name for name, value in kept.items() if value.ndim]
            kept |= {name: placed(kept[name], parameters[number]) for name in wide}
        groups = optimizer.inner.state_dict()["param_groups"]
        optimizer.inner.load_state_dict({"state": state, "param_groups": groups})
    else:
        message = f"{path}: the saved optimizer is of other frozen groups; it starts afresh"
        warn(message, 4)
    return fits


def _check_task(task: Task, about: Mapping[str, Any], path: Path) -> None:
    """The saved answers must be the learner's: same kind, same classes; and texts' vocabulary."""
    saved = about.get("task", {}).get("target", {})
    plain = json.loads(json.dumps(task.target.to_json(), default=str))
    differ = [k for k in plain | saved if k not in TUNED and saved.get(k) != plain.get(k)]
    if differ:
        raise CheckpointError(
            f"{path}: saved for other answers: {differ[0]} was {saved.get(differ[0])}, here it is "
            f"{plain.get(differ[0])}"
        )
    words, own = about["task"]["input"].get("vocab"), task.input.vocab
    given = task.input
    ways = different(about["task"]["input"], given.to_json(), given, only=_READING[1:])
    if ways:
        raise CheckpointError(
            f"{path}: its texts are read otherwise than these: {'; '.join(ways)}. Make the data "
            "with the same tokenizer and direction"
        )
    if words is not None and tuple(words) != tuple(own):
        at = next((i for i, (a, b) in enumerate(zip(words, own, strict=False)) if a != b), -1)
        where = f"number {at} was {words[at]!r}, here it is {own[at]!r}" if at >= 0 else "shorter"
        raise CheckpointError(
            f"{path}: saved with another vocabulary ({len(words)} and {len(own)} tokens; {where}). "
            "Make the data with the same one (vocab=), or pass on only the encoder, which is read "
            "by token: save_encoder, load_encoder"
        )


def _compare_inputs(task: Task, about: Mapping[str, Any], path: Path, differences: str) -> None:
    """Say where items are prepared, or decided about, otherwise than those of the saved model."""
    saved, ours = about["task"], task_to_json(task.input, task.target)
    found = different(saved["input"], ours["input"], task.input, without=_READING)
    found += different(saved["target"], ours["target"], task.target, only=("thresh",))
    if not found:
        return
    message = (
        f"{path}: the model was saved with other data: {'; '.join(found)}. Make the data in the "
        'same way, or, where that is meant, say learn.load(..., differences="ignore")'
    )
    if differences == "error":
        raise CheckpointError(message)
    warn(message, 5)


def _check_weights(
    model: nn.Module, weights: Mapping[str, Tensor], path: Path, strict: bool
) -> None:
    ours = model.state_dict()
    lost, extra = sorted(set(ours) - set(weights)), sorted(set(weights) - set(ours))
    wrong = [k for k in ours if k in weights and ours[k].shape != weights[k].shape]
    if wrong or (strict and (lost or extra)):
        raise CheckpointError(
            f"{path}: saved from another model: {len(lost)} tensors are missing "
            f"({listing(lost, 2)}), {len(extra)} are unknown ({listing(extra, 2)}), {len(wrong)} "
            f"have another shape ({listing(wrong, 2)})"
        )


# Other data for a learner: may it take the place of the data that the learner was made for?

_LONG = 60  # characters of a value in a message


def fit_swapped(ours: Task, data: Any) -> Any:
    """The other data of a learner, images normalised as its own where nobody has normalised them.

    Raise where the answers differ (other classes, another width), warn of other statistics.
    """
    given = data.task.input
    if given.suits_stats_of_weights and given.mean is None and ours.input.mean is not None:
        message = (
            "the other data is not normalised: it is now, as this learner's was, with "
            f"{(ours.input.mean, ours.input.std)}"
        )
        warn(message, 3)
        data = data.normalize((ours.input.mean, ours.input.std))
    _check_swap(ours, data.task)
    return data


def _check_swap(ours: Task, theirs: Task) -> None:
    old, new = ours.target.to_json(), theirs.target.to_json()
    differ = [k for k in old | new if k not in TUNED and old.get(k) != new.get(k)]
    if differ:
        raise UsageError(
            f"the other data has other answers: {differ[0]} is {new.get(differ[0])}, this "
            f"learner was made for {old.get(differ[0])}"
        )
    # Another size is what data is swapped for.
    without = ("size", "window", "vocab")
    found = different(ours.input.to_json(), theirs.input.to_json(), ours.input, without)
    if found:
        message = (
            f"the other data is normalised or resized otherwise than this learner's: "
            f"{'; '.join(found)}. Make it in the same way: normalize() with the same statistics, "
            "transform() with the same ways of resizing"
        )
        warn(message, 4)


def different(
    old: Mapping[str, Any],
    new: Mapping[str, Any],
    spec: Any,
    without: Collection[str] = (),
    only: Collection[str] | None = None,
) -> list[str]:
    """What differs between two specs as JSON, in words.

    Fields that one does not know are none, but for those that the `spec` of either leaves out at
    their default.
    """
    known = spec.left_out() if isinstance(spec, Plain) else {}
    new = json.loads(json.dumps({**known, **new}, default=str))
    old = json.loads(json.dumps({**known, **old}, default=str))
    return [
        f"{name} was {short(old[name])}, here it is {short(new[name])}"
        for name in old
        if name in new
        and name not in without
        and (only is None or name in only)
        and old[name] != new[name]
    ]


def short(value: Any) -> str:
    """As a text, cut where it is long."""
    text = str(value)
    return text if len(text) <= _LONG else f"{text[:_LONG]}..."
