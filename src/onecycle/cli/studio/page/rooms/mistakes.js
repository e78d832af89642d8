// Mistakes: worst items with heat maps, what is taken for what, likely wrong labels.

import { state } from "../app.js";
import { get, post } from "../api.js";
import { h, percent, say } from "../dom.js";
import { itemOf } from "../items.js";
import { t } from "../text.js";
import { showMasks } from "./masks.js";
import { pickRun } from "./runs.js";

const PAGE = 24;

export async function show(place, left, [asked]) {
  const picked = await pickRun(place, "mistakes", asked);
  if (!picked) return;
  if (state.project.offers.item === "mask") { await showMasks(place, picked.run); return; }
  const { run } = picked, found = await get(`api/runs/${run}/mistakes`);
  if (!found.relabel) {
    place.append(h("p", { className: "lead" }, t("mistakes.report_only")), h("iframe", { src: `report/${run}`, title: t("train.report"), style: { width: "100%", height: "75dvh", border: "0", borderRadius: "1.1rem" } }));
    return;
  }
  const item = itemOf(state.project), cards = h("div", { className: `cards ${item.wide ? "" : "broad"}` }), more = h("button", {}, t("mistakes.more")), about = h("p", { className: "soft", role: "status" });
  const heat = h("input", { type: "checkbox", checked: true, onchange: () => cards.classList.toggle("no-heat", !heat.checked) });
  const changed = new Set(), again = h("a", { className: "button primary", href: `#/train/${run}` }, t("mistakes.again"));
  const several = Boolean(state.project.delimiter);
  const looked = row => row.side === "valid" && found.heats.includes(String(row.index));
  let query = {}, shown = 0, turn = 0;

  const VIEWS = ["worst", "doubt", "all"], whole = name => view({ view: name }, found.views[name], t(`mistakes.${name}_what`, { n: found.views[name] }), name);
  const buttons = VIEWS.map(name => h("button", { "aria-pressed": "false", onclick: () => whole(name) }, `${t(`mistakes.${name}`)} (${found.views[name]})`));

  function view(asked, count, text, name = "") {
    [query, shown] = [asked, 0];
    turn++;
    about.textContent = count ? text : t("mistakes.none");
    buttons.forEach((button, i) => button.setAttribute("aria-pressed", String(VIEWS[i] === name)));
    return next();
  }
  // Some rows more, from the server: it holds them all.
  async function next() {
    const mine = turn, from = shown;
    more.disabled = true;
    try {
      const page = await get(`api/runs/${run}/mistakes/rows?${new URLSearchParams({ ...query, from, count: PAGE })}`);
      if (mine !== turn || left.aborted) return;
      if (!from) cards.replaceChildren();
      cards.append(...page.rows.map(row => card(row)));
      shown = from + page.rows.length;
      more.hidden = shown >= page.total;
    } catch (error) { say(error.message); }
    more.disabled = false;
  }
  more.onclick = next;

  function card(row) {
    const images = row.i === null ? h("p", { className: "fault" }, t("mistakes.gone")) : item.card(row, run, looked(row));
    const select = several || row.i === null ? null : h("select", { "aria-label": t("mistakes.label_of", { name: row.name }), onchange: () => change(row, { label: select.value, out: false }) },
      state.project.classes.map(name => new Option(name, name, false, name === (row.now ?? row.actual))));
    const out = row.i === null ? null : h("button", { onclick: () => change(row, { out: row.now !== null }) });
    const box = h("div", { className: "mistake" }, images,
      h("p", {}, h("b", {}, row.predicted), ` ${percent(row.share)}`), h("p", { className: "soft" }, t("mistakes.actual", { label: row.actual }), row.side === "train" ? ` · ${t("side.train")}` : ""),
      h("p", { className: "soft" }, row.name), select, out);
    row.draw = () => {
      if (out) out.textContent = row.now === null ? t("data.take_in") : t("data.leave_out");
      if (select && row.now !== null) select.value = row.now;
      box.className = `mistake${row.now === null ? " out" : row.now === row.actual || several ? "" : " changed"}`;
    };
    if (row.i !== null) row.draw();
    return box;
  }

  async function change(row, what) {
    try {
      await post("api/change", { changes: [{ i: row.i, name: row.name, ...what }] });
      row.label = what.label ?? row.label;
      row.now = what.out ? null : row.label;
      changed.add(row.i);
      again.hidden = false;
      again.textContent = t("mistakes.again_n", { n: changed.size });
    } catch (error) { say(error.message); }
    row.draw();
  }

  place.append(h("div", { className: "row" }, buttons, found.heats.length ? h("label", { className: "check" }, heat, t("mistakes.heat")) : null, again),
    found.against ? h("p", {}, t("mistakes.difference", { ...found.against, n: found.against.run })) : "", several ? "" : matrix(found, view), about, cards, more);
  await whole("worst");
}

// Rows actual, columns predicted; a cell opens its images.
function matrix(found, view) {
  if (!found.matrix) return h("p", { className: "soft" }, t("mistakes.many_classes"));
  const names = [...found.classes, t("not_sure")].slice(0, found.matrix[0].length);
  return h("details", { open: found.classes.length <= 12 }, h("summary", {}, t("mistakes.matrix")), h("div", { className: "wide", tabIndex: 0 }, h("table", { className: "matrix" },
    h("thead", {}, h("tr", {}, h("th", {}, t("mistakes.axes")), names.map(name => h("th", { scope: "col" }, name)))),
    h("tbody", {}, found.classes.map((actual, i) => {
      const whole = found.matrix[i].reduce((a, b) => a + b, 0) || 1;
      return h("tr", {}, h("th", { scope: "row" }, actual), names.map((predicted, j) => {
        const n = found.matrix[i][j], text = t("mistakes.cell", { actual, predicted, n });
        const button = h("button", { "aria-label": text, onclick: () => view({ cell: `${i},${j}` }, n, text) }, String(n));
        button.style.background = `color-mix(in srgb, var(--bar) ${Math.round(100 * n / whole)}%, transparent)`;
        return h("td", { className: i === j ? "right" : "" }, button);
      }));
    })))));
}
