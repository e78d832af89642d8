"""An exported file on the Hugging Face Hub: fetched from there, sent there with a model card."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256 as digest_of
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any

from onecycle.core.errors import HubError, OnecycleError, UsageError
from onecycle.runtime.predictor import Predictor

FILE, CARD = "model.onnx", "README.md"
_SHOWN = 100  # classes in a card


def from_hub(
    repo: str, revision: str | None = None, sha256: str | None = None, token: str | None = None
) -> Predictor:
    """The predictor of the file that `push_to_hub` sent to `repo`, "user/name".

    The file is kept in the cache of huggingface_hub (`onecycle[hub]`). A model file is a program:
    of a stranger's repository give the `revision` (a commit) or the `sha256` that you trust.
    HubError where it cannot be had, ModelError where it is not the file that was meant.
    """
    _require_name(repo)
    with answering(f"{FILE} of {repo} cannot be had", token) as hub:
        path = hub.hf_hub_download(repo, FILE, revision=revision, token=token)
    return Predictor(path, sha256=sha256)


def push_to_hub(
    file: str | Path,
    repo: str,
    private: bool = False,
    token: str | None = None,
    data: str = "",
    limits: str = "",
) -> str:
    """Send an exported file and its card to `repo`, "user/name"; returns the commit's address.

    A repository that is not there is made, for everybody to see unless `private`. `data` and
    `limits` are your words for those sections of the card. Without a `token` it is that of
    `hf auth login`. Needs `onecycle[hub]`; HubError where the hub refuses.
    """
    _require_name(repo)
    file = Path(file)
    with TemporaryDirectory() as folder, answering(f"{repo} cannot be written", token) as hub:
        card = Path(folder, CARD)
        card.write_text(card_of(file, repo, data, limits), "utf-8")
        api = hub.HfApi(token=token, library_name="onecycle")
        api.create_repo(repo, private=private, exist_ok=True)
        parts = {FILE: file, CARD: card}
        operations = [hub.CommitOperationAdd(name, path) for name, path in parts.items()]
        done = api.create_commit(repo, operations, commit_message="Exported by onecycle")
    return str(done.commit_url)


def _require_name(repo: str) -> None:
    if not re.fullmatch(r"\w[\w.-]*/\w[\w.-]*", repo):
        raise UsageError(f'a repository of the hub is named "user/name", not {repo!r}')


@contextmanager
def answering(what: str, token: str | None = None) -> Iterator[ModuleType]:
    """huggingface_hub; whatever it raises is a HubError that begins with `what`, without tokens."""
    try:
        import huggingface_hub as hub
    except ImportError as error:
        raise UsageError("the hub needs huggingface_hub: pip install 'onecycle[hub]'") from error
    try:
        yield hub
    except OnecycleError:
        raise
    except Exception as error:  # the hub, the network and the file system raise many kinds
        reasons = [str(e).strip() or type(e).__name__ for e in (error, error.__cause__) if e]
        reason = ": ".join(reasons)
        for secret in filter(None, (token, hub.get_token())):
            reason = reason.replace(secret, "***")
        # Without the cause: it may hold the request, and with it the token.
        raise HubError(f"{what} ({' '.join(reason.split())[:600]})") from None


def card_of(file: Path, repo: str, data: str = "", limits: str = "") -> str:
    """The model card (Markdown) of an exported file: data, metrics, limits, how to use it."""
    predictor = Predictor(file)
    about, names = predictor.about, [_quoted(name) for name in predictor.classes]
    trained: dict[str, Any] = about.get("trained", {})
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    answers = f" Its {len(names)} classes: {', '.join(names[:_SHOWN])}{more}." if names else ""
    items, held = trained.get("items", "an unknown number of"), trained.get("validation_items")
    metrics = "".join(f"| {k} | {v:.4g} |\n" for k, v in trained.get("metrics", {}).items())
    measured = f"""Of {held or "the"} validation items, after the last epoch. Choices may have been
made by them, so that other items fare somewhat worse.

| metric | value |
|---|---|
{metrics}"""
    thresh = "" if predictor.thresh is None else f", above a threshold of {predictor.thresh}"
    digest = digest_of(file.read_bytes()).hexdigest()
    return f"""---
library_name: onecycle
tags:
- onecycle
- onnx
---
# {repo}

One ONNX file with its preprocessing. It takes: {predictor.input.kind}; it gives:
{predictor.target.kind}{thresh}.{answers}

## Data

Trained on {items} items; exported on {trained.get("date", "an unknown day")} by onecycle
{about["library"]} in {about["made"]["precision"]}. {data}

## Metrics

{measured if metrics else "None are known."}
## Limits

It knows nothing but what it was trained on, and answers whatever it is given: of what is unlike its
training items the answer means nothing. Measure it on items of your own before you rely on it.
{limits}

## How to use it

```python
from onecycle.runtime.hub import from_hub

predictor = from_hub("{repo}", sha256="{digest}")
print(predictor.predict("an item of yours"))
```

It needs `pip install "onecycle[hub]"`; the file is also run by any ONNX Runtime.
"""


def _quoted(name: Any) -> str:
    """A class as code, in which Markdown and HTML mean nothing."""
    return f"`{' '.join(str(name).replace('`', chr(39)).split())}`"
