// Look: what the model will see, with sliders for how far images are changed.

import { state } from "../app.js";
import { post } from "../api.js";
import { h } from "../dom.js";
import { t } from "../text.js";
import { SEEN, asSeen } from "./seen.js";

const SLIDERS = [["max_rotate", 0, 180, 1, 10], ["max_zoom", 1, 3, .05, 1.1], ["max_lighting", 0, .9, .05, .2], ["max_warp", 0, .8, .05, .2]];
const KEY = "augmentation";

// What was chosen here goes into the next training; without a choice the usual strengths.
export const chosen = () => JSON.parse(sessionStorage.getItem(KEY) ?? "{}");

export async function show(place, left) {
  place.append(h("h1", {}, t("look.title")), h("p", { className: "lead" }, t("look.lead")));
  const seen = SEEN[state.project.offers.look];
  if (seen) { await asSeen(place, seen); return; }
  if (state.project.fault === "few_classes" && !state.project.total) { place.append(h("p", { className: "empty" }, t("data.begin_own"))); return; }
  const values = { ...Object.fromEntries(SLIDERS.map(([name, , , , usual]) => [name, usual])), do_flip: true, flip_vert: false, ...chosen() };
  const shown = h("div", { className: "looks" }), fault = h("p", { className: "error" }), busy = h("progress", { "aria-label": t("look.drawing") });
  let turn = 0, timer;
  async function draw() {
    const mine = ++turn;
    busy.style.visibility = "visible";
    try {
      const found = await post("api/look", values);
      if (mine !== turn || left.aborted) return;
      fault.textContent = "";
      shown.replaceChildren(...found.rows.flatMap(row => row.map((src, i) => h("img", { src, alt: i ? t("look.drawn") : t("look.whole") }))));
    } catch (error) { fault.textContent = error.message; }
    busy.style.visibility = "hidden";
  }
  const changed = () => { sessionStorage.setItem(KEY, JSON.stringify(values)); clearTimeout(timer); timer = setTimeout(draw, 250); };
  const sliders = SLIDERS.map(([name, min, max, step]) => {
    const output = h("output", {}, String(values[name]));
    const input = h("input", { type: "range", min, max, step, value: values[name], oninput: () => { values[name] = Number(input.value); output.textContent = input.value; changed(); } });
    return h("label", {}, h("span", {}, `${t(`look.${name}`)} `, output), input);
  });
  const boxes = ["do_flip", "flip_vert"].map(name => {
    const input = h("input", { type: "checkbox", checked: values[name], onchange: () => { values[name] = input.checked; changed(); } });
    return h("label", { className: "check" }, input, t(`look.${name}`));
  });
  const usual = h("button", { onclick: () => { sessionStorage.removeItem(KEY); location.reload(); } }, t("look.usual"));
  place.append(h("div", { className: "two" }, h("div", { className: "card" }, sliders, boxes, usual, h("p", { className: "soft" }, t("look.used"))),
    h("div", { className: "card" }, busy, fault, shown)));
  await draw();
}
