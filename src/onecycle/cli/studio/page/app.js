// The frame: six rooms, each at an address of its own.

import { get } from "./api.js";
import { h, say } from "./dom.js";
import { LANGUAGES, about, choose, preferred, t } from "./text.js";

const ROOMS = ["data", "look", "train", "mistakes", "decide", "ship"];
let leave = null;

export const state = { project: null };

export async function refresh() {
  state.project = await get("api/project");
  return state.project;
}

async function show() {
  const [name, ...rest] = location.hash.replace(/^#\/?/, "").split("/");
  const room = ROOMS.includes(name) ? name : "data";
  leave?.abort();
  leave = new AbortController();
  document.getElementById("rooms").replaceChildren(...ROOMS.map((one, i) =>
    h("a", { href: `#/${one}`, "aria-current": one === room ? "page" : undefined }, `${i + 1} ${t(`room.${one}`)}`)));
  document.title = `${t(`room.${room}`)} – onecycle studio`;
  const place = document.getElementById("room"), mine = leave.signal;
  const inside = h("div", { className: "room" });  // a room that was left goes on writing into its own
  place.replaceChildren(inside);  // at once: what is left of a room must not be clicked
  try {
    await refresh();
    const module = await import(`./rooms/${room}.js`);
    if (mine.aborted) return;
    await module.show(inside, mine, rest);
  } catch (error) {
    if (!mine.aborted) place.replaceChildren(h("p", { className: "error", role: "alert" }, error.message));
  }
}

async function begin() {
  const known = await choose(preferred());
  const select = document.getElementById("language"), project = await refresh();
  about(project.kind);
  select.append(...Object.entries(LANGUAGES).map(([code, name]) => new Option(name, code, false, code === known)));
  select.onchange = () => { localStorage.setItem("language", select.value); location.reload(); };
  document.querySelector(".skip").textContent = t("skip");
  document.getElementById("language-label").textContent = t("language");
  document.getElementById("private").textContent = t("private");
  document.getElementById("rooms").setAttribute("aria-label", t("rooms"));
  document.getElementById("source").textContent = project.source || t("new_project");
  addEventListener("hashchange", () => show().then(() => document.getElementById("room").focus()));
  await show();
}

begin().catch(error => say(error.message));
