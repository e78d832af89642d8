// Everything the page needs is kept after the first visit, so that it works without a network.

const VERSION = "@VERSION@";
const HOME = new URL("./", location.href).href;
const OURS = `onecycle ${HOME} `; // caches belong to the origin, and other sites may share it
const CACHE = OURS + VERSION;
const FILES = @FILES@;
const PARTS = @PARTS@; // large, in the site as gzip, kept as they are when unpacked
const GPU = @GPU@; // the folder of what only devices with a GPU need
const SPARE = /^(icon|examples\/|manifest)/; // the page answers without these, which a host may hide
const OWN = new Set([...FILES, ...PARTS].map((file) => new URL(file, HOME).href));
const ISOLATED = { "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp" };

self.addEventListener("install", (event) => event.waitUntil(fill().then(() => self.skipWaiting())));

async function fill() {
  const cache = await caches.open(CACHE);
  const without = GPU && !(await self.navigator.gpu?.requestAdapter().catch(() => null));
  const here = (file) => !(without && file.startsWith(GPU));
  const keep = async (file) => {
    const request = new Request(file, { cache: "no-cache" }); // the host says whether what the browser has is the newest
    await cache.put(request, whole(await fetch(request)));
  };
  // A part is named after its content: what the page has just fetched, or an earlier version's, is not fetched again.
  const keepPart = async (file) => cache.put(file, (await caches.match(new URL(file, HOME).href)) ?? (await unpacked(file)));
  const files = FILES.filter(here);
  const spare = files.filter((file) => SPARE.test(file));
  const needed = files.filter((file) => !SPARE.test(file));
  await Promise.all([...needed.map(keep), ...PARTS.filter(here).map(keepPart), Promise.allSettled(spare.map(keep))]);
}

function whole(reply) {
  if (!reply.ok) throw new Error(`${reply.url}: ${reply.status}`);
  return reply;
}

/** As in download.js: some hosts unpack such files on their own. */
async function unpacked(file) {
  const bytes = new Uint8Array(await whole(await fetch(`${file}.gz`)).arrayBuffer());
  const packed = bytes[0] === 0x1f;
  const body = packed ? new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip")) : bytes;
  const type = file.endsWith(".wasm") ? "application/wasm" : "application/octet-stream";
  return new Response(body, { headers: { "Content-Type": type } });
}

// Copies were once named without their site: one is ours if it has our page, and no other site's files.
const isEarlier = async (name) => {
  if (!/^onecycle-[0-9a-f]{12}$/.test(name)) return false;
  const kept = (await (await caches.open(name)).keys()).map((request) => request.url);
  const here = (url) => url.startsWith(HOME) && /^(ort\/)?[^/]*$/.test(url.slice(HOME.length));
  return kept.includes(HOME) && kept.every(here);
};

self.addEventListener("activate", (event) => {
  const old = async () => {
    for (const name of await caches.keys()) {
      if ((name.startsWith(OURS) && name !== CACHE) || (await isEarlier(name))) await caches.delete(name);
    }
    await self.clients.claim(); // an open page hears of it, and says that there is a new version
  };
  event.waitUntil(old());
});

/** A kept page or thread with the headers that let the model use several threads, where the host sends none. */
function isolated({ body, headers, status }) {
  const all = new Headers(headers);
  for (const [name, value] of Object.entries(ISOLATED)) all.set(name, value);
  return new Response(body, { status, headers: all });
}

self.addEventListener("fetch", (event) => {
  const { method, url, destination } = event.request;
  const { origin, pathname } = new URL(url);
  if (method !== "GET" || !OWN.has(origin + pathname)) return;
  const reply = async () => {
    const kept = await caches.match(event.request, { cacheName: CACHE, ignoreSearch: true });
    if (!kept) return fetch(event.request);
    return ["document", "worker"].includes(destination) ? isolated(kept) : kept; // others as they are: compiled, too
  };
  event.respondWith(reply());
});
