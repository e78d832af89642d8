"""The page's modules of kinds: each exports what `kinds.js` says, others may come from outside."""

import json
import re
from dataclasses import dataclass
from typing import ClassVar

import pytest
from folder_server import served
from PIL import Image as Pillow
from test_page import NETS, RGB, made, opened, until

from onecycle.core.errors import ModelError, UsageError
from onecycle.runtime.inputs.image import ImageSpec
from onecycle.runtime.predictor import Predictor
from onecycle.runtime.site import write_site
from onecycle.runtime.targets.category import CategorySpec
from onecycle.runtime.web_runtime import page_folder

EXPORTS = {
    "inputs": {"subtitle": "string", "rows": "function", "feed": "function", "start": "function"},
    "targets": {"rows": "function", "decode": "function", "show": "function"},
}
OPTIONAL = {"inputs": {"fixedSize"}, "targets": {"draw", "companion"}}
SHARED = (
    *("app.js", "kinds.js", "model.js", "worker.js", "download.js", "view.js", "about.js"),
    *("examples.js", "sw.js"),
)


def modules(role):
    return sorted(file.stem for file in page_folder().glob(f"{role}/*.js"))


@pytest.mark.parametrize("name", SHARED)
def test_no_shared_file_of_the_page_names_a_kind(name):
    code = (page_folder() / name).read_text(encoding="utf-8")
    code = re.sub(r"/\*.*?\*/|//[^\n]*", "", code, flags=re.DOTALL)
    kinds = [*modules("inputs"), *modules("targets")]
    assert len(kinds) == 9
    assert re.findall(rf"\b({'|'.join(kinds)})\b", code) == []
    assert re.findall(r"\bkind\s*[=!]=|\bswitch\b", code) == []


def test_every_module_exports_what_is_documented(browser, tmp_path):
    documented = (page_folder() / "kinds.js").read_text(encoding="utf-8")
    with served(write_site(made("category", tmp_path), tmp_path / "site")) as address:
        page = opened(browser, address)
        for role, wanted in EXPORTS.items():
            for name in modules(role):
                found = page.evaluate(
                    """async (file) => Object.fromEntries(Object.entries(await import(file))
                        .map(([name, value]) => [name, typeof value]))""",
                    f"./{role}/{name}.js",
                )
                assert wanted.items() <= found.items(), name
            assert all(re.search(rf"//   {e}\b", documented) for e in {*wanted, *OPTIONAL[role]})
        page.context.close()


# --- kinds from outside ----------------------------------------------------------------------


@dataclass(frozen=True)
class Swatch(ImageSpec):
    """One colour, which the network sees as an image of it."""

    kind: ClassVar[str] = "swatch"


@dataclass(frozen=True)
class Verdict(CategorySpec):
    """A class with an exclamation mark."""

    kind: ClassVar[str] = "verdict"


SWATCH = """
import { at, controls } from "../view.js";

export const subtitle = "Choose a colour.";
export const rows = ({ size }) => ({ Side: size[0] });
export const feed = () => (rgb) => {
  const data = Uint8Array.from({ length: 4 * 6 * 3 }, (_, i) => rgb[i % 3]);
  return { image: ["uint8", data, [1, 4, 6, 3]] };
};

export function start(spec, page) {
  controls(`<label>Colour <input id="swatch" type="color"></label>`);
  at("swatch").addEventListener("change", ({ target: { value } }) => {
    page.answer([1, 3, 5].map((i) => parseInt(value.slice(i, i + 2), 16)));
  });
}
"""
VERDICT = """
import { element } from "../view.js";
import { decode as likeliest } from "./category.js";

export const rows = () => ({ Verdicts: "many" });
export const decode = (spec, outputs) => ({ headline: `${likeliest(spec, outputs).headline}!` });
export const show = ({ headline }) => [element("strong", { id: "verdict" }, headline), null];
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    """An exported file of two kinds that the package does not know, and their modules."""
    monkeypatch.setitem(NETS, "verdict", (Verdict(RGB), NETS["category"][1]))
    file = made(
        "verdict", tmp_path, Swatch(**vars(ImageSpec((4, 6), mean=(0.5,) * 3, std=(1,) * 3)))
    )
    for kind, name, source in ((Swatch, "my-a.js", SWATCH), (Verdict, "my-b.js", VERDICT)):
        (tmp_path / name).write_text(source)
        monkeypatch.setattr(kind, "page", tmp_path / name)
    return file


CHOOSE = """(node) => {
    node.value = "#1428c8";
    node.dispatchEvent(new Event("change", { bubbles: true }));
}"""


def test_kinds_from_outside_bring_their_modules_also_without_a_network(browser, own, tmp_path):
    file = own
    plain = made("category", tmp_path, ImageSpec((4, 6), mean=(0.5,) * 3, std=(1,) * 3))
    Pillow.new("RGB", (6, 4), (0x14, 0x28, 0xC8)).save(tmp_path / "blue.png")
    wanted = Predictor(plain).predict(tmp_path / "blue.png").probabilities
    with served(write_site(file, tmp_path / "site")) as address:
        page = opened(browser, address)
        assert page.inner_text("#subtitle") == "Choose a colour."
        assert not page.query_selector("#stage")
        until(page, "navigator.serviceWorker.controller !== null")
        page.context.set_offline(True)
    page.reload()
    page.wait_for_selector("body[data-ready]", timeout=60_000)
    page.locator("#swatch").evaluate(CHOOSE)
    page.wait_for_selector("body[data-answered='1']", timeout=60_000)
    assert page.inner_text("#answer #verdict") == "blue!"
    assert page.evaluate("lastAnswer.probabilities") == pytest.approx(wanted, abs=1e-3)
    about = page.locator("#about").evaluate("(node) => node.textContent")
    assert "AnswersverdictVerdictsmanySide4" in about
    assert page.faults == []
    page.context.close()


def test_kinds_without_a_module_or_with_a_path_to_nothing_are_refused(
    own, web_runtime, tmp_path, monkeypatch
):
    out = tmp_path / "new"
    found = {Swatch: "inputs image, series, text", Verdict: "targets boxes, category"}
    for kind, known in found.items():
        with monkeypatch.context() as patched:
            patched.setattr(kind, "page", None)
            with pytest.raises(
                ModelError, match=f"'{kind.kind}', it has {known}.*{kind.__name__}.page"
            ):
                write_site(own, out)
            patched.setattr(kind, "page", tmp_path / "gone.js")
            with pytest.raises(UsageError, match=r"page is .*gone\.js, which is no file"):
                write_site(own, out)
    assert not out.exists()


def test_the_name_of_a_kind_is_no_path(browser, tmp_path):
    site = write_site(made("category", tmp_path), tmp_path / "site")
    about = json.loads((site / "model.json").read_text())
    about["task"]["input"]["kind"] = "image.js?x=/../text"
    (site / "model.json").write_text(json.dumps(about))
    with served(site) as address:
        page = browser.new_context().new_page()
        page.goto(address)
        page.wait_for_selector("#status.error")
        assert "not the name of a kind" in page.inner_text("#status")
        page.context.close()
