"""`onecycle predict --tile`: the mask of one image of any size, as a file."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from onecycle.cli.predict import Where
from onecycle.core.errors import UsageError
from onecycle.runtime.predictor import Predictor


def predict_tiled(
    model: Path,
    sources: Sequence[Path],
    tiles: tuple[int | None, int | None],
    out: Path | None,
    where: Where,
    others: Sequence[Any],
) -> dict[str, Any]:
    """Write the mask of an image to `out`; `tiles` are their size and overlap. What --json prints.

    `others` are options of tables, which have no effect here and are refused.
    """
    tile, overlap = tiles
    where.refuse("tiles", "column", "folder", "suffix", "label_col")
    if any(value is not None for value in others):
        raise UsageError(
            "--thresh, --top, --shard, --workers and --providers have no effect on tiles: leave "
            "them out"
        )
    if tile is None or out is None or len(sources) != 1 or model.suffix != ".onnx":
        raise UsageError(
            "tiles need model.onnx, one image, --tile and a file for its mask: onecycle predict "
            "model.onnx town.tif --tile 512 --out mask.tif"
        )
    mask = Predictor(model).predict_tiled(sources[0], tile, overlap, out)
    print(f"mask {mask.shape[0]} x {mask.shape[1]} written to {out}")
    return {"mask": str(out), "height": mask.shape[0], "width": mask.shape[1]}
