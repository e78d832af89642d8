"""`onecycle site`: what ships an exported model."""

from __future__ import annotations

import json
from pathlib import Path

from onecycle.core.errors import UsageError
from onecycle.deploy.site import write_site


def site(model: Path, out: Path, title: str | None, theme: Path | None) -> None:
    """Write the site and say how to look at it."""
    smileys = None
    if theme is not None:
        try:
            smileys = json.loads(theme.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise UsageError(f"{theme} is no JSON file of class to emoji: {error}") from error
        if not isinstance(smileys, dict):
            raise UsageError(f"{theme} holds no object of class to emoji")
    folder = write_site(model, out, title, smileys)
    size = sum(f.stat().st_size for f in folder.rglob("*") if f.is_file()) / 1e6
    print(f"{folder}: {size:.1f} MB, for any static host. Look at it here first:")
    print(f"  python -m http.server --directory {folder} 8000, then http://localhost:8000")
    print("Then, for example: npx vercel deploy --prod " + str(folder))
