// The thread in which the model runs, so that the page never waits for it. Its other side is model.js.

import { download, isKept } from "./download.js";

let [ort, session] = [null, null];
let onProcessor = null; // what starts the model on the processor, as long as a GPU computes

/** Fetch runtime and model, and put them together: on a GPU where the site is made for one, it is here and answers rightly. */
async function load({ model, runtime, gpu, served, threads }) {
  const arrived = download(model, (share) => told(model, share));
  const start = async (build, provider) => {
    const script = import(`./${build.folder}${build.script}`);
    const ready = served && (await isKept(build.file)); // the browser has it compiled already
    expected = ready ? [model] : [model, build];
    const [data, wasm] = await Promise.all([arrived, download(build, (share) => told(build, share))]);
    ort = await script;
    ort.env.wasm.numThreads = threads;
    ort.env.wasm.wasmPaths = new URL(build.folder, import.meta.url).href;
    ort.env.wasm.wasmBinary = wasm;
    session = await ort.InferenceSession.create(data, { executionProviders: [provider], logSeverityLevel: 3 });
  };
  const plain = () => start(runtime, "wasm");
  const [computes, why] = (gpu && (await onGpu(gpu, start))) ?? ["processor", ""];
  if (computes === "processor") await plain();
  else onProcessor = plain;
  return { computes, why };
}

let expected = [];
const shares = new Map();

/** Tell the page how much of what is fetched is here, once it is known what that is. */
function told(part, share) {
  shares.set(part, share);
  const sum = (of) => expected.reduce((total, one) => total + of(one), 0);
  const [done, total] = [sum((one) => (shares.get(one) ?? 0) * one.packed), sum(({ packed }) => packed)];
  if (total) postMessage({ done, total });
}

/** [what computes, why not the GPU]. */
async function onGpu(gpu, start) {
  const adapter = await navigator.gpu?.requestAdapter().catch(() => null);
  if (!adapter) return ["processor", ""];
  try {
    await start(gpu, "webgpu");
    const apart = await difference(gpu.probe);
    if (apart <= gpu.probe.tolerance) return ["GPU", ""];
    return ["processor", `the GPU's answers differ by ${apart.toPrecision(2)}`];
  } catch (error) {
    return ["processor", `the GPU cannot run it: ${error.message}`];
  }
}

/** By how much answers to noise differ from those in model.json, in parts of the largest value, or NaN; `gpu_probe` in Python. */
async function difference({ tensor, type, shape, outputs }) {
  const count = shape.reduce((product, length) => product * length);
  const bytes = Uint8Array.from({ length: count }, (_, i) => Number(((BigInt(i) * 2654435761n) >> 13n) & 255n));
  const found = await once({ [tensor]: [type, type === "uint8" ? bytes : Float32Array.from(bytes, (byte) => byte / 255), shape] });
  const apart = Object.entries(outputs).map(([name, values]) => {
    const step = Math.ceil(found[name].length / 256);
    const largest = values.reduce((most, value) => Math.max(most, Math.abs(value)), 1);
    return Math.max(...values.map((value, i) => Math.abs(Number(found[name][i * step]) - value) / largest));
  });
  return Math.max(...apart);
}

/** {name: [type, values, shape]} to {name: values}; a GPU that is lost meanwhile is done without. */
async function run(given) {
  try {
    return await once(given);
  } catch (error) {
    if (!onProcessor) throw error;
    const plain = onProcessor;
    onProcessor = null;
    await plain();
    postMessage({ computes: "processor", why: "the GPU was lost" });
    return once(given);
  }
}

async function once(given) {
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
