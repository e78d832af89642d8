// The thread in which the model runs, so that the page never waits for it. Its other side is model.js.

import { download, isKept } from "./download.js";

let [ort, session] = [null, null];

/** Fetch runtime and model side by side, and put them together; `served`: sw.js answers for the files that it keeps. */
async function load({ runtime, model, served, threads }) {
  const ready = served && (await isKept(runtime.file)); // the browser has it compiled already
  const parts = ready ? [model] : [model, runtime];
  const total = parts.reduce((sum, { packed }) => sum + packed, 0);
  const shares = parts.map(() => 0);
  const script = import(`./${runtime.folder}ort.wasm.min.mjs`);
  const [data, wasm] = await Promise.all(parts.map((part, i) => download(part, (share) => {
    shares[i] = share;
    postMessage({ done: shares.reduce((sum, one, j) => sum + one * parts[j].packed, 0), total });
  })));
  ort = await script;
  ort.env.wasm.numThreads = threads;
  ort.env.wasm.wasmPaths = new URL(runtime.folder, import.meta.url).href;
  ort.env.wasm.wasmBinary = wasm;
  session = await ort.InferenceSession.create(data, { executionProviders: ["wasm"], logSeverityLevel: 3 });
}

/** {name: [type, values, shape]} to {name: values}. */
async function run(given) {
  const tensors = mapValues(given, (tensor) => new ort.Tensor(...tensor));
  const found = await session.run(tensors);
  const outputs = mapValues(found, (tensor) => tensor.data);
  [...Object.values(tensors), ...Object.values(found)].forEach((tensor) => tensor.dispose());
  return outputs;
}

const mapValues = (object, f) => Object.fromEntries(Object.entries(object).map(([name, value]) => [name, f(value)]));

addEventListener("message", async ({ data: { id, files, given } }) => {
  try {
    postMessage({ id, outputs: files ? await load(files) : await run(given) });
  } catch (error) {
    postMessage({ id, error: error.message });
  }
});
