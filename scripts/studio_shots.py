"""The images of the studio in the documentation: each room at three widths.

    python scripts/studio_shots.py docs/studio

Draws satellite tiles, trains on their weather through the page, ships; needs chromium.
"""

import argparse
import csv
import io
import json
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image
from playwright.sync_api import Page, sync_playwright

from onecycle import planet_sample

ROOMS = ("data", "look", "train", "mistakes", "decide", "ship")
WIDE, NARROW = 1440, (768, 360)
PORT = 8044


def main() -> None:
    """Go through the rooms once, then take each at each width."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("out", type=Path, help="The folder for the images.")
    parser.add_argument("--minutes", default="1", help="Of the training.")
    parser.add_argument("--least", type=float, default=0.8, help="Accuracy, or no image.")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as folder:
        photos = _tiles_by_weather(Path(folder))
        command = [sys.executable, "-c", "from onecycle.cli.main import app; app()", "studio"]
        options = [str(photos), "--home", f"{folder}/home", "--port", str(PORT)]
        process = subprocess.Popen([*command, *options], stdout=subprocess.PIPE, text=True)
        try:
            assert process.stdout is not None
            found = re.search(r"http://\S+", process.stdout.readline())
            assert found is not None
            time.sleep(2)
            with sync_playwright() as started:
                browser = started.chromium.launch(executable_path=shutil.which("chromium"))
                page = browser.new_context(locale="en-US").new_page()
                page.set_default_timeout(180_000 * max(1, float(given.minutes)))
                page.goto(found[0])
                _work(page, given.minutes)
                reached = json.loads(Path(folder, "home/runs/1/train.json").read_text("utf-8"))[
                    "metrics"
                ]
                accuracy = reached["accuracy"][0]
                print(f"accuracy {accuracy:.3f}")
                if accuracy < given.least:
                    sys.exit("the model has not learned enough to be shown: give more --minutes")
                for width in (WIDE, *NARROW):
                    shots = [_shot(page, room, width) for room in ROOMS]
                    _keep(given.out, width, shots)
                browser.close()
        finally:
            process.kill()


def _tiles_by_weather(folder: Path) -> Path:
    """300 drawn tiles in a folder for each of cloudy, partly cloudy, hazy and clear."""
    drawn = planet_sample(folder / "drawn", n=300)
    with (drawn / "train_v2.csv").open(encoding="utf-8") as table:
        for row in csv.DictReader(table):
            (weather,) = {"clear", "cloudy", "haze", "partly_cloudy"} & {*row["tags"].split()}
            place = folder / "tiles" / weather.replace("_", " ")
            place.mkdir(parents=True, exist_ok=True)
            name = f"{row['image_name']}.jpg"
            (drawn / "train-jpg" / name).rename(place / name)
    return folder / "tiles"


def _work(page: Page, minutes: str) -> None:
    """Train, decide and ship, so that no room is empty."""
    _go(page, "data")
    page.get_by_role("button", name="Look for problems").click()
    page.get_by_text(re.compile("No problem|Kinds of problems")).wait_for()
    _go(page, "train")
    page.get_by_label("Minutes").fill(minutes)
    page.get_by_role("button", name="Train", exact=True).click()
    page.get_by_role("link", name="Look at mistakes").wait_for()
    _go(page, "ship")
    page.get_by_role("button", name="Make the page").click()
    page.frame_locator("iframe").get_by_text("Ready").wait_for()


def _go(page: Page, room: str) -> None:
    page.goto(f"http://127.0.0.1:{PORT}/#/{room}")
    page.reload()
    page.locator("main h1").wait_for()


def _shot(page: Page, room: str, width: int) -> Image.Image:
    page.set_viewport_size({"width": width, "height": 900})
    _go(page, room)
    time.sleep(4)
    return Image.open(io.BytesIO(page.screenshot(full_page=True))).convert("RGB")


def _keep(out: Path, width: int, shots: list[Image.Image]) -> None:
    """A file for each room where it is wide, or all of them beside one another."""
    if width == WIDE:
        for room, shot in zip(ROOMS, shots, strict=True):
            shot.save(out / f"{room}.webp", quality=78, method=6)
        return
    height = min(1600, max(shot.height for shot in shots))
    row = Image.new("RGB", ((width + 12) * len(shots), height), "#8a9a98")
    for i, shot in enumerate(shots):
        row.paste(shot.crop((0, 0, width, min(height, shot.height))), (i * (width + 12), 0))
    row.thumbnail((2400, 2400))
    row.save(out / f"{width}.webp", quality=78, method=6)


if __name__ == "__main__":
    main()
