"""Hatchling's hook: a wheel or an sdist without the browser's runtime says so while it is built."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

RUNTIME = Path("web/page/ort")


class RuntimeHook(BuildHookInterface[Any]):
    """Looks for what `make web` fetches and git does not keep."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Warn where `onecycle site` will not work after an installation."""
        present = any((Path(self.root) / RUNTIME).glob("*.wasm*"))
        if version != "editable" and not present:
            self.app.display_warning(
                f"{RUNTIME} is missing: what is built here has no page that runs in a browser, and "
                "`onecycle site` will refuse. Run `make web` first (needs npm)"
            )
