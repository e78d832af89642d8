// Train: one button, live curves, stop and go on, runs side by side.

import { state } from "../app.js";
import { follow, get, post } from "../api.js";
import { lines } from "../chart.js";
import { clock, fixed, h, percent, say } from "../dom.js";
import { t } from "../text.js";
import { chosen } from "./look.js";

export async function show(place, left, [start]) {
  const { runs } = await get("api/runs");
  const live = h("div", { className: "card", hidden: true }), history = h("div", { className: "card" });
  place.append(h("h1", {}, t("train.title")), h("div", { className: "two" }, form(runs, start), h("div", { className: "two even", style: { gridTemplateColumns: "minmax(0, 1fr)" } }, live, history)));
  table(history, runs);
  const last = runs.at(-1);
  if (last) await watch(live, last, left);
}

function form(runs, start) {
  const { project } = state, fault = h("p", { className: "error", role: "alert" });
  const minutes = h("input", { type: "number", min: .05, max: 10000, step: "any", value: 5, required: true });
  const { archs, size: usual, changes: changed, rates: measured } = project.offers;
  const arch = h("select", {}, archs.map(name => new Option(t(`arch.${name}`), name)));
  const size = h("input", { type: "number", min: 8, max: 2048, placeholder: usual ?? "" });
  const rate = h("input", { type: "number", min: 1e-7, max: 10, step: "any", placeholder: t("train.found") });
  const done = runs.filter(run => run.state === "done");
  const from = h("select", {}, new Option(t("train.fresh"), ""), done.map(run => new Option(t("train.from_run", { n: run.run }), run.run, false, String(run.run) === start)));
  const button = h("button", { className: "primary", disabled: Boolean(project.fault) }, t("train.begin"));
  const changes = changed ? chosen() : {};
  const augment = Object.keys(changes).length ? h("p", { className: "soft" }, t("train.augmented")) : null;
  return h("form", { className: "card", onsubmit: async event => {
    event.preventDefault();
    fault.textContent = "";
    button.disabled = true;
    const asked = { minutes: Number(minutes.value), arch: arch.value, ...changes };
    if (rate.value) asked.lr = Number(rate.value);
    if (size.value && usual) asked.size = Number(size.value);
    if (from.value) { asked.start = Number(from.value); asked.arch = done.find(run => run.run === asked.start).asked.arch ?? archs[0]; }
    try { await post("api/runs", asked); location.hash = "#/train"; location.reload(); } catch (error) { fault.textContent = error.message; button.disabled = false; }
  } },
  h("label", {}, t("train.minutes"), minutes), h("label", {}, t("train.arch"), arch), usual === null ? null : h("label", {}, t("train.size"), size),
  h("label", {}, t("train.lr"), rate),
  h("label", {}, t("train.start"), from), augment, button, fault,
  project.fault ? h("p", { className: "fault" }, t(`fault.${project.fault}`)) : null,
  h("p", { className: "soft" }, t("train.lead")), measured ? rates() : null);
}

function rates() {
  const box = h("details", {}, h("summary", {}, t("train.rates")), h("p", { className: "soft" }, t("train.rates_what")));
  const busy = h("progress", { hidden: true, "aria-label": t("train.rates") }), place = h("div");
  const button = h("button", { type: "button", onclick: async () => {
    button.disabled = true;
    busy.hidden = false;
    try {
      await post("api/jobs/rates");
      draw((await follow("api/jobs/rates", () => {})).result);
    } catch (error) { place.replaceChildren(h("p", { className: "error" }, error.message)); }
    busy.hidden = true;
    button.disabled = false;
  } }, t("train.measure"));
  function draw(found) {
    if (!found) return;
    if (found.error) { place.replaceChildren(h("p", { className: "error" }, found.message)); return; }
    const points = found.lrs.map((rate, i) => [rate, found.losses[i]]);
    place.replaceChildren(lines([{ name: t("train.loss"), points }], { log: true, label: t("train.rates") }), h("p", {}, t("train.suggestion", { rate: found.suggestion.toExponential(1) })));
  }
  get("api/jobs/rates").then(found => draw(found.result)).catch(() => {});
  box.append(button, busy, place);
  return box;
}

