// Which training a room is about: the one in its address, or the last that is done.

import { get } from "../api.js";
import { h } from "../dom.js";
import { t } from "../text.js";

export async function pickRun(place, room, asked) {
  const { runs } = await get("api/runs"), done = runs.filter(run => run.state === "done");
  const title = h("h1", {}, t(`${room}.title`));
  if (!done.length) {
    place.append(title, h("p", { className: "empty" }, t("no_training"), " ", h("a", { href: "#/train" }, t("room.train"))));
    return null;
  }
  const run = done.find(one => String(one.run) === asked)?.run ?? done.at(-1).run;
  const select = h("select", { "aria-label": t("train.which"), onchange: () => { location.hash = `#/${room}/${select.value}`; } },
    done.map(one => new Option(t("train.run", { n: one.run }), one.run, false, one.run === run)));
  place.append(h("div", { className: "row" }, title, select), h("p", { className: "lead" }, t(`${room}.lead`)));
  return { run, runs, about: done.find(one => one.run === run) };
}
