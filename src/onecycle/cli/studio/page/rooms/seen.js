// Look, of texts and series: what the model is given of some items that train.

import { post } from "../api.js";
import { h } from "../dom.js";
import { curve } from "../items.js";
import { t } from "../text.js";

// By what a project offers: a card for each row.
export const SEEN = {
  tokens: row => h("div", { className: "card" }, h("p", { className: "text", dir: "auto" }, row.text),
    h("ol", { className: "tokens", dir: "auto", "aria-label": t("look.tokens") }, row.tokens.map((token, i) =>
      h("li", { className: row.known[i] ? token.startsWith("xx") ? "mark" : "" : "unknown" }, token, row.known[i] ? null : h("span", { className: "unseen" }, ` (${t("look.unknown")})`))))),
  encoded: row => h("div", { className: "card seen" }, curve(row.series, t("look.curve")),
    h("div", { className: "looks" }, row.images.map((src, i) => h("img", { src, alt: t(i ? "look.drawn" : "look.whole") })))),
};

export async function asSeen(place, card) {
  const busy = h("progress", { "aria-label": t("look.drawing") });
  place.append(busy);
  try {
    const { rows } = await post("api/look");
    place.append(rows.length ? h("div", { className: "two even" }, rows.map(card)) : h("p", { className: "empty" }, t("look.nothing")));
  } catch (error) { place.append(h("p", { className: "error" }, error.message)); }
  busy.remove();
}
