// Data: what there is, labels, problems, images that are brought.

import { refresh, state } from "../app.js";
import { follow, get, post, send } from "../api.js";
import { h, say } from "../dom.js";
import { Grid } from "../grid.js";
import { itemOf } from "../items.js";
import { t } from "../text.js";
import { pixels, swatch } from "./masks.js";

const undo = [];

export async function show(place, left) {
  const filter = { label: null, side: "", state: "", text: "", problem: "" };
  const title = h("h1"), notes = h("div"), classes = h("ul", { className: "classes" }), problems = h("div", { className: "card" });
  const count = h("p", { className: "soft", role: "status" }), chosen = h("p", { className: "soft" });
  const item = itemOf(state.project), grid = new Grid({
    item,
    ontotal: total => { count.textContent = t("data.shown", { n: total.toLocaleString() }); empty.hidden = total > 0; },
    onchoose: row => { chosen.textContent = row ? row.name : ""; },
    onopen: open,
    onkey: keyed,
  });
  const empty = h("p", { className: "empty", hidden: true });
  const back = h("button", { onclick: takeBack, disabled: !undo.length }, t("data.undo"));
  const search = h("input", { type: "search", "aria-label": t("data.search"), placeholder: t("data.search"), oninput: later(() => { filter.text = search.value; load(); }) });
  const side = choice(t("data.side"), [["", t("data.all_sides")], ...["train", "valid", "test"].map(s => [s, t(`side.${s}`)])], v => { filter.side = v; load(); });
  const which = choice(t("data.state"), [["", t("data.all_states")], ["in", t("data.taken")], ["out", t("data.out")]], v => { filter.state = v; load(); });

  function load(keep = false) {
    const asked = Object.fromEntries(Object.entries(filter).filter(([, v]) => v !== null && v !== ""));
    if (filter.label === "") asked.label = "";
    empty.textContent = state.project.total ? t("data.none_found") : state.project.own ? t("data.begin_own") : t("data.begin_folder");
    return grid.load(asked, keep).catch(error => say(error.message));
  }

  function summary() {
    const { project } = state, all = Object.entries(project.counts);
    title.textContent = t("data.title", { n: project.total.toLocaleString(), classes: project.classes.length });
    const most = Math.max(1, ...all.map(([, sides]) => total(sides)));
    classes.replaceChildren(
      entry("", t("data.everything"), project.total, null),
      ...all.map(([name, sides], i) => entry(i < 9 ? String(i + 1) : "", name, total(sides), name, total(sides) / most, sides)),
      ...(project.unlabelled ? [entry("0", t("data.no_label"), project.unlabelled, "")] : []));
    notes.replaceChildren(...project.notes.map(note => h("p", { className: "soft" }, note)));
    if (project.fault) notes.append(h("p", { className: "fault" }, t(`fault.${project.fault}`)));
  }

  function entry(key, name, number, value, share = 0, sides = null) {
    const text = sides ? t("data.sides", { train: sides.train ?? 0, valid: sides.valid ?? 0 }) + (sides.test ? `, ${sides.test} ${t("side.test")}` : "") : number.toLocaleString();
    const pressed = filter.label === value;
    return h("li", {}, h("button", { "aria-pressed": String(pressed), onclick: () => { filter.label = value; summary(); load(); } },
      swatch(name) ?? h("kbd", {}, key), h("span", {}, name), h("span", {}, text)));
  }

  async function change(changes) {
    try {
      const found = await post("api/change", { changes });
      undo.push(found.undo);
      back.disabled = false;
      for (const one of changes) grid.replace(one);
      await refresh();
      summary();
    } catch (error) { say(error.message); }
  }

  async function takeBack() {
    const changes = undo.pop();
    back.disabled = !undo.length;
    if (!changes) return;
    try {
      await post("api/change", { changes });
      for (const one of changes) grid.replace(one);
      await refresh();
      summary();
    } catch (error) { say(error.message); }
  }

  function keyed(event, row) {
    if ((event.ctrlKey || event.metaKey) && event.key === "z") { event.preventDefault(); takeBack(); return; }
    if (!row || event.ctrlKey || event.metaKey || event.altKey) return;
    const { classes: names, delimiter } = state.project, number = Number(event.key);
    const labels = state.project.offers.relabel;
    if (event.key === "x" || event.key === "Delete") { event.preventDefault(); change([{ i: row.i, name: row.name, out: !row.out }]); grid.choose(grid.at + 1); } else if (labels && event.key === "0") { event.preventDefault(); change([{ i: row.i, name: row.name, label: null }]); } else if (labels && number >= 1 && number <= Math.min(9, names.length)) {
      event.preventDefault();
      change([{ i: row.i, name: row.name, label: toggled(row.label, names[number - 1], delimiter) }]);
      if (!delimiter) grid.choose(grid.at + 1);
    }
  }

  function open(row) {
    if (!row) return;
    const { classes: names, delimiter } = state.project;
    const select = h("select", { onchange: () => { change([{ i: row.i, name: row.name, label: toggled(row.label, select.value, delimiter) }]); box.close(); } },
      h("option", { value: "" }, delimiter ? t("data.toggle_label") : t("data.choose_label")), names.map(name => new Option(name, name, false, !delimiter && name === row.label)));
    const box = h("dialog", { onclose: () => box.remove() },
      item.open(row),
      h("p", {}, row.name), h("p", { className: "soft" }, `${row.label ?? t("data.no_label")} · ${t(`side.${row.side}`)}`),
      h("div", { className: "row" }, state.project.offers.relabel ? h("label", {}, t("data.label"), select) : null,
        h("button", { onclick: () => { change([{ i: row.i, name: row.name, out: !row.out }]); box.close(); } }, row.out ? t("data.take_in") : t("data.leave_out")),
        h("button", { onclick: () => box.close() }, t("close"))));
    document.body.append(box);
    box.showModal();
  }

  const made = await check(problems, left, problem => { filter.problem = problem; load(); });
  place.append(title, notes,
    h("div", { className: "two" },
      h("div", { className: "card" }, h("h2", {}, t("data.classes")), pixels(left, async () => { await refresh(); summary(); load(true); }), classes,
        state.project.offers.relabel && (state.project.own || state.project.delimiter === null) ? addClass(async () => { await refresh(); summary(); load(true); }) : null,
        state.project.own ? bring(left, async () => { await refresh(); summary(); load(true); }) : null, state.project.own || state.project.addresses.length ? phone() : null),
      h("div", { className: "card" },
        h("div", { className: "row" }, search, side, which, back), count, grid.box, empty, chosen,
        h("p", { className: "soft" }, t(state.project.delimiter ? "data.keys_several" : "data.keys")))),
    made);
  summary();
  await load();
  grid.box.focus({ preventScroll: true });
}

