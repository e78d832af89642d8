// Large files: fetched with a word about how far, unpacked, and kept for use without a network.
//
// The site holds FILE as FILE.gz, so that no host has to compress it. Some hosts unpack such files on their own: what
// arrives is therefore looked at. A file is named after its content, so that a kept one is never another.

const GZIP = 0x1f; // the first byte; neither a model nor WebAssembly begins so
const ARRIVED = `onecycle ${new URL("./", import.meta.url).href} arrived`; // sw.js takes it over

/** Whether the device has a copy. */
export const isKept = async (file) => Boolean(await kept(addressOf(file)));

/** The content of `file`: `bytes` many, in the site `packed` many. `progress` is told shares from 0 to 1. */
export async function download({ file, bytes, packed }, progress) {
  const address = addressOf(file);
  const copy = await kept(address);
  const found = copy ? await content(copy) : await fetched(`${address}.gz`, bytes, packed, progress);
  if (found.length !== bytes) throw new Error(broken(file, found.length > bytes));
  progress(1);
  if (!copy) await keep(address, found);
  return found;
}

const addressOf = (file) => new URL(file, import.meta.url).href;
const kept = (address) => globalThis.caches?.match(address); // where the page came by http:// there are none
const content = async (reply) => new Uint8Array(await reply.arrayBuffer());
const nameOf = (address) => address.split("/").at(-1);
const broken = (address, larger) => `${nameOf(address)} is ${larger ? "larger than it should be" : "cut off"}: load the page again`;

async function fetched(address, bytes, packed, progress) {
  const reply = await fetch(address);
  if (!reply.ok) throw new Error(`${nameOf(address)}: ${reply.status}`);
  let [whole, at] = [new Uint8Array(0), 0];
  for (const reader = reply.body.getReader(); ; ) {
    const { done, value } = await reader.read();
    if (done) break;
    if (at === 0) whole = new Uint8Array(value[0] === GZIP ? packed : bytes);
    if (at + value.length > whole.length) throw new Error(broken(address, true));
    whole.set(value, at);
    at += value.length;
    progress(at / whole.length);
  }
  if (at === 0 || at !== whole.length) throw new Error(broken(address, false));
  if (whole[0] !== GZIP) return whole;
  try {
    return await content(new Response(new Blob([whole]).stream().pipeThrough(new DecompressionStream("gzip"))));
  } catch {
    throw new Error(`${nameOf(address)} is damaged: load the page again`);
  }
}

/** Where there is no room for a copy the page works all the same, with a network. */
async function keep(address, whole) {
  const type = address.endsWith(".wasm") ? "application/wasm" : "application/octet-stream";
  try {
    const cache = await globalThis.caches?.open(ARRIVED);
    await cache?.put(address, new Response(whole, { headers: { "Content-Type": type } }));
  } catch {
    return;
  }
}
