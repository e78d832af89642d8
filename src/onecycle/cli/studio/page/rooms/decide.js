// Decide: honest probabilities, when to say "not sure", a threshold for each label.

import { state } from "../app.js";
import { follow, post } from "../api.js";
import { lines } from "../chart.js";
import { fixed, h, percent } from "../dom.js";
import { t } from "../text.js";
import { pickRun } from "./runs.js";

export async function show(place, left, [asked]) {
  const picked = await pickRun(place, "decide", asked);
  if (!picked) return;
  if (!state.project.offers.decides) { place.append(h("p", { className: "empty" }, t("decide.none"))); return; }
  const { run } = picked, ask = body => post(`api/runs/${run}/decisions`, body);
  let found;
  try { found = await ask({}); } catch (error) { place.append(h("p", { className: "empty" }, error.message)); return; }
  const force = found.in_force ?? {};
  const wanted = { temperature: force.temperature ?? null, thresh: force.thresh ?? null };
  if (wanted.temperature) found = await ask({ temperature: wanted.temperature });
  const honest = h("input", { type: "checkbox", checked: Boolean(wanted.temperature), onchange: async () => { wanted.temperature = honest.checked ? found.fitted : null; found = await ask({ temperature: wanted.temperature }); draw(); } });
  const plot = h("div"), below = h("div", { className: "card" }), note = h("p", { role: "status" });
  const doubtful = Math.abs(Math.log(found.fitted)) < 2 * found.spread / found.fitted;
  const save = h("button", { className: "primary", onclick: async () => {
    save.disabled = true;
    note.className = "soft";
    note.textContent = t("decide.writing");
    try {
      await post(`api/runs/${run}/jobs/decide`, wanted);
      const end = await follow(`api/runs/${run}/jobs/decide`, () => {}, left);
      if (end?.state === "done") note.textContent = t("decide.written");
      else if (end) { note.className = "error"; note.textContent = end.result?.message ?? (end.last || t("job.stopped")); }
    } catch (error) { note.className = "error"; note.textContent = error.message; }
    save.disabled = false;
  } }, t("decide.save"));

  function draw() {
    const points = one => one.said.map((said, i) => [said, one.seen[i]]).filter(([a]) => a !== null);
    plot.replaceChildren(lines([{ name: t("decide.before"), points: points(found.before), kind: "second", dots: true }, { name: t("decide.after"), points: points(found.after), dots: true }], { square: true, label: t("decide.plot") }),
      h("p", { className: "soft" }, t("decide.error", { before: fixed(found.before.error), after: fixed(found.after.error), n: found.items })));
    below.replaceChildren(...(found.several ? labels() : levels()));
  }

  function levels() {
    const output = h("p"), slider = h("input", { type: "range", min: 0, max: 99, value: Math.round(100 * (wanted.thresh ?? 0)), "aria-label": t("decide.level"), oninput: tell });
    function tell() {
      const row = found.levels[Number(slider.value)];
      wanted.thresh = row.level ? row.level : null;
      slider.setAttribute("aria-valuetext", output.textContent = row.level ? t("decide.answered", { level: percent(row.level), answered: percent(row.answered), right: percent(row.right) }) : t("decide.always", { right: percent(row.right) }));
    }
    tell();
    return [h("h2", {}, t("decide.not_sure")), h("p", { className: "lead" }, t("decide.not_sure_what")), h("label", {}, t("decide.level"), slider), output,
      lines([{ name: t("decide.right"), points: found.levels.map(row => [row.answered, row.right]) }], { label: t("decide.trade") }), h("p", { className: "soft" }, t("decide.trade"))];
  }

  function labels() {
    const now = found.classes.map((name, i) => (typeof wanted.thresh === "object" && wanted.thresh?.[name]) || wanted.thresh?.[i] || (typeof wanted.thresh === "number" ? wanted.thresh : .5));
    const rows = found.classes.map((name, i) => {
      const cells = ["thresh", "precision", "recall", "f2"].map(() => h("td", { className: "number" }));
      const slider = h("input", { type: "range", min: 1, max: 99, value: Math.round(100 * now[i]), "aria-label": t("decide.threshold_of", { name }), oninput: tell });
      function tell() {
        const row = found.labels[i][Number(slider.value) - 1];
        now[i] = row.thresh;
        wanted.thresh = Object.fromEntries(found.classes.map((one, k) => [one, now[k]]));
        ["thresh", "precision", "recall", "f2"].forEach((key, k) => { cells[k].textContent = fixed(row[key], 2); });
      }
      tell();
      return { slider, tell, best: () => { const f2 = found.labels[i].map(row => row.f2 ?? -1); slider.value = 1 + f2.indexOf(Math.max(...f2)); tell(); }, row: h("tr", {}, h("th", { scope: "row" }, name), h("td", {}, slider), cells) };
    });
    return [h("h2", {}, t("decide.thresholds")), h("button", { onclick: () => rows.forEach(one => one.best()) }, t("decide.best")),
      h("div", { className: "wide", tabIndex: 0 }, h("table", {}, h("thead", {}, h("tr", {}, ["label", "slider", "thresh", "precision", "recall", "f2"].map(key => h("th", {}, t(`decide.${key}`))))), h("tbody", {}, rows.map(one => one.row))))];
  }

  place.append(h("div", { className: "two even" },
    h("div", { className: "card" }, h("h2", {}, t("decide.honest")), h("p", { className: "lead" }, t("decide.honest_what")), plot,
      h("label", { className: "check" }, honest, t("decide.use", { value: fixed(found.fitted, 2), spread: fixed(found.spread, 2) })), doubtful ? h("p", { className: "soft" }, t("decide.doubtful")) : null, found.notes.map(note => h("p", { className: "soft" }, note))), below),
  h("div", { className: "row" }, save, note));
  draw();
}
