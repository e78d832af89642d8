// The page: buttons, camera, clipboard and drop, and the way from a picture to its answer.

import { describe, load } from "./model.js";
import { open, read } from "./pixels.js";
import { decode } from "./answers.js";
import { clear, drawOver, show } from "./view.js";
import { smileys } from "./smiley.js";
import { writing } from "./writing.js";
import { curving } from "./curving.js";

const at = (id) => document.getElementById(id);
const [stage, video, canvas] = ["stage", "video", "canvas"].map(at);
const state = { about: null, run: null, smiley: null, take: null, busy: false, stream: null, timed: 0 };

function say(text, error = false) {
  at("status").textContent = text;
  at("status").classList.toggle("error", error);
}

async function start() {
  watch();
  try {
    state.about = await describe();
    introduce(state.about);
    const theme = state.about.theme ?? {};
    if (Object.keys(theme).length) state.smiley = smileys(theme);
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

function introduce(about) {
  document.title = about.title;
  at("title").textContent = about.title;
  const { target, input } = about.task;
  const forget = () => clear(at("answer"));
  if (input.kind === "text") writing(answerText, forget);
  if (input.kind === "series") state.take = curving(input, answerText, say, forget);
  const rows = {
    Answers: target.kind,
    Classes: (target.classes ?? target.names ?? []).join(", "),
    "Decides above": target.thresh ?? "",
    "Picture size": input.kind === "image" ? (input.size ?? input.window)?.join(" × ") ?? "any" : "",
    Vocabulary: input.vocab ? `${input.vocab.length} tokens` : "",
    Channels: input.channels ?? "",
    Precision: about.made?.precision ?? "",
    "Answers changed by it": about.made?.changed ? `${(100 * about.made.changed).toPrecision(2)} %` : "",
    "Made with": `onecycle ${about.library}`,
  };
  for (const [name, value] of Object.entries(rows)) {
    if (value === "") continue;
    const [dt, dd] = [document.createElement("dt"), document.createElement("dd")];
    [dt.textContent, dd.textContent] = [name, value];
    at("about").append(dt, dd);
  }
}

/** Read what `source` shows, ask the model, and show its answer; `more` is said beside it. */
async function answer(source, live = false, more = "") {
  const began = performance.now();
  const picture = read(source, canvas);
  const found = await state.run(picture);
  const decoded = decode(state.about, found, [picture.height, picture.width]);
  if (live && !state.stream) return; // stopped while the model was at work
  stage.classList.toggle("mirrored", live && Boolean(state.smiley));
  drawOver(canvas, decoded);
  state.smiley?.show(decoded.headline);
  show(at("answer"), decoded, state.smiley?.node);
  told(found, decoded, began, (picture.shrunk ? " The picture was too large, and made smaller first." : "") + more);
}

/** Ask about a text or a series, and show the answer. */
async function answerText(text) {
  if (!state.run) return say("The model is still loading.", true);
  try {
    const began = performance.now();
    const found = await state.run(text);
    const decoded = decode(state.about, found);
    show(at("answer"), decoded);
    told(found, decoded, began);
  } catch (error) {
    clear(at("answer"));
    say(error.message, true);
  }
}

function told(found, decoded, began, more = "") {
  const now = performance.now();
  if (!state.stream || now - state.timed > 2000) {
    say(`Answered in ${Math.round(now - began)} ms, on this device.${more}`);
    state.timed = now;
  }
  document.body.dataset.answered = String(Number(document.body.dataset.answered ?? 0) + 1);
  window.lastAnswer = { probabilities: Array.from(found.probabilities), ...decoded };
}

/** Answer the first of some files; the others are not dropped without a word. */
async function choose(files) {
  const [blob, ...others] = files;
  if (!blob) return;
  if (state.busy) return say("Still looking at the picture before: give this one again.", true);
  if (state.take) return state.take(blob);
  if (!state.run) return say("The model is still loading.", true);
  const more = others.length ? ` Of ${files.length} pictures this is the first: give them one by one.` : "";
  stopCamera();
  state.busy = true;
  try {
    say("Looking…");
    const bitmap = await open(blob);
    clear(at("answer")); // it was about another picture
    reveal();
    await answer(bitmap, false, more);
    bitmap.close();
  } catch (error) {
    empty();
    say(error.message, true);
  } finally {
    state.busy = false;
  }
}

function reveal() {
  stage.classList.add("filled");
  at("empty").hidden = true;
  canvas.hidden = false;
}

/** Neither a picture nor an answer, so that an error does not stand beside those of an earlier picture. */
function empty() {
  clear(at("answer"));
  stage.classList.remove("filled");
  at("empty").hidden = false;
  canvas.hidden = true;
}

async function startCamera() {
  if (!state.run) return say("The model is still loading.", true);
  try {
    const facingMode = { ideal: state.smiley ? "user" : "environment" }; // a smiley mirrors its beholder
    const wanted = { video: { facingMode, width: { ideal: 640 } }, audio: false };
    state.stream = await navigator.mediaDevices.getUserMedia(wanted);
  } catch (error) {
    return say(`No camera: ${error.message}. Choose a photo instead.`, true);
  }
  video.srcObject = state.stream;
  await video.play();
  reveal();
  at("answer").setAttribute("aria-live", "off"); // a voice cannot follow every frame
  at("live").setAttribute("aria-pressed", "true");
  at("live").textContent = "Stop camera";
  look();
}

/** One frame after the other, as fast as the model answers. */
async function look() {
  while (state.stream) {
    try {
      if (video.readyState >= 2) await answer(video, true);
    } catch (error) {
      stopCamera();
      empty();
      return say(error.message, true);
    }
    await new Promise((next) => requestAnimationFrame(next));
  }
}

function stopCamera() {
  state.stream?.getTracks().forEach((track) => track.stop());
  state.stream = null;
  video.srcObject = null;
  at("answer").setAttribute("aria-live", "polite");
  at("live").setAttribute("aria-pressed", "false");
  at("live").textContent = "Live camera";
}

for (const id of ["choose", "take"]) {
  at(id).addEventListener("change", (event) => {
    choose([...event.target.files]);
    event.target.value = "";
  });
}
at("reload").addEventListener("click", () => location.reload());
at("live").addEventListener("click", () => (state.stream ? stopCamera() : startCamera()));
addEventListener("paste", (event) => choose([...event.clipboardData.files].filter((f) => f.type.startsWith("image/"))));
for (const kind of ["dragenter", "dragover"]) {
  addEventListener(kind, (event) => {
    event.preventDefault();
    stage.classList.add("over");
  });
}
addEventListener("dragleave", () => stage.classList.remove("over"));
addEventListener("drop", (event) => {
  event.preventDefault();
  stage.classList.remove("over");
  choose([...event.dataTransfer.files]);
});
if (!navigator.mediaDevices?.getUserMedia) at("live").hidden = true;

start();
