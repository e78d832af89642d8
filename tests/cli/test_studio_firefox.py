"""The way from a folder to a page without a network, in Firefox as Debian builds it."""

import re

import numpy as np
import pytest

from helpers.firefox import PROGRAM, Firefox
from helpers.studio_page import draw, free_port, studio
from onecycle.runtime.predictor import Predictor

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(PROGRAM is None, reason="no firefox-esr and no firefox on this machine"),
]
READY = "/Ready/.test(document.body.innerText)"


def press(firefox, text):
    """Click what is called so, once it is there and can be pressed."""
    found = f"""[...document.querySelectorAll("button, a.button")]
        .find(one => one.innerText.trim() === {text!r} && !one.disabled)"""
    firefox.wait(f"{found} !== undefined")
    firefox.value(f"void {found}.click()")


def test_from_a_folder_to_a_page_without_a_network(tmp_path):
    rng, photos = np.random.default_rng(0), tmp_path / "photos"
    for name, colour in (("red", (200, 60, 50)), ("blue", (40, 70, 200))):
        (photos / name).mkdir(parents=True)
        for i in range(12):
            draw(rng, colour, photos / name / f"{i}.png")
    (tmp_path / "profile").mkdir()
    page = studio(tmp_path / "home", free_port(), str(photos))
    with Firefox(tmp_path / "profile") as firefox, page as (address, process):
        base = address.split("?")[0]
        firefox.open(address)
        firefox.wait("/24 images, 2 classes/.test(document.body.innerText)")
        firefox.wait("[...document.querySelectorAll('.cell img')].some(i => i.naturalWidth)")
        firefox.open(f"{base}#/train")
        firefox.wait("document.querySelector('form input[type=number]') !== null")
        firefox.value("void (document.querySelector('form input').value = '0.05')")
        press(firefox, "Train")
        press(firefox, "Look at mistakes")
        firefox.wait("/Nothing|There are none|labelled/.test(document.body.innerText)")
        firefox.value("void (location.hash = '#/ship')")
        press(firefox, "Make the page")
        firefox.wait("document.querySelector('iframe.phone') !== null")
        firefox.open(f"{base}site/1/")
        firefox.wait(READY)
        firefox.wait("navigator.serviceWorker.ready.then(one => one.active.state) ")
        firefox.wait("navigator.serviceWorker.controller !== null")
        process.kill()  # from here on there is no network
        process.wait()
        firefox.reload()
        firefox.wait(READY)
        image = photos / "red/3.png"
        firefox.choose("input[type=file]", image)
        said = firefox.wait("document.querySelector('#answer .headline')?.innerText")
    predicted = Predictor(tmp_path / "home/runs/1/model.onnx").predict(image)
    assert re.search(rf"\b{predicted}\b", said)
