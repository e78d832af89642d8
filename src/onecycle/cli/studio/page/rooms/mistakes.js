// Mistakes: worst items with heat maps, what is taken for what, likely wrong labels.

import { state } from "../app.js";
import { get, post } from "../api.js";
import { h, percent, say } from "../dom.js";
import { t } from "../text.js";
import { pickRun } from "./runs.js";

const PAGE = 24;

export async function show(place, left, [asked]) {
  const picked = await pickRun(place, "mistakes", asked);
  if (!picked) return;
  const { run, runs } = picked, found = await get(`api/runs/${run}/mistakes`);
  if (!found.relabel) {
    place.append(h("p", { className: "lead" }, t("mistakes.report_only")), h("iframe", { src: `report/${run}`, title: t("train.report"), style: { width: "100%", height: "75dvh", border: "0", borderRadius: "1.1rem" } }));
    return;
  }
  const cards = h("div", { className: "cards" }), more = h("button", {}, t("mistakes.more")), about = h("p", { className: "soft", role: "status" });
  const heat = h("input", { type: "checkbox", checked: true, onchange: () => cards.classList.toggle("no-heat", !heat.checked) });
  const changed = new Set(), again = h("a", { className: "button primary", href: `#/train/${run}` }, t("mistakes.again"));
  const several = Boolean(state.project.delimiter);
  const looked = row => row.side === "valid" && found.heats.includes(String(row.index));
  let rows = [], shown = 0;

  const VIEWS = {
    worst: () => found.rows.filter(row => row.side === "valid" && wrong(row)).sort((a, b) => b.loss - a.loss),
    doubt: () => found.rows.filter(row => row.doubt).sort((a, b) => b.loss - a.loss),
    all: () => found.rows.filter(row => row.side === "valid").sort((a, b) => b.loss - a.loss),
  };
  const buttons = Object.entries(VIEWS).map(([name, make]) =>
    h("button", { "aria-pressed": "false", onclick: () => view(make(), t(`mistakes.${name}_what`, { n: make().length }), name) }, `${t(`mistakes.${name}`)} (${make().length})`));

  function view(list, text, name = "") {
    rows = list;
    shown = 0;
    about.textContent = list.length ? text : t("mistakes.none");
    buttons.forEach((button, i) => button.setAttribute("aria-pressed", String(Object.keys(VIEWS)[i] === name)));
    cards.replaceChildren();
    next();
  }
  function next() {
    cards.append(...rows.slice(shown, shown + PAGE).map(row => card(row)));
    shown = Math.min(rows.length, shown + PAGE);
    more.hidden = shown >= rows.length;
  }
  more.onclick = next;

  function card(row) {
    const images = row.i === null ? h("p", { className: "fault" }, t("mistakes.gone")) : h("div", { className: "stack" },
      h("img", { src: looked(row) ? `seen/${run}/${row.index}` : `thumbnail/${row.i}`, alt: row.name, loading: "lazy" }),
      looked(row) ? h("img", { className: "heat", src: `heat/${run}/${row.index}`, alt: "", loading: "lazy" }) : null);
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
      row.now = what.out ? null : what.label ?? row.actual;
      changed.add(row.i);
      again.hidden = false;
      again.textContent = t("mistakes.again_n", { n: changed.size });
    } catch (error) { say(error.message); }
    row.draw();
  }

  place.append(h("div", { className: "row" }, buttons, h("label", { className: "check" }, heat, t("mistakes.heat")), again),
    await difference(found, run, runs), several ? "" : matrix(found, view), about, cards, more);
  view(VIEWS.worst(), t("mistakes.worst_what", { n: VIEWS.worst().length }), "worst");
}

const wrong = row => row.actual !== row.predicted;

// Rows actual, columns predicted; a cell opens its images.
function matrix(found, view) {
  if (found.classes.length > 40) return h("p", { className: "soft" }, t("mistakes.many_classes"));
  const valid = found.rows.filter(row => row.side === "valid"), names = [...found.classes, ...(valid.some(row => !found.classes.includes(row.predicted)) ? [t("not_sure")] : [])];
  const cell = (actual, predicted) => valid.filter(row => row.actual === actual && (row.predicted === predicted || (predicted === t("not_sure") && !found.classes.includes(row.predicted))));
  return h("details", { open: found.classes.length <= 12 }, h("summary", {}, t("mistakes.matrix")), h("div", { className: "wide", tabIndex: 0 }, h("table", { className: "matrix" },
    h("thead", {}, h("tr", {}, h("th", {}, t("mistakes.axes")), names.map(name => h("th", { scope: "col" }, name)))),
    h("tbody", {}, found.classes.map(actual => {
      const whole = valid.filter(row => row.actual === actual).length || 1;
      return h("tr", {}, h("th", { scope: "row" }, actual), names.map(predicted => {
        const list = cell(actual, predicted), button = h("button", { "aria-label": t("mistakes.cell", { actual, predicted, n: list.length }), onclick: () => view(list, t("mistakes.cell", { actual, predicted, n: list.length })) }, String(list.length));
        button.style.background = `color-mix(in srgb, var(--bar) ${Math.round(100 * list.length / whole)}%, transparent)`;
        return h("td", { className: actual === predicted ? "right" : "" }, button);
      }));
    })))));
}

// What is answered otherwise than by the training before.
async function difference(found, run, runs) {
  const earlier = runs.filter(one => one.state === "done" && one.run < run).at(-1);
  if (!earlier) return "";
  let old;
  try { old = await get(`api/runs/${earlier.run}/mistakes`); } catch { return ""; }
  if (!old.rows) return "";
  const before = new Map(old.rows.map(row => [row.name, row]));
  const both = found.rows.filter(row => row.side === "valid" && before.get(row.name)?.side === "valid");
  const better = both.filter(row => !wrong(row) && before.get(row.name).predicted !== row.actual).length;
  const worse = both.filter(row => wrong(row) && before.get(row.name).predicted === row.actual).length;
  return h("p", {}, t("mistakes.difference", { n: earlier.run, better, worse, both: both.length }));
}
