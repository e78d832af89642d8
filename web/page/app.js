// The page: it brings the model, the module of its input and that of its answers together.

import { describeComputing, describeModel } from "./about.js";
import { offer } from "./examples.js";
import { kindModule } from "./kinds.js";
import { describe, load } from "./model.js";
import { share } from "./share.js";
import { at } from "./view.js";

const PATIENCE = 400; // milliseconds until the page says that it is at work
const state = {
  about: null, input: null, target: null, run: null, companion: null, take: null, timed: 0,
  turn: 0, // counts what was asked and taken away: a reply to an earlier one is not shown
  running: Promise.resolve(),
};

/** What the module of an input may ask of the page. */
const page = {
  say,
  clear,
  ready,
  ask,
  draw,
  show,
  answer,
  refuse,
  get mirrors() { return Boolean(state.companion); }, // a smiley mirrors its beholder
};

/** Write a line under the answer. */
function say(message, error = false) {
  at("status").textContent = message;
  at("status").classList.toggle("error", error);
}

/** Take the answer away: what it was about is no longer there. */
function clear() {
  state.turn += 1;
  at("answer").replaceChildren();
  at("share").hidden = true;
  work(false);
  say("");
  delete window.lastAnswer;
}

/** Take the answer away, and say what went wrong. */
function refuse(error) {
  clear();
  say(error.message, true);
}

/** The answer before is dimmed as long as there is no new one. */
function work(busy) {
  at("answer").setAttribute("aria-busy", String(busy));
}

/** Whether the model is here; says so where it is not. */
function ready() {
  if (!state.run) say("The model is still loading.", true);
  return Boolean(state.run);
}

/** Ask the model about `source`: a reply for `show`. `size` is the [h, w] of an image. */
async function ask(source, { size, began = performance.now() } = {}) {
  const { input, target } = state.about.task;
  const asked = state.run(source);
  state.running = asked.catch(() => {});
  const outputs = await asked;
  return { began, outputs, answer: state.target.decode(target, outputs, size, state.input.fixedSize?.(input)) };
}

/** Draw a reply over its image, which lies below `canvas`. */
function draw(canvas, { answer }) {
  state.target.draw?.(canvas, answer);
}

/** Show a reply; `paint` draws what lies over its image. Of a `moving` source the time is said now and then only. */
function show({ began, outputs, answer }, { paint, moving = false, note = "" } = {}) {
  paint?.();
  const nodes = state.target.show(answer, state.companion, paint).filter(Boolean);
  const shown = [...at("answer").childNodes];
  if (nodes.length !== shown.length || nodes.some((node, i) => node !== shown[i])) at("answer").replaceChildren(...nodes);
  work(false);
  at("share").hidden = false;
  const now = performance.now();
  if (!moving || now - state.timed > 2000) {
    say(`Answered in ${Math.round(now - began)} ms, on this device.${note}`);
    state.timed = now;
  }
  document.body.dataset.answered = String(Number(document.body.dataset.answered ?? 0) + 1);
  window.lastAnswer = { probabilities: Array.from(outputs.probabilities), ...answer };
}

/** Ask about `source` and show the answer, or what went wrong; what was asked since then takes its place. */
async function answer(source) {
  if (!ready()) return;
  const turn = (state.turn += 1);
  const current = () => turn === state.turn;
  work(true);
  setTimeout(() => current() && at("answer").getAttribute("aria-busy") === "true" && say("Working…"), PATIENCE);
  try {
    await state.running;
    if (!current()) return;
    const reply = await ask(source);
    if (current()) show(reply);
  } catch (error) {
    if (current()) refuse(error);
  }
}

async function start() {
  watch();
  try {
    state.about = await describe();
    await introduce(state.about);
    state.run = await load(state.about, progress, describeComputing);
    at("progress").hidden = true;
    say("Ready.");
    document.body.dataset.ready = "yes";
  } catch (error) {
    at("progress").hidden = true;
    say(`The model could not be loaded. ${error.message}`, true);
  }
  await navigator.serviceWorker?.register("sw.js").catch(() => {}); // without it the page needs a network
}

/** How much of runtime and model is here. */
function progress(done, total) {
  at("progress").value = done / total;
  const [some, all] = [done, total].map((bytes) => (bytes / 1e6).toFixed(1));
  say(done < total ? `Loading the model: ${some} of ${all} MB` : "Starting the model…");
}

/** Say when the worker that keeps the page has a newer one; on the first visit whatever comes is no news. */
function watch() {
  const { serviceWorker } = navigator;
  if (!serviceWorker?.controller) return;
  serviceWorker.addEventListener("controllerchange", () => {
    at("newer").hidden = false;
  });
  document.addEventListener("visibilitychange", async () => {
    if (!document.hidden) (await serviceWorker.getRegistration())?.update().catch(() => {}); // an app may stay open for weeks
  });
}

/** Title, controls, and what is known of the model. */
async function introduce(about) {
  const { title, task: { input, target }, theme = {}, examples = [] } = about;
  document.title = title;
  at("title").textContent = title;
  state.input = await kindModule("inputs", input.kind);
  state.target = await kindModule("targets", target.kind);
  at("subtitle").textContent = state.input.subtitle;
  state.take = state.input.start(input, page);
  state.companion = state.target.companion?.(theme);
  if (state.take) offer(examples, state.take, refuse);
  describeModel(about, state.input.rows(input), state.target.rows(target));
}

at("reload").addEventListener("click", () => location.reload());
at("share").addEventListener("click", () => share(say));
for (const name of ["dragenter", "dragover"]) {
  addEventListener(name, (event) => {
    event.preventDefault();
    document.body.classList.add("over");
  });
}
addEventListener("dragleave", () => document.body.classList.remove("over"));
addEventListener("drop", (event) => {
  event.preventDefault(); // else the browser would leave the page
  document.body.classList.remove("over");
  if (state.take) state.take([...event.dataTransfer.files]);
  else if (ready()) say("This page takes no files.", true);
});

start();
