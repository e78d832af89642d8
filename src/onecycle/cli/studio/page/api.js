// What the server is asked. Every error is one sentence.

async function reply(sent) {
  let found;
  try { found = await sent.json(); } catch { found = { error: `${sent.status} ${sent.statusText}` }; }
  if (!sent.ok || found.error) throw new Error(found.error ?? `${sent.status}`);
  return found;
}

export class Gone extends Error {}

async function ask(address, options) {
  let sent;
  try { sent = await fetch(address, options); } catch { throw new Gone("the studio does not answer"); }
  return reply(sent);
}

export const get = address => ask(address);
export const post = (address, body = {}) =>
  ask(address, { method: "POST", body: JSON.stringify(body), headers: { "Content-Type": "application/json" } });
export const send = (address, form) => ask(address, { method: "POST", body: form });

// Follows a job: `tell` hears each line that it says; resolves with how it ended. A studio that is
// away for a while is waited for: the job goes on without it.
export async function follow(address, tell, left) {
  for (let at = 0; ;) {
    if (left?.aborted) return null;
    try {
      const found = await get(`${address}?from=${at}`);
      at = found.at;
      tell(found.events, found);
      if (found.state !== "running" && !found.events.length) return found;
    } catch (error) {
      if (!(error instanceof Gone)) throw error;
      tell([], null);
    }
    await new Promise(done => setTimeout(done, 700));
  }
}
