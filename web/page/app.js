// The page: it brings the model, the module of its input and that of its answers together.

import { kindModule } from "./kinds.js";
import { describe, load } from "./model.js";
import { at } from "./view.js";

const state = { about: null, input: null, target: null, run: null, companion: null, take: null, timed: 0 };

/** What the module of an input may ask of the page. */
const page = {
  say,
  clear,
  ready,
  ask,
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
  at("answer").replaceChildren();
  delete window.lastAnswer;
}

/** Take the answer away, and say what went wrong. */
function refuse(error) {
  clear();
  say(error.message, true);
}

/** Whether the model is here; says so where it is not. */
function ready() {
  if (!state.run) say("The model is still loading.", true);
  return Boolean(state.run);
}

/** Ask the model about `source`: a reply for `show`. `size` is the [h, w] of an image. */
async function ask(source, { size, began = performance.now() } = {}) {
  const { input, target } = state.about.task;
  const outputs = await state.run(source);
  return { began, outputs, answer: state.target.decode(target, outputs, size, state.input.fixedSize?.(input)) };
}

/** Show a reply, also on the `canvas` with its image; of a `moving` source the time is said now and then only. */
function show({ began, outputs, answer }, { canvas, moving = false, note = "" } = {}) {
  if (canvas) state.target.draw?.(canvas, answer);
  at("answer").replaceChildren(...state.target.show(answer, state.companion).filter(Boolean));
  const now = performance.now();
  if (!moving || now - state.timed > 2000) {
    say(`Answered in ${Math.round(now - began)} ms, on this device.${note}`);
    state.timed = now;
  }
  document.body.dataset.answered = String(Number(document.body.dataset.answered ?? 0) + 1);
  window.lastAnswer = { probabilities: Array.from(outputs.probabilities), ...answer };
}

/** Ask about `source` and show the answer, or what went wrong. */
async function answer(source) {
  if (!ready()) return;
  try {
    show(await ask(source));
  } catch (error) {
    refuse(error);
  }
}

async function start() {
  watch();
  try {
    state.about = await describe();
    await introduce(state.about);
    state.run = await load(state.about, (share) => say(`Loading the model… ${Math.round(100 * share)} %`));
    say("Ready.");
    document.body.dataset.ready = "yes";
  } catch (error) {
    say(`The model could not be loaded. ${error.message}`, true);
  }
  await navigator.serviceWorker?.register("sw.js").catch(() => {}); // without it the page needs a network
}

/** Say when the worker that keeps the page has a newer one; on the first visit whatever comes is no news. */
function watch() {
  const { serviceWorker } = navigator;
  if (!serviceWorker?.controller) return;
  serviceWorker.addEventListener("controllerchange", () => {
    at("newer").hidden = false;
  });
}

/** Title, controls, and what is known of the model. */
async function introduce({ title, task: { input, target }, theme = {}, made, library }) {
  document.title = title;
  at("title").textContent = title;
  state.input = await kindModule("inputs", input.kind);
  state.target = await kindModule("targets", target.kind);
  at("subtitle").textContent = state.input.subtitle;
  state.take = state.input.start(input, page);
  state.companion = state.target.companion?.(theme);
  const rows = {
    Answers: target.kind,
    ...state.target.rows(target),
    ...state.input.rows(input),
    Precision: made?.precision ?? "",
    "Answers changed by it": made?.changed ? `${(100 * made.changed).toPrecision(2)} %` : "",
    "Made with": `onecycle ${library}`,
  };
  for (const [name, value] of Object.entries(rows)) {
    if (value === "") continue;
    const [dt, dd] = [document.createElement("dt"), document.createElement("dd")];
    [dt.textContent, dd.textContent] = [name, value];
    at("about").append(dt, dd);
  }
}

at("reload").addEventListener("click", () => location.reload());
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