const total = sides => Object.values(sides).reduce((a, b) => a + b, 0);

function toggled(label, name, delimiter) {
  if (!delimiter) return name;
  const now = label ? label.split(delimiter) : [];
  const next = now.includes(name) ? now.filter(one => one !== name) : [...now, name];
  return next.length ? next.join(delimiter) : null;
}

function later(work, wait = 250) {
  let timer;
  return () => { clearTimeout(timer); timer = setTimeout(work, wait); };
}

function choice(name, options, work) {
  const select = h("select", { "aria-label": name, onchange: () => work(select.value) }, options.map(([value, text]) => new Option(text, value)));
  return select;
}

function addClass(done) {
  const name = h("input", { required: true, maxLength: 200, "aria-label": t("data.class_name"), placeholder: t("data.class_name") });
  const fault = h("p", { className: "error" });
  return h("form", { className: "row", onsubmit: async event => {
    event.preventDefault();
    fault.textContent = "";
    try { await post("api/classes", { name: name.value }); name.value = ""; await done(); document.dispatchEvent(new Event("classes")); } catch (error) { fault.textContent = error.message; }
  } }, name, h("button", {}, t("data.add_class")), fault);
}

// Files that are dropped, pasted, chosen or photographed become images of the class that is chosen.
function bring(left, done) {
  const select = h("select", { "aria-label": t("data.bring_class") }), state_ = h("p", { className: "soft", role: "status" });
  const fill = () => select.replaceChildren(...state.project.classes.map(name => new Option(name, name, false, name === select.value)));
  const refused = h("div");
  async function take(files) {
    if (!files.length) return;
    if (!select.value) { state_.textContent = t("data.class_first"); return; }
    const form = new FormData();
    form.append("label", select.value);
    for (const file of files) form.append("files", file, file.name || "pasted.png");
    state_.textContent = t("data.sending", { n: files.length });
    try {
      const found = await send("api/files", form);
      state_.textContent = t("data.added", { n: found.added }) + (found.again ? ` ${t("data.again", { n: found.again })}` : "");
      refused.replaceChildren(...found.refused.map(why => h("p", { className: "error" }, why)));
      await done();
      fill();
    } catch (error) { state_.textContent = error.message; }
  }
  const input = h("input", { type: "file", accept: "image/*", multiple: true, className: "hidden-input", id: "bring", onchange: () => { take([...input.files]); input.value = ""; } });
  const camera = h("input", { type: "file", accept: "image/*", capture: "environment", className: "hidden-input", id: "camera", onchange: () => { take([...camera.files]); camera.value = ""; } });
  const box = h("div", { className: "drop", ondragover: event => { event.preventDefault(); box.classList.add("over"); }, ondragleave: () => box.classList.remove("over"),
    ondrop: event => { event.preventDefault(); box.classList.remove("over"); take([...event.dataTransfer.files]); } },
  h("label", {}, t("data.bring_class"), select), h("p", { className: "soft" }, t("data.drop")),
  h("div", { className: "row" }, h("label", { className: "button", htmlFor: "bring" }, t("data.choose_files")), input,
    h("label", { className: "button", htmlFor: "camera" }, t("data.photograph")), camera, webcam(take, left)), state_, refused);
  document.addEventListener("paste", event => take([...event.clipboardData.files]), { signal: left });
  document.addEventListener("classes", fill, { signal: left });
  fill();
  return box;
}

