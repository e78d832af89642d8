"""`onecycle site`: what ships an exported model."""

from pathlib import Path

from onecycle.runtime.site import write_site


def site(model: Path, out: Path, title: str | None, theme: Path | None) -> None:
    """Write the site and say how to look at it."""
    folder = write_site(model, out, title, theme)
    size = sum(f.stat().st_size for f in folder.rglob("*") if f.is_file()) / 1e6
    print(f"{folder}: {size:.1f} MB, for any static host. Look at it here first:")
    print(f"  python -m http.server --directory {folder} 8000, then http://localhost:8000")
    print("Then, for example: npx vercel deploy --prod " + str(folder))
