"""What a learner says of tiles, in the form in which an exported file says it."""

from typing import Any

import numpy as np
import torch

from onecycle.core.errors import UsageError
from onecycle.export.graph import session
from onecycle.export.image import image_prelude
from onecycle.learn import loop
from onecycle.learn.predictions import OneBatch, Trained


def look_at_tiles(learner: Trained, tiles: np.ndarray) -> dict[str, np.ndarray]:
    """Probabilities (n, classes, h, w) of tiles (n, h, w, bands), and where these lie there."""
    given: Any = learner.data.task.input
    spec, target = given.file_spec, learner.data.task.target
    if spec.in_python:
        raise UsageError(
            f"validation changes images by {'; '.join(spec.in_python)}, which may move what is "
            "seen of a tile: tiles need validation transforms that a file can hold"
        )
    x = torch.cat([next(iter(learner.data.single([tile])))[0] for tile in tiles])
    outputs, _ = next(iter(loop.predict(learner.model, OneBatch(x), learner.engine)))
    run = session(image_prelude(spec).SerializeToString())
    box, inner = run.run(["box", "inner"], {spec.tensor: tiles[:1]})
    return {"probabilities": target.activate(outputs).cpu().numpy(), "box": box, "inner": inner}
