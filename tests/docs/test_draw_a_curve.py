"""The page that fits a drawn curve: its gradients are right, it learns, it can be used by hand."""

import os
from pathlib import Path

import pytest
from docs_helpers import ROOT
from folder_server import served

FOLDER = ROOT / "docs/draw-a-curve"

COMPARED = """async ([layers, width, activation]) => {
  const { network, gradients } = await import('./network.js');
  const net = network(layers, width, activation, 5);
  const points = [[-0.8, 0.3], [-0.1, -0.6], [0.45, 0.2], [0.9, 0.7]];
  const told = gradients(net, points).gradients, step = 1e-6;
  let worst = 0, largest = 0, count = 0;
  net.layers.forEach((layer, i) => {
    for (const part of ['w', 'b']) for (let k = 0; k < layer[part].length; k++) {
      const before = layer[part][k];
      layer[part][k] = before + step;
      const above = gradients(net, points).loss;
      layer[part][k] = before - step;
      const below = gradients(net, points).loss;
      layer[part][k] = before;
      worst = Math.max(worst, Math.abs((above - below) / (2 * step) - told[i][part][k]));
      largest = Math.max(largest, Math.abs(told[i][part][k]));
      count++;
    }
  });
  return [worst, largest, count];
}"""


@pytest.fixture
def page(browser):
    """The page at the width of a phone; what it says on the console is a fault."""
    context = browser.new_context(viewport={"width": 360, "height": 740})
    page = context.new_page()
    page.faults = []
    page.on("pageerror", lambda error: page.faults.append(str(error)))
    page.on("console", lambda m: page.faults.append(m.text) if m.type == "error" else None)
    with served(FOLDER) as address:
        page.goto(address)
        page.wait_for_selector("#count:not(:empty)")
        yield page
    faults = page.faults
    context.close()
    assert faults == []


def error(page):
    text = page.inner_text("#loss")
    return float(text) if text[:1].isdigit() else float("inf")


def settled(page, below):
    for _ in range(150):
        if error(page) < below:
            return True
        page.wait_for_timeout(100)
    return False


@pytest.mark.parametrize("activation", ["relu", "leaky", "tanh", "sigmoid", "none"])
def test_gradients_are_those_of_finite_differences(page, activation):
    worst, largest, count = page.evaluate(COMPARED, [2, 5, activation])
    assert count == (5 + 5) + (25 + 5) + (5 + 1)
    assert largest > 1e-3
    assert worst < 1e-7


def test_the_same_seed_makes_the_same_network_and_another_seed_another(page):
    code = """async () => {
      const { network } = await import('./network.js');
      return [7, 7, 8].map(seed => Array.from(network(1, 3, 'relu', seed).layers[0].w));
    }"""
    first, again, other = page.evaluate(code)
    assert first == again != other


def test_the_error_falls_and_a_linear_network_stays_a_line(page):
    assert settled(page, 0.01)
    page.select_option("#activation", "none")
    page.wait_for_timeout(1500)
    assert int(page.inner_text("#steps")) > 50
    assert error(page) > 0.1


def test_a_curve_can_be_drawn_with_the_pointer(page):
    page.click("#run")
    box = page.locator("#canvas").bounding_box()
    flat = box["y"] + box["height"] * 0.25  # y = 0.5
    page.mouse.move(box["x"] + 2, flat)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] - 2, flat, steps=8)
    page.mouse.up()
    page.click("#again")
    page.select_option("#activation", "none")  # a level line is all that it can learn
    assert settled(page, 1e-3)


def test_all_of_it_works_from_the_keyboard(page):
    page.focus("#canvas")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowUp")
    assert "At 0.05" in page.inner_text("#status")
    order = []
    for _ in range(12):
        page.keyboard.press("Tab")
        order.append(page.evaluate("document.activeElement.id || document.activeElement.tagName"))
    assert order[3:9] == ["layers", "width", "rate", "activation", "run", "again"]
    page.focus("#width")
    page.keyboard.press("ArrowRight")
    assert page.inner_text("#width-said") == "9"
    page.focus("#run")
    page.keyboard.press("Enter")
    assert page.inner_text("#run") == "Go on"
    before = page.inner_text("#steps")
    page.wait_for_timeout(300)
    assert page.inner_text("#steps") == before


def test_nothing_is_wider_than_a_phone_and_everything_has_a_name(page):
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    unnamed = page.evaluate(
        "[...document.querySelectorAll('input, select, button, canvas')].filter(e => !e.ariaLabel"
        " && !e.labels?.length && !e.textContent.trim()).map(e => e.id)"
    )
    assert unnamed == []


def test_a_rate_that_is_too_large_is_said(page):
    page.evaluate("document.querySelector('#rate').max = 200")
    page.evaluate("document.querySelector('#rate').value = 200")
    page.dispatch_event("#rate", "input")
    page.get_by_text("choose a smaller rate").wait_for(timeout=10_000)
    assert page.inner_text("#run") == "Go on"


def test_nothing_is_fetched_from_elsewhere():
    for file in FOLDER.iterdir():
        assert "http" not in file.read_text(encoding="utf-8"), file.name


@pytest.mark.skipif("ONECYCLE_SHOTS" not in os.environ, reason="makes the image in docs/")
def test_image(browser):
    page = browser.new_page(viewport={"width": 760, "height": 860}, device_scale_factor=1.5)
    with served(FOLDER) as address:
        page.goto(address)
        page.select_option("#activation", "relu")
        page.wait_for_timeout(1200)
        page.screenshot(path=Path(os.environ["ONECYCLE_SHOTS"]) / "draw-a-curve.png")
    page.close()
