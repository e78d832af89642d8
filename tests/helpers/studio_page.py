"""The studio's command, a tab of a browser in it, and images of one colour each to train on."""

import re
import socket
import subprocess
import sys
import time
from contextlib import contextmanager

import numpy as np
from PIL import Image


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def studio(home, port, *source):
    """The command, and the address that it says."""
    command = "from onecycle.cli.main import app; app()"
    options = [*source, "--home", str(home), "--port", str(port)]
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", command, "studio", *options],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        line = process.stdout.readline()
        address = re.search(r"http://\S+", line)[0]
        for _ in range(100):
            with socket.socket() as probe:
                if not probe.connect_ex(("127.0.0.1", port)):
                    break
            time.sleep(0.1)
        yield address, process
    finally:
        process.kill()
        process.communicate()


def opened(browser, address, **how):
    """A tab, which says what went wrong in it."""
    page = browser.new_context(locale="en-US", permissions=["camera"], **how).new_page()
    page.faults = []
    page.on("pageerror", lambda error: page.faults.append(str(error)))
    page.on("console", lambda one: page.faults.append(one.text) if one.type == "error" else None)
    page.set_default_timeout(90_000)
    page.goto(address)
    return page


def room(page, name):
    page.get_by_role("link", name=re.compile(name)).first.click()
    page.wait_for_url(re.compile(f"#/{name.lower()}"))
    page.wait_for_timeout(200)
    page.locator("main h1").wait_for()


def draw(rng, colour, path):
    coarse = rng.integers(-40, 40, (5, 5, 3)) + np.array(colour)
    Image.fromarray(coarse.clip(0, 255).astype(np.uint8)).resize((48, 40)).save(path)
