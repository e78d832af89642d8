// Boxes of several classes, drawn over the image with the name and the score of each, and listed below it.

import { colour, element, headlineOf, percent, rectangle } from "../view.js";

const CANDIDATES = 1000; // the likeliest boxes, of which the best are kept

export const rows = ({ classes, thresh }) => ({ Classes: classes.join(", "), "Shows boxes above": percent(thresh) });

/** {headline, boxes: [{index, name, score, box: [top, left, bottom, right]}]} in pixels of the image, edge to edge. */
export function decode(spec, { probabilities, box, inner }, size, fixed) {
  const whole = fixed ?? [Number(inner[2]), Number(inner[3])];
  const along = (share, axis) => {
    const at = (((share + 1) / 2) * whole[axis] - Number(inner[axis])) / Number(inner[axis + 2]);
    return Math.min(Math.max(at * Number(box[axis + 2]) + Number(box[axis]), 0), size[axis]);
  };
  const boxes = best(spec, probabilities)
    .map(({ edges, ...rest }) => ({ ...rest, box: edges.map((share, i) => along(share, i % 2)) }))
    .filter(({ box: [top, left, bottom, right] }) => top < bottom && left < right);
  return { headline: boxes.length ? "" : "Nothing found", boxes };
}

/** The boxes above the threshold, best first; of two of a class that overlap the better one. */
function best({ classes, thresh, overlap, most }, values) {
  const places = values.length / (4 + classes.length);
  const above = Math.fround(thresh); // in 32 bits, as numpy compares
  const found = [];
  classes.forEach((name, index) => {
    for (let at = 0; at < places; at += 1) {
      const score = values[(4 + index) * places + at];
      if (score > above) found.push({ index, name: String(name), score, edges: [0, 1, 2, 3].map((row) => values[row * places + at]) });
    }
  });
  const kept = [];
  for (const one of found.sort((a, b) => b.score - a.score).slice(0, CANDIDATES)) {
    if (kept.length < most && !kept.some((other) => other.index === one.index && shared(other.edges, one.edges) > overlap)) kept.push(one);
  }
  return kept;
}

/** Intersection over union. */
function shared(a, b) {
  const side = (axis) => Math.max(0, Math.min(a[axis + 2], b[axis + 2]) - Math.max(a[axis], b[axis]));
  const area = ([top, left, bottom, right]) => (bottom - top) * (right - left);
  const inner = side(0) * side(1);
  const union = area(a) + area(b) - inner;
  return union > 0 ? inner / union : 0;
}

export function show({ headline, boxes }) {
  const items = boxes.map(({ index, name, score }) => element("li", {},
    rectangle("100%", `rgb(${colour(index)})`), element("span", {}, `${name} ${percent(score)}`)));
  const list = items.length ? element("ul", { class: "chips legend", "aria-label": "What was found" }, ...items) : null;
  return [headline && headlineOf(headline), list];
}

export function draw(canvas, { boxes }) {
  const context = canvas.getContext("2d");
  const unit = Math.max(1, Math.min(canvas.width, canvas.height) / 200);
  context.font = `${8 * unit}px system-ui, sans-serif`;
  context.textBaseline = "top";
  for (const { index, name, score, box: [top, left, bottom, right] } of [...boxes].reverse()) { // the best is on top
    const paint = `rgb(${colour(index)})`;
    Object.assign(context, { strokeStyle: "#fff", lineWidth: 3 * unit });
    context.strokeRect(left, top, right - left, bottom - top);
    Object.assign(context, { strokeStyle: paint, lineWidth: 2 * unit });
    context.strokeRect(left, top, right - left, bottom - top);
    const words = `${name} ${percent(score)}`;
    const wide = context.measureText(words).width + 4 * unit;
    const [x, y] = [Math.max(0, Math.min(left, canvas.width - wide)), Math.max(0, top - 10 * unit)];
    context.fillStyle = "rgb(0 0 0 / 75%)";
    context.fillRect(x, y, wide, 10 * unit);
    context.fillStyle = "#fff";
    context.fillText(words, x + 2 * unit, y + unit);
  }
}