function webcam(take, left) {
  if (!navigator.mediaDevices?.getUserMedia) return null;
  return h("button", { type: "button", onclick: async () => {
    let stream;
    try { stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } }); } catch (error) { say(t("data.no_camera", { why: error.message })); return; }
    const stop = () => stream.getTracks().forEach(track => track.stop());
    left.addEventListener("abort", stop);
    const video = h("video", { autoplay: true, playsInline: true, muted: true, srcObject: stream });
    Object.assign(video.style, { maxWidth: "100%", maxHeight: "60dvh" });
    const shoot = () => {
      const canvas = h("canvas", { width: video.videoWidth, height: video.videoHeight });
      canvas.getContext("2d").drawImage(video, 0, 0);
      canvas.toBlob(blob => take([new File([blob], `camera-${Date.now()}.jpg`, { type: "image/jpeg" })]), "image/jpeg", .92);
    };
    const box = h("dialog", { onclose: () => { stop(); box.remove(); } }, video,
      h("div", { className: "row" }, h("button", { className: "primary", onclick: shoot }, t("data.shoot")), h("button", { onclick: () => box.close() }, t("close"))));
    document.body.append(box);
    box.showModal();
  } }, t("data.webcam"));
}

function phone() {
  if (!state.project.addresses?.length) return h("p", { className: "soft" }, t("data.phone_how"));
  return h("details", {}, h("summary", {}, t("data.phone")), h("img", { className: "qr", src: "qr.svg", alt: state.project.addresses[0] }),
    h("p", {}, h("a", { href: state.project.addresses[0] }, state.project.addresses[0])));
}

async function check(box, left, pick) {
  const list = h("ul", { className: "classes" }), progress = h("progress", { hidden: true, "aria-label": t("data.checking") });
  const button = h("button", { onclick: () => run() }, t("data.check")), note = h("p", { className: "soft", role: "status" });
  function draw(found) {
    if (!found) return;
    if (found.error) { note.textContent = found.message; return; }
    const all = Object.entries(found.counts);
    note.textContent = all.length ? t("data.problems", { n: all.length }) : t("data.no_problem");
    list.replaceChildren(...all.map(([name, number]) => h("li", {},
      h("button", { onclick: () => pick(name) }, h("kbd", {}, ""), h("span", {}, `${t(`problem.${name}`)}. ${t(`advice.${name}`)}`), h("span", {}, String(number))))),
    ...(all.length ? [h("li", {}, h("button", { onclick: () => pick("") }, h("kbd", {}, ""), h("span", {}, t("data.everything")), h("span")))] : []));
  }
  async function run(start = true) {
    button.disabled = true;
    progress.hidden = false;
    note.textContent = t("data.checking");
    try {
      if (start) await post("api/jobs/check");
      const found = await follow("api/jobs/check", () => {}, left);
      if (found) { note.textContent = ""; draw(found.result ?? { error: "stopped", message: found.last || t("job.stopped") }); }
    } catch (error) { note.textContent = error.message; }
    progress.hidden = true;
    button.disabled = false;
  }
  const before = await get("api/jobs/check");
  if (before.state === "running") run(false); else draw(before.result);
  box.replaceChildren(h("h2", {}, t("data.problems_title")), h("p", { className: "lead" }, t("data.check_what")), h("div", { className: "row" }, button), progress, note, list);
  return box;
}
