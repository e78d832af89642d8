"""The documentation builds offline, its pages ran, its links lead somewhere, its search finds."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from docs_helpers import ROOT, script
from folder_server import served

SOURCES = sorted((ROOT / "docs").rglob("*.py"))


def built(*options, timeout=900):
    command = [sys.executable, str(ROOT / "scripts/build_docs.py"), *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout)
    assert done.returncode == 0, done.stderr
    assert "No issues found" in done.stdout + done.stderr
    assert f"The site is in {ROOT / 'build/site'}" in done.stdout
    return ROOT / "build/site"


@pytest.fixture(scope="module")
def site():
    """The whole site, its pages run on tiny data."""
    pytest.importorskip("jupytext")
    pytest.importorskip("zensical")
    return built("--tiny")


def shown(site, page):
    return (site / page).read_text(encoding="utf-8")


def test_every_link_leads_to_a_page_and_a_place_in_it(site):
    pages = sorted(site.rglob("*.html"))
    assert len(pages) > 15
    broken = []
    for page in pages:
        if page.name == "404.html":
            continue
        for link in re.findall(r'(?:href|src)="([^"]+)"', page.read_text(encoding="utf-8")):
            if re.match(r"[a-z]+:|//", link):
                continue
            name, _, place = link.partition("#")
            goal = (page.parent / name.partition("?")[0]).resolve() if name else page
            goal = goal / "index.html" if goal.is_dir() else goal
            if not goal.is_file() or (
                place
                and goal.suffix == ".html"
                and f'id="{place}"' not in goal.read_text(encoding="utf-8")
            ):
                broken.append(f"{page.name}: {link}")
    assert broken == []


def test_no_page_is_wider_than_a_phone_lacks_a_image_or_asks_elsewhere(site, browser):
    opened = browser.new_page(viewport={"width": 360, "height": 740})
    faults, asked = [], []
    opened.on("pageerror", lambda error: faults.append(str(error)))
    opened.on("request", lambda request: asked.append(request.url))
    with served(site) as address:
        for page in sorted(p.relative_to(site).as_posix() for p in site.rglob("*.html")):
            opened.goto(f"{address}{page}")
            opened.wait_for_function("[...document.images].every(i => i.complete)")
            if opened.evaluate("document.documentElement.scrollWidth") > 360:
                faults.append(f"{page} is too wide")
            lacking = "[...document.images].filter(i => !i.naturalWidth).map(i => i.src)"
            faults += opened.evaluate(lacking)
        faults += [url for url in asked if not url.startswith((address, "data:", "blob:"))]
    opened.close()
    assert faults == []


BROKEN = """() => {
  const found = [];
  for (const cell of document.querySelectorAll("td, th")) {
    const texts = document.createTreeWalker(cell, NodeFilter.SHOW_TEXT);
    for (let node; (node = texts.nextNode()); )
      for (const word of node.data.matchAll(/[\\p{L}\\d_]+/gu)) {
        const range = document.createRange();
        range.setStart(node, word.index);
        range.setEnd(node, word.index + word[0].length);
        if (new Set([...range.getClientRects()].map((r) => r.top)).size > 1) found.push(word[0]);
      }
  }
  return found;
}"""


def test_no_word_of_a_table_is_broken_on_a_phone(site, browser):
    opened, broken = browser.new_page(viewport={"width": 360, "height": 740}), {}
    with served(site) as address:
        for page in sorted(p.relative_to(site).as_posix() for p in site.rglob("*.html")):
            if "<table" in shown(site, page):
                opened.goto(f"{address}{page}")
                broken[page] = opened.evaluate(BROKEN)
    opened.close()
    assert len(broken) > 10
    assert {page: words for page, words in broken.items() if words} == {}


def test_the_front_page_says_what_it_is_for_beside_the_phone_and_leads_to_the_source(site, browser):
    opened = browser.new_page(viewport={"width": 1280, "height": 800})
    with served(site) as address:
        opened.goto(f"{address}index.html")
        phone = opened.locator("img[src='phone.webp']").bounding_box()
        text = opened.locator(".front p").first.bounding_box()
        assert phone["x"] > text["x"] + text["width"]
        assert phone["y"] + phone["height"] < 800
        opened.goto(f"{address}reference/learners.html")
        opened.locator("a[href$='vision/learner.py.txt']").first.click()
        opened.wait_for_url("**/vision/learner.py.txt")
        assert "def cnn_learner(" in opened.inner_text("body")
    opened.close()
    assert (site / "phone.webp").stat().st_size < 100_000


@pytest.mark.parametrize(
    ("page", "reported"),
    [
        ("tutorials/single_label", "error_rate"),
        ("tutorials/several_labels", "image_name,tags"),
        ("tutorials/segmentation", "mean_iou"),
        ("tutorials/points", "half of the answers are within"),
        ("tutorials/text", "xxmaj"),
        ("tutorials/series", "SeriesInput"),
        ("tutorials/arrays", "r2"),
        ("tutorials/shipping", "in 16 bits"),
        ("how-to/own_items", "SoundInput -&gt;"),
        ("how-to/own_parts", "largest gradient"),
        ("how-to/long_training", "goes on in epoch 2"),
        ("how-to/trackers", "train_loss"),
        ("how-to/search", "ended early"),
        ("behind-the-scenes", "in the good valley"),
    ],
)
def test_a_page_shows_what_it_printed(site, page, reported):
    text = shown(site, f"{page}.html")
    outputs = "".join(re.findall(r'<div class="language-text.*?</pre>', text, re.DOTALL))
    assert reported in re.sub(r"<[^>]+>", "", outputs)
    assert "# tiny" not in re.sub(r"<[^>]+>", "", text)


def test_the_pages_show_what_they_drew(site):
    images = {source.stem: 0 for source in SOURCES}
    for source in SOURCES:
        page = site / source.relative_to(ROOT / "docs").with_suffix(".html")
        text = page.read_text(encoding="utf-8")
        images[source.stem] = len(re.findall(rf'src="{source.stem}-\d+-\d+\.png"', text))
    assert images.pop("behind-the-scenes") == 6
    without = [name for name, n in images.items() if not n]
    words = ["encoders", "faster", "long_training", "own_parts", "recipes", "search"]
    words += ["splits", "trackers", "shipping", "text"]
    assert without == words


def test_stacked_linear_layers_are_off_from_linear_by_nothing_and_others_are_not(site):
    text = re.sub(r"<[^>]+>", "", shown(site, "behind-the-scenes.html"))
    off = dict(
        re.findall(r"^ *(\w[\w ]*) between the layers: off from linear by (\S+)", text, re.M)
    )
    assert float(off.pop("nothing")) < 1e-12
    assert set(off) == {"ReLU", "leaky ReLU", "sigmoid", "tanh"}
    assert min(map(float, off.values())) > 1e-3


@pytest.mark.parametrize(
    ("word", "page"),
    [
        ("lr_find", "reference/learners.html#learnerlr_find"),
        ("label_from_df", "reference/data.html#splititemslabel_from_df"),
        ("num_workers", "reference/data.html#labelleditemsdatabunch"),
        ("add_test", "reference/data.html#labelleditemsadd_test"),
        ("recorder", "reference/learners.html#recorder"),
        ("transform", "reference/data.html#labelleditemstransform"),
        ("label-delim", "reference/command-line.html#"),
        ("multipart", "reference/http.html#"),
        ("sync", "how-to/trackers.html"),
        ("competition", "how-to/data.html"),
        ("torchrun", "how-to/"),
    ],
)
def test_the_search_finds_a_page(site, browser, word, page):
    with served(site) as address:
        opened = browser.new_page(viewport={"width": 1200, "height": 800})
        faults = []
        opened.on("pageerror", lambda error: faults.append(str(error)))
        opened.goto(f"{address}index.html")
        opened.keyboard.press("/")  # the box is there once its script is
        box = opened.locator("input[aria-label='Search']")
        box.wait_for(timeout=30_000)
        box.press_sequentially(word, delay=20)
        name = page.partition("#")[0]
        place = page[len(name) :] or "?"  # of a page without headings to choose from
        found = opened.locator(f"a[href*='{name}'][href*='?'][href*='{place}']").first
        found.wait_for(timeout=30_000)
        if os.environ.get("ONECYCLE_SHOTS"):
            opened.screenshot(path=Path(os.environ["ONECYCLE_SHOTS"]) / f"search-{word}.png")
        found.click()
        opened.wait_for_url(f"**{name}*", timeout=10_000)
        opened.close()
    assert faults == []


def test_a_cell_shows_its_print_its_image_and_its_value_but_not_what_only_names_an_object(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "page.py").write_text(
        "# %% [markdown]\n# # Title\n# %%\nn = 600  # tiny: 6\nprint('n is', n)\n"
        "import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.title('a [line]')\n"
        "# %%\n[n, 'value']\n# %%\nobject()\n"
    )
    build = script("build_docs")
    for tiny, wanted in ((True, 6), (False, 600)):
        build.run_page(tmp_path / "page.py", tmp_path / "out/page.md", tiny)
        text = (tmp_path / "out/page.md").read_text()
        assert f"```text\nn is {wanted}\n```" in text
        assert "n = 600\nprint" in text
        assert "![a line](page-1-0.png)" in text
        assert f"```text\n[{wanted}, 'value']\n```" in text
        assert "object at" not in text
    assert (tmp_path / "out/page-1-0.png").read_bytes()[1:4] == b"PNG"


@pytest.mark.slow
def test_the_whole_site_is_built_in_minutes():
    text = shown(built(timeout=600), "behind-the-scenes.html")
    found = re.findall(r": (\d\.\de-\d+) -&gt; (\d\.\de-\d+)", re.sub(r"<[^>]+>", "", text))
    assert len(found) == 8  # two functions, four activations
    assert all(float(wide) < 0.01 * float(narrow) for narrow, wide in found)
    shares = dict(re.findall(r"(one cycle|constant 0\.\d+)[^\n]*?(\d+)% of \d+ seeds", text))
    assert int(shares["one cycle"]) > max(int(v) for k, v in shares.items() if k != "one cycle")
