// The model: loads the exported file, and turns a source into an answer, here or on the server.

import * as ort from "./ort/ort.wasm.min.mjs";
import { numbering } from "./words.js";

ort.env.wasm.numThreads = 1;
ort.env.wasm.wasmPaths = new URL("./ort/", import.meta.url).href;

/** What the file says about itself, and the address of the file: model.json, written beside it. */
export async function describe() {
  const reply = await fetch("model.json");
  if (!reply.ok) throw new Error(`model.json: ${reply.status}`);
  return reply.json();
}

/** Of each kind of input: what makes the graph's tensors of a source. */
const FEEDS = {
  image: () => ({ data, width, height }) => ({ image: new ort.Tensor("uint8", data, [1, height, width, 3]) }),
  text: ({ vocab, backwards }) => {
    const number = numbering(vocab, backwards);
    return (text) => {
      const ids = number(text);
      return { ids: new ort.Tensor("int64", ids, [1, ids.length]) };
    };
  },
  series: () => (rows) => {
    const values = Float32Array.from(rows.flatMap((row) => Array.from(row)));
    return { series: new ort.Tensor("float32", values, [1, rows.length, rows[0].length]) };
  },
};

/** A function from a source (RGB bytes {data, width, height}, a text, rows of numbers) to {probabilities, …}. */
export async function load(about, progress = () => {}) {
  const bytes = await download(about.file, about.bytes, progress);
  const session = await ort.InferenceSession.create(bytes, { executionProviders: ["wasm"], logSeverityLevel: 3 });
  const feed = FEEDS[about.task.input.kind](about.task.input);
  return async (source) => {
    const given = feed(source);
    const found = await session.run(given);
    const answer = Object.fromEntries(Object.entries(found).map(([name, value]) => [name, value.data]));
    [...Object.values(given), ...Object.values(found)].forEach((value) => value.dispose());
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
