// Masks: the pixels of each class, and the worst images beside both masks.

import { state } from "../app.js";
import { follow, get, post } from "../api.js";
import { fixed, h, percent, say } from "../dom.js";
import { t } from "../text.js";

// The colour of a class over images; null where classes have none.
export function swatch(name) {
  const colour = state.project.colours?.[name];
  return colour ? h("i", { className: "swatch", style: { background: colour } }) : null;
}

const named = name => h("th", { scope: "row" }, swatch(name), ` ${name}`);
const table = (heads, rows) => h("div", { className: "wide", tabIndex: 0 }, h("table", {},
  h("thead", {}, h("tr", {}, h("th", {}, t("masks.class")), heads.map(name => h("th", { className: "number" }, name)))), h("tbody", {}, rows)));

// In the room Data: how many pixels each class has; counted by a job, and shown when that is done.
export function pixels(left, done) {
  if (!state.project.colours) return null;
  const box = h("div"), note = h("p", { className: "soft", role: "status" }), busy = h("progress", { "aria-label": t("masks.counting") });
  const draw = () => {
    const sums = state.project.pixels, all = Object.entries(sums), whole = side => all.reduce((sum, [, of]) => sum + (of[side] ?? 0), 0) || 1;
    const share = (of, side) => h("td", { className: "number", title: (of[side] ?? 0).toLocaleString() }, percent((of[side] ?? 0) / whole(side)));
    const rows = all.map(([name, of]) => h("tr", {}, named(name), share(of, "train"), share(of, "valid")));
    box.replaceChildren(table([t("side.train"), t("side.valid")], rows), h("p", { className: "soft" }, t("masks.pixels")), h("button", { onclick: () => count() }, t("masks.again")));
  };
  async function count(start = true) {
    box.replaceChildren(note, busy);
    try {
      if (start) await post("api/jobs/count");
      const end = await follow("api/jobs/count", said => { const one = said.at(-1); if (one?.total) { busy.max = one.total; busy.value = one.n; } }, left);
      if (!end) return;
      if (end.state !== "done") throw new Error(end.result?.message ?? t("job.stopped"));
      await done();
      draw();
    } catch (error) { box.replaceChildren(h("p", { className: "error" }, error.message), h("button", { onclick: () => count() }, t("masks.again"))); }
  }
  note.textContent = t("masks.counting");
  if (state.project.pixels) draw(); else get("api/jobs/count").then(before => count(before.state !== "running")).catch(error => say(error.message));
  return box;
}

export async function showMasks(place, run) {
  const found = await get(`api/runs/${run}/masks`), again = h("a", { className: "button primary", href: `#/train/${run}` }, t("mistakes.again"));
  const changed = new Set(), number = value => h("td", { className: "number" }, fixed(value));
  const shown = (row, what) => h("figure", {}, h("img", { src: `${what}/${run}/${row.index}`, alt: `${t(`masks.${what}`)}: ${row.name}`, loading: "lazy" }), h("figcaption", {}, t(`masks.${what}`)));
  function card(row) {
    const button = h("button", { onclick: async () => {
      try {
        await post("api/change", { changes: [{ i: row.i, out: !row.out }] });
        row.out = !row.out;
        changed.add(row.i);
        again.textContent = t("mistakes.again_n", { n: changed.size });
      } catch (error) { say(error.message); }
      draw();
    } });
    const box = h("div", {}, h("div", { className: "three" }, ["seen", "actual", "predicted"].map(what => shown(row, what))),
      h("p", {}, h("b", {}, t("masks.iou", { value: percent(row.iou) })), ` · ${t("train.loss")} ${fixed(row.loss)}`), h("p", { className: "soft" }, row.name), row.i === null ? null : button);
    const draw = () => { button.textContent = t(row.out ? "data.take_in" : "data.leave_out"); box.className = `mistake${row.out ? " out" : ""}`; };
    draw();
    return box;
  }
  const columns = ["IoU", "precision", "recall", "share"];
  place.append(h("div", { className: "row" }, again),
    h("div", { className: "card" }, h("h2", {}, t("masks.each")),
      table(columns.map(name => t(`masks.${name}`)), found.classes.map(row => h("tr", {}, named(row.name), columns.map(name => number(row[name])))))),
    h("h2", {}, t("mistakes.worst")), h("p", { className: "soft" }, t("masks.worst", { n: found.rows.length, all: found.items })),
    h("div", { className: "cards masks" }, found.rows.map(card)));
}
