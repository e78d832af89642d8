"""What commands are told about a model's page: how it looks, and by what it computes."""

from pathlib import Path
from typing import Annotated

import typer

Title = Annotated[str | None, typer.Option(help="The page's heading.")]
Theme = Annotated[
    Path | None, typer.Option(help="JSON file: class to an emoji, or to a smiley's features.")
]
Icon = Annotated[
    Path | None, typer.Option(help="The page's icon: a square image of 180 pixels or more.")
]
Examples = Annotated[
    Path | None, typer.Option(help="Folder of up to 12 items to try; the page publishes them.")
]
Gpu = Annotated[
    bool,
    typer.Option(
        "--gpu",
        help="Compute by WebGPU where the visitor's browser has it and the GPU answers rightly "
        "(6.6 MB more to fetch there).",
    ),
]
