// The model: loads the exported file, and turns a source into the graph's outputs.

import * as ort from "./ort/ort.wasm.min.mjs";
import { kindModule } from "./kinds.js";

ort.env.wasm.numThreads = 1;
ort.env.wasm.wasmPaths = new URL("./ort/", import.meta.url).href;

/** What the file says about itself, and the address of the file: model.json, written beside it. */
export async function describe() {
  const reply = await fetch("model.json");
  if (!reply.ok) throw new Error(`model.json: ${reply.status}`);
  return reply.json();
}

/** A function from a source, as the input's module takes it, to {probabilities, …}. */
export async function load(about, progress = () => {}) {
  const spec = about.task.input;
  const feed = (await kindModule("inputs", spec.kind)).feed(spec);
  const bytes = await download(about.file, about.bytes, progress);
  const session = await ort.InferenceSession.create(bytes, { executionProviders: ["wasm"], logSeverityLevel: 3 });
  return async (source) => {
    const given = mapValues(feed(source), (tensor) => new ort.Tensor(...tensor));
    const found = await session.run(given);
    const outputs = mapValues(found, (tensor) => tensor.data);
    [...Object.values(given), ...Object.values(found)].forEach((tensor) => tensor.dispose());
    return outputs;
  };
}

const mapValues = (object, f) => Object.fromEntries(Object.entries(object).map(([name, value]) => [name, f(value)]));

async function download(address, total, progress) {
  const reply = await fetch(address);
  if (!reply.ok) throw new Error(`${address}: ${reply.status}`);
  const whole = new Uint8Array(total);
  let at = 0;
  for (const reader = reply.body.getReader(); ; ) {
    const { done, value } = await reader.read();
    if (done) break;
    if (at + value.length > total) throw new Error("the model file is larger than it should be");
    whole.set(value, at);
    at += value.length;
    progress(at / total);
  }
  if (at !== total) throw new Error("the model file was cut off: load the page again");
  return whole;
}
