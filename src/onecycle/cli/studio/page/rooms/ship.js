// Ship: size and cost of each precision, the page tried at a phone's width, hosts.

import { state } from "../app.js";
import { follow, get, post } from "../api.js";
import { fixed, h } from "../dom.js";
import { t } from "../text.js";
import { pickRun } from "./runs.js";

const HOSTS = ["vercel", "netlify", "pages", "docker", "spaces", "render"];

export async function show(place, left, [asked]) {
  const picked = await pickRun(place, "ship", asked);
  if (!picked) return;
  const { run } = picked, address = `api/runs/${run}/jobs/ship`;
  const title = h("input", { maxLength: 80, value: name(state.project.source) }), busy = h("progress", { hidden: true, "aria-label": t("ship.making") });
  const note = h("p", { className: "soft", role: "status" }), below = h("div", { className: "two even" });
  let precision = "fp32";
  const button = h("button", { className: "primary", onclick: () => make() }, t("ship.make"));
  place.append(h("div", { className: "card" }, h("label", {}, t("ship.page_title"), title), h("div", { className: "row" }, button), busy, note), below);

  async function make(start = true) {
    button.disabled = true;
    busy.hidden = false;
    note.className = "soft";
    try {
      if (start) await post(address, { title: title.value, precision });
      const end = await follow(address, said => { for (const one of said) if (one.kind === "exporting") note.textContent = t("ship.exporting", { precision: one.precision }); }, left);
      if (!end) return;
      note.textContent = "";
      draw(end.result ?? { error: "stopped", message: end.last || t("job.stopped") });
    } catch (error) { note.className = "error"; note.textContent = error.message; }
    busy.hidden = true;
    button.disabled = false;
  }

  function draw(found) {
    if (!found) return;
    if (found.error) { note.className = "error"; note.textContent = found.message; return; }
    precision = found.precision;
    const frame = h("iframe", { className: "phone", src: `site/${run}/?${Date.now()}`, title: t("ship.frame"), allow: "camera" });
    below.replaceChildren(
      h("div", { className: "card" }, h("h2", {}, t("ship.precision")), h("p", { className: "lead" }, t("ship.precision_what")),
        h("div", { className: "wide", tabIndex: 0 }, h("table", {}, h("thead", {}, h("tr", {}, ["chosen", "size", "ms", "changed"].map(key => h("th", {}, t(`ship.${key}`))))), h("tbody", {}, found.rows.map(row => choice(row, found))))),
        h("p", { className: "soft" }, t("ship.page_size", { size: fixed(found.site_bytes / 1e6, 1) })),
        h("p", {}, h("a", { className: "button", href: `site/${run}/`, target: "_blank" }, t("ship.open"))),
        h("h2", {}, t("ship.phone")), h("p", { className: "lead" }, t("ship.phone_what")), h("pre", {}, `onecycle serve ${found.model} --lan`), qr(run),
        h("h2", {}, t("ship.hosts")), h("p", { className: "lead" }, t("ship.hosts_what")), hosts()),
      h("div", { className: "card", style: { justifyItems: "center" } }, h("h2", {}, t("ship.try")), frame));
  }

  function choice(row, found) {
    const input = h("input", { type: "radio", name: "precision", disabled: Boolean(row.why), checked: row.precision === found.precision, onchange: () => { precision = row.precision; make(); } });
    if (row.why) return h("tr", {}, h("td", {}, h("label", { className: "check" }, input, row.precision)), h("td", { colSpan: 3 }, row.why));
    return h("tr", {}, h("td", {}, h("label", { className: "check" }, input, row.precision)), h("td", { className: "number" }, `${fixed(row.bytes / 1e6, 1)} MB`), h("td", { className: "number" }, row.items ? fixed(row.ms, 1) : "–"),
      h("td", {}, row.changed === null ? "–" : t("ship.of", { n: row.changed, all: row.items })));
  }

  function hosts() {
    const place_ = h("div");
    return h("div", {}, h("div", { className: "row" }, HOSTS.map(to => h("button", { onclick: async event => {
      event.target.disabled = true;
      place_.replaceChildren(h("progress", { "aria-label": to }));
      try {
        const job = `api/runs/${run}/jobs/deploy`;
        await post(job, { to, title: title.value });
        const end = await follow(job, () => {}, left);
        place_.replaceChildren(end.result?.error ? h("p", { className: "error" }, end.result.message) : h("pre", {}, end.result.text));
      } catch (error) { place_.replaceChildren(h("p", { className: "error" }, error.message)); }
      event.target.disabled = false;
    } }, to))), place_);
  }
  const before = await get(address);
  if (before.state === "running") make(false); else draw(before.result);
}

function qr() {
  if (!state.project.addresses?.length) return null;
  return h("details", {}, h("summary", {}, t("data.phone")), h("img", { className: "qr", src: "qr.svg", alt: state.project.addresses[0] }));
}

const name = source => (source || "").split(/[\\/]/).filter(Boolean).at(-1)?.replace(/\.\w+$/, "").replace(/[-_]/g, " ") ?? "";
