// The smiley beside the answer: a face drawn from a few numbers, which follows the live camera.

import { svgPart as part } from "./view.js";

const PACE = 0.28; // of the way to the next face, each frame
const INK = "#3b2416";

/** A face at rest, as parts of an SVG drawing of 100 × 100 units. */
function face(svg) {
  const defs = part(svg, "defs");
  const light = part(defs, "radialGradient", { id: "smiley-light", cx: "38%", cy: "28%", r: "80%" });
  part(light, "stop", { offset: "0", "stop-color": "#fff", "stop-opacity": ".75" });
  part(light, "stop", { offset: ".55", "stop-color": "#fff", "stop-opacity": "0" });
  part(light, "stop", { offset: "1", "stop-color": "#7a3d00", "stop-opacity": ".28" });
  const inside = part(part(defs, "clipPath", { id: "smiley-inside" }), "path");
  const skin = part(svg, "circle", { cx: 50, cy: 50, r: 47 });
  part(svg, "circle", { cx: 50, cy: 50, r: 47, fill: "url(#smiley-light)" });
  const cheeks = [20, 80].map((cx) => part(svg, "ellipse", { cx, cy: 61, rx: 9, ry: 6, fill: "#ff5a4f" }));
  const line = { fill: "none", stroke: INK, "stroke-width": 3.6, "stroke-linecap": "round" };
  const eyes = [33, 67].map((cx) => ({
    cx,
    open: part(svg, "ellipse", { cx, cy: 43, fill: INK }),
    glint: part(svg, "circle", { cx: cx + 2, r: 1.9, fill: "#fff" }),
    shut: part(svg, "path", line),
  }));
  const brows = [1, -1].map((side) => ({ side, path: part(svg, "path", line) }));
  const mouth = part(svg, "path", { fill: "#6b1d22" });
  const within = part(svg, "g", { "clip-path": "url(#smiley-inside)" });
  const teeth = part(within, "rect", { x: 24, width: 52, height: 5.5, fill: "#fff" });
  const tongue = part(within, "ellipse", { cx: 50, rx: 12, ry: 8, fill: "#f2727a" });
  const lips = part(svg, "path", { ...line, "stroke-linejoin": "round" });
  const tears = [28, 72].map((x) =>
    part(svg, "path", { d: `M${x} 52c4 6 5 8 5 11a5 5 0 0 1-10 0c0-3 1-5 5-11Z`, fill: "#4aa8ff" }));
  return { inside, skin, cheeks, eyes, brows, mouth, teeth, tongue, lips, tears };
}

function draw(parts, look) {
  const { mouth, open, eyes, wink, brows, frown, blush, tears } = look;
  const set = (node, values) => Object.entries(values).forEach(([key, value]) => node.setAttribute(key, value));
  const tidy = (number) => Math.round(number * 100) / 100;
  parts.eyes.forEach(({ cx, open: ball, glint, shut }, i) => {
    const wide = eyes * (i ? 1 - wink : 1);
    const seen = wide > 0.12;
    set(ball, { rx: tidy(4.2 + 2 * wide), ry: tidy(1.5 + 9 * wide), opacity: Number(seen) });
    set(glint, { cy: tidy(42 - 4 * wide), opacity: Number(wide > 0.3) });
    const bow = mouth >= 0 ? -7 : 6;
    set(shut, { d: `M${cx - 7} 44Q${cx} ${44 + bow} ${cx + 7} 44`, opacity: Number(!seen) });
  });
  for (const { side, path } of parts.brows) {
    const x = (far) => 50 - side * far;
    const [outer, inner] = [27 - 6 * brows + 4 * Math.min(0, -frown), 27 - 6 * brows + 8 * frown];
    set(path, { d: `M${x(26)} ${tidy(outer)}Q${x(18)} ${tidy(Math.min(outer, inner) - 3.5)} ${x(10)} ${tidy(inner)}` });
  }
  const flat = 1 - Math.abs(mouth);
  const wide = 21 - 10 * open * flat;
  const y = 67 - 6 * mouth + 5 * open * flat;
  const above = y + 15 * mouth * (1 - 0.8 * open) - 15 * open * flat;
  const below = y + 15 * mouth + (mouth < 0 ? 18 : 22) * open;
  const [left, right] = [50 - wide, 50 + wide].map(tidy);
  const [near, far] = [50 - wide * 0.6, 50 + wide * 0.6].map(tidy);
  const bow = (a) => `${near} ${tidy(a)} ${far} ${tidy(a)}`;
  const d = `M${left} ${tidy(y)}C${bow(above)} ${right} ${tidy(y)}C${far} ${tidy(below)} ${near} ${tidy(below)} ${left} ${tidy(y)}Z`;
  [parts.mouth, parts.inside, parts.lips].forEach((path) => path.setAttribute("d", d));
  set(parts.teeth, { y: tidy(y + 0.75 * (above - y) - 1), opacity: Number(open > 0.25 && mouth > 0.2) });
  set(parts.tongue, { cy: tidy(y + 0.75 * (below - y) + 1), opacity: Number(open > 0.25) });
  parts.cheeks.forEach((node) => node.setAttribute("opacity", tidy(0.55 * blush)));
  parts.tears.forEach((node) => node.setAttribute("opacity", tidy(tears)));
  parts.skin.setAttribute("fill", look.colour);
}

/** {node, show(name)}: what the theme says of a class, an emoji or a smiley's features; null without a theme. */
export function smileys(theme) {
  if (!Object.keys(theme).length) return null;
  const node = document.createElement("div");
  node.id = "smiley";
  node.setAttribute("role", "img");
  const svg = part(document.createDocumentFragment(), "svg", { viewBox: "0 0 100 100", "aria-hidden": "true" });
  const parts = face(svg);
  const still = matchMedia("(prefers-reduced-motion: reduce)");
  let [now, goal, moving] = [null, null, false];
  function step() {
    let left = 0;
    for (const key of Object.keys(goal)) {
      if (key === "colour") continue;
      left = Math.max(left, Math.abs(goal[key] - now[key]));
      now[key] += PACE * (goal[key] - now[key]);
    }
    moving = left > 0.01;
    if (!moving) now = { ...goal };
    draw(parts, { ...now, colour: goal.colour });
    if (moving) requestAnimationFrame(step);
  }
  function show(name) {
    const look = Object.hasOwn(theme, name) ? theme[name] : null;
    node.hidden = look === null;
    if (node.dataset.name === name || look === null) return;
    node.dataset.name = name;
    node.setAttribute("aria-label", `Smiley: ${name}`);
    if (typeof look === "string") return node.replaceChildren(look);
    node.replaceChildren(svg);
    goal = look;
    if (now === null || still.matches) now = { ...goal };
    if (!moving) step();
  }
  return { node, show };
}