// A run as it goes: everything is drawn again from what it has said.
async function watch(box, about, left) {
  const seen = { losses: [], rates: [], epochs: [], stage: null, step: 0, steps: 0, first: null, last: null, spent: 0, what: "" };
  const place = { run: about.run, minutes: about.asked.minutes, title: h("h2"), bar: h("progress", { max: 1, "aria-label": t("train.progress") }), about: h("p", { className: "soft", role: "status" }), chart: h("div"), epochs: h("div", { className: "wide low", tabIndex: 0 }), buttons: h("div", { className: "row" }), notes: h("div") };
  box.hidden = false;
  box.replaceChildren(place.title, place.bar, place.about, place.chart, place.epochs, place.buttons, place.notes);
  const found = await follow(`api/runs/${about.run}/jobs/train`, (said, all) => {
    if (!all) { place.about.textContent = t("job.away"); return; }
    for (const one of said) hear(seen, one);
    draw(seen, place, all.state);
  }, left);
  if (!found) return;
  draw(seen, place, found.state, found.result ?? { message: found.last });
  if (about.state === "running") location.reload();
}

function hear(seen, one) {
  if (one.kind === "begin") seen.what = t("train.reading");
  if (one.kind === "deciding") seen.what = t("train.deciding");
  if (one.kind === "stage") { seen.stage = one; seen.what = t("train.stage", { name: one.name, n: +one.length.toPrecision(3), unit: t(`unit.${one.unit}`) }); }
  if (one.kind === "fit") {
    seen.spent += seen.last && seen.first ? seen.last - seen.first : 0;
    Object.assign(seen, { offset: seen.losses.at(-1)?.[0] ?? 0, first: one.at, last: one.at, step: 0 });
    if (one.step) seen.what = t("train.resumed");
  }
  if (one.kind === "step") {
    const x = seen.offset + one.step + 1;
    Object.assign(seen, { step: one.step + 1, steps: one.steps, last: one.at });
    seen.losses.push([x, one.loss]);
    seen.rates.push([x, one.lr]);
    if (seen.losses.length > 4000) for (const name of ["losses", "rates"]) seen[name] = seen[name].filter((_, i) => i % 2);
  }
  if (one.kind === "epoch") seen.epochs.push({ ...one.row, x: seen.losses.at(-1)?.[0] ?? 0 });
  if (one.kind === "looking") { seen.what = t("train.looking"); seen.stage = null; }
}

// The share that is done and the seconds that are left; null where nobody knows.
function progress(seen, minutes) {
  if (!seen.stage || !seen.step) return [null, null];
  const gone = seen.last - seen.first;
  if (seen.stage.unit === "minutes") return [Math.min(1, (seen.spent + gone) / (60 * minutes)), Math.max(0, 60 * minutes - seen.spent - gone)];
  const part = seen.step / seen.steps;
  return [part, part > .05 ? gone * (1 - part) / part : null];
}

