// The model, as the page sees it: what is known of it, and a function from a source to the graph's outputs.

import { kindModule } from "./kinds.js";

/** What the file says about itself, and where the site's files are: model.json, written beside it. */
export async function describe() {
  const reply = await fetch("model.json");
  if (!reply.ok) throw new Error(`model.json: ${reply.status}`);
  return reply.json();
}

/**
 * A function from a source, as the input's module takes it, to {probabilities, …}. `progress` is told bytes and all
 * bytes, `computing` what computes ("GPU" or "processor") and why no GPU does that could.
 */
export async function load(about, progress = () => {}, computing = () => {}) {
  const spec = about.task.input;
  const feed = await (await kindModule("inputs", spec.kind)).feed(spec, about.runtime.folder);
  const thread = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
  const ask = dialogue(thread, progress, computing);
  const { runtime, gpu, model } = about;
  const served = Boolean(navigator.serviceWorker?.controller);
  try {
    computing(await ask({ files: { runtime, gpu, model, served, threads: threadsOf(window) } }));
  } catch (error) {
    thread.terminate(); // else it goes on fetching the other file
    throw error;
  }
  return async (source) => ask({ given: feed(source) });
}

/** Half the cores, as threads that wait for one another lose more than they gain on busy ones; 4 at most. */
function threadsOf({ crossOriginIsolated, navigator: { hardwareConcurrency = 1 } }) {
  return crossOriginIsolated ? Math.min(4, Math.ceil(hardwareConcurrency / 2)) : 1; // else they cannot share memory
}

/** A function that sends the thread a message, and gives back its reply to that one. */
function dialogue(thread, progress, computing) {
  const open = new Map();
  let last = 0;
  thread.addEventListener("message", ({ data: { id, outputs, error, done, total, computes, why } }) => {
    if (computes) return computing({ computes, why });
    if (id === undefined) return progress(done, total);
    const [resolve, reject] = open.get(id);
    open.delete(id);
    if (error === undefined) resolve(outputs);
    else reject(new Error(error));
  });
  thread.addEventListener("error", ({ message }) => {
    for (const [, reject] of open.values()) reject(new Error(message || "the model's thread does not run in this browser"));
    open.clear();
  });
  return (message) => new Promise((resolve, reject) => {
    last += 1;
    open.set(last, [resolve, reject]);
    thread.postMessage({ id: last, ...message });
  });
}
