"""The image of the page on a phone that the documentation begins with.

    python scripts/phone_shot.py SITE PHOTO docs/phone.webp

SITE is what `onecycle site` wrote, PHOTO what its page is asked about; needs chromium.
"""

import argparse
import io
import shutil
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests/helpers"))
from folder_server import served


def main() -> None:
    """Ask, wait for the answer, and keep what a phone of 390 pixels shows."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    for name in ("site", "photo", "out"):
        parser.add_argument(name, type=Path)
    given = parser.parse_args()
    with served(given.site) as address, sync_playwright() as started:
        browser = started.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        page = browser.new_page(viewport={"width": 390, "height": 700}, device_scale_factor=1.5)
        page.goto(address)
        page.wait_for_selector("body[data-ready]", timeout=60_000)
        page.set_input_files("#choose", given.photo)
        page.wait_for_selector("body[data-answered]", timeout=60_000)
        shot = page.screenshot(full_page=True)
        browser.close()
    Image.open(io.BytesIO(shot)).convert("RGB").save(given.out, quality=82, method=6)
    print(f"{given.out}: {given.out.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
