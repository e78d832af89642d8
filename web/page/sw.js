// Everything the page needs is kept after the first visit, so that it works without a network.

const VERSION = "@VERSION@";
const HOME = new URL("./", location.href).href;
const OURS = `onecycle ${HOME} `; // caches belong to the origin, and other sites may share it
const CACHE = OURS + VERSION;
const FILES = @FILES@;
const OWN = new Set(FILES.map((file) => new URL(file, HOME).href));

self.addEventListener("install", (event) => {
  const fresh = FILES.map((file) => new Request(file, { cache: "reload" })); // past what the host lets browsers keep
  event.waitUntil(caches.open(CACHE).then((cache) => cache.addAll(fresh)).then(() => self.skipWaiting()));
});

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

self.addEventListener("fetch", (event) => {
  const { origin, pathname } = new URL(event.request.url);
  if (event.request.method !== "GET" || !OWN.has(origin + pathname)) return;
  const kept = { cacheName: CACHE, ignoreSearch: true };
  const reply = async () => (await caches.match(event.request, kept)) ?? fetch(event.request);
  event.respondWith(reply());
});
