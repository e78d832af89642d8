// A class for each pixel: colours over the image, and a legend with the share of each class.

import { colour, element, percent, rectangle } from "../view.js";

const NOTHING = /^(back ?ground|bg|void|none|nothing|unlabell?ed|other|rest|0)$/i; // not painted until it is asked for
const chosen = new Map(); // class to whether it is painted, where the user has said so
const legendNow = { of: "", nodes: [], counts: [] };
let [strength, repaint] = [0.55, null];

export const rows = ({ classes }) => ({ Classes: classes.join(", ") });

/** {headline, legend: [[index, name, share]], quiet: [indexes], mask: {values, top, left, h, w, none}} */
export function decode({ classes, void: none }, { mask, box }, size) {
  const [top, left, h, w] = Array.from(box, Number);
  const counts = new Array(classes.length).fill(0);
  let seen = 0; // the box may reach beyond the image
  for (let y = Math.max(0, -top); y < Math.min(h, size[0] - top); y += 1) {
    for (let x = Math.max(0, -left); x < Math.min(w, size[1] - left); x += 1) {
      counts[mask[y * w + x]] += 1;
      seen += 1;
    }
  }
  const legend = classes
    .map((name, i) => [i, name, counts[i] / seen])
    .filter(([, , share]) => share > 0.002)
    .sort((a, b) => b[2] - a[2] || a[0] - b[0]);
  const quiet = classes.flatMap((name, i) => (NOTHING.test(name) ? [i] : []));
  return { headline: "", legend, quiet, mask: { values: mask, top, left, h, w, none } };
}

/** The legend, whose colours are switched on and off; the same nodes for the same classes, so that a moving image leaves them alone. */
export function show({ legend, quiet = [] }, companion, paint) {
  repaint = paint;
  const of = JSON.stringify(legend.map(([index, name]) => [index, name]));
  if (of !== legendNow.of) {
    const keys = legend.map(([index]) => keyOf(index, quiet));
    const list = element("ul", { class: "chips legend", "aria-label": "Colours" }, ...keys.map(({ item }) => item));
    Object.assign(legendNow, { of, nodes: [list, slider()], counts: keys.map(({ count }) => count) });
  }
  legend.forEach(([, name, share], i) => {
    legendNow.counts[i].textContent = `${name} ${percent(share)}`;
  });
  return legendNow.nodes;
}

function keyOf(index, quiet) {
  const count = element("span");
  const button = element("button", { type: "button", "aria-pressed": String(isPainted(index, quiet)) }, rectangle("100%", `rgb(${colour(index)})`), count);
  button.addEventListener("click", () => {
    chosen.set(index, !isPainted(index, quiet));
    button.setAttribute("aria-pressed", String(chosen.get(index)));
    repaint?.();
  });
  return { item: element("li", {}, button), count };
}

function slider() {
  const range = element("input", { type: "range", min: 0, max: 1, step: 0.05, value: strength });
  range.addEventListener("input", () => {
    strength = Number(range.value);
    repaint?.();
  });
  return element("label", { class: "slider" }, "Colours", range);
}

const isPainted = (index, quiet) => chosen.get(index) ?? !quiet.includes(index);

export function draw(canvas, { quiet = [], mask: { values, top, left, h, w, none } }) {
  const over = new ImageData(w, h);
  const pixels = new Uint32Array(over.data.buffer);
  const paints = []; // of each class, as the four bytes of a pixel
  const paintOf = (index) => {
    if (index === none || !isPainted(index, quiet)) return 0;
    const [r, g, b] = colour(index);
    return ((255 << 24) | (b << 16) | (g << 8) | r) >>> 0;
  };
  for (let i = 0; i < values.length; i += 1) pixels[i] = paints[values[i]] ??= paintOf(values[i]);
  const sheet = new OffscreenCanvas(w, h);
  sheet.getContext("2d").putImageData(over, 0, 0);
  const context = canvas.getContext("2d");
  context.globalAlpha = strength;
  context.drawImage(sheet, left, top);
  context.globalAlpha = 1;
}
