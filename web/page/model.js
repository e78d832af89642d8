// The model: loads the exported file, and turns pixels into an answer, here or on the server.

import * as ort from "./ort/ort.wasm.min.mjs";

ort.env.wasm.numThreads = 1;
ort.env.wasm.wasmPaths = new URL("./ort/", import.meta.url).href;

/** What the file says about itself, and the address of the file: model.json, written beside it. */
export async function describe() {
  const reply = await fetch("model.json");
  if (!reply.ok) throw new Error(`model.json: ${reply.status}`);
  return reply.json();
}

/** A function from RGB bytes {data, width, height} to {probabilities, mask?, box, inner}. */
export async function load(about, progress = () => {}) {
  const bytes = await download(about.file, about.bytes, progress);
  const session = await ort.InferenceSession.create(bytes, { executionProviders: ["wasm"], logSeverityLevel: 3 });
  return async ({ data, width, height }) => {
    const image = new ort.Tensor("uint8", data, [1, height, width, 3]);
    const found = await session.run({ image });
    const answer = Object.fromEntries(Object.entries(found).map(([name, value]) => [name, value.data]));
    image.dispose();
    Object.values(found).forEach((value) => value.dispose());
    return answer;
  };
}

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