function draw(seen, place, state_, result) {
  place.title.textContent = t("train.run", { n: place.run });
  const smooth = averaged(seen.losses);
  const valid = seen.epochs.map(row => [row.x, row.valid_loss]);
  place.chart.replaceChildren(smooth.length > 1 ? h("div", {}, lines([{ name: t("train.loss"), points: smooth }, { name: t("train.valid_loss"), points: valid, kind: "second", dots: valid.length < 40 }], { label: t("train.curves") }),
    h("p", { className: "soft" }, t("train.legend")), lines([{ name: t("train.rate"), points: seen.rates }], { label: t("train.rate") })) : "");
  const names = Object.keys(seen.epochs.at(-1) ?? {}).filter(name => !["epoch", "x", "seconds"].includes(name));
  place.epochs.replaceChildren(names.length ? h("table", {}, h("thead", {}, h("tr", {}, h("th", {}, t("train.epoch")), names.map(name => h("th", { className: "number" }, name)))),
    h("tbody", {}, seen.epochs.map((row, i) => h("tr", {}, h("td", {}, String(i + 1)), names.map(name => h("td", { className: "number" }, fixed(row[name], 4))))))) : "");
  if (state_ === "running") {
    const [share, seconds] = progress(seen, place.minutes);
    if (share === null) place.bar.removeAttribute("value"); else place.bar.value = share;
    place.about.textContent = seen.what + (seconds === null ? "" : ` · ${t("train.left", { time: clock(seconds) })}`);
    if (!place.buttons.childElementCount) place.buttons.replaceChildren(h("button", { onclick: async event => { event.target.disabled = true; try { await post(`api/runs/${place.run}/stop`); say(t("train.stopping")); } catch (error) { say(error.message); } } }, t("train.stop")));
    return;
  }
  place.bar.hidden = true;
  place.about.textContent = t(`job.${state_}`) + (result?.message ? `: ${result.message}` : "");
  place.about.className = state_ === "failed" ? "error" : "soft";
  place.notes.replaceChildren(...(result?.notes ?? []).map(note => h("p", { className: "soft" }, note)));
  place.buttons.replaceChildren(
    ...(state_ === "done" ? [link(`#/mistakes/${place.run}`, t("train.see_mistakes"), true), link(`#/ship/${place.run}`, t("train.ship")), link(`report/${place.run}`, t("train.report"))] : [h("button", { className: "primary", onclick: async () => { try { await post(`api/runs/${place.run}/go-on`); location.reload(); } catch (error) { say(error.message); } } }, t("train.go_on"))]));
}

const link = (href, text, first = false) => h("a", { className: `button${first ? " primary" : ""}`, href, target: href.startsWith("#") ? null : "_blank" }, text);

function averaged(points) {
  let mean = null;
  return points.map(([x, y]) => { if (y !== null) mean = mean === null ? y : .8 * mean + .2 * y; return [x, mean]; });
}

function table(box, runs) {
  box.append(h("h2", {}, t("train.runs")));
  if (!runs.length) { box.append(h("p", { className: "empty" }, t("train.no_runs"))); return; }
  const names = [...new Set(runs.flatMap(run => Object.keys(run.metrics)))];
  let before = {};
  const rows = runs.map(run => {
    const cells = names.map(name => {
      const value = run.metrics[name]?.[0], change = value !== undefined && before[name] !== undefined ? value - before[name] : null;
      return h("td", { className: "number" }, name === "loss" ? fixed(value) : percentOf(name, value), change === null ? "" : h("span", { className: "soft" }, ` (${change >= 0 ? "+" : "−"}${name === "loss" ? fixed(Math.abs(change)) : percentOf(name, Math.abs(change))})`));
    });
    if (run.state === "done") before = Object.fromEntries(names.map(name => [name, run.metrics[name]?.[0]]));
    return h("tr", {}, h("td", {}, h("a", { href: `#/mistakes/${run.run}` }, String(run.run))), h("td", {}, t(`job.${run.state}`)), h("td", {}, `${run.asked.arch ?? ""} ${run.asked.start ? t("train.from_run", { n: run.asked.start }) : ""}`), h("td", { className: "number" }, run.seconds ? clock(run.seconds) : ""), cells);
  });
  box.append(h("div", { className: "wide", tabIndex: 0 }, h("table", {}, h("thead", {}, h("tr", {}, h("th", {}, t("train.number")), h("th", {}, t("train.state")), h("th", {}, t("train.arch")), h("th", { className: "number" }, t("train.time")), names.map(name => h("th", { className: "number" }, name)))), h("tbody", {}, rows))),
    h("p", { className: "soft" }, t("train.intervals")));
}

const percentOf = (name, value) => value === undefined ? "–" : /accuracy|iou|fbeta|dice/.test(name) ? percent(value) : fixed(value);
