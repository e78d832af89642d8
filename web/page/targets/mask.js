// A class for each pixel: colours over the image, and a legend with the share of each class.

import { colour, element, percent, rectangle } from "../view.js";

export const rows = ({ classes }) => ({ Classes: classes.join(", ") });

/** {headline, legend: [[index, name, share]], mask: {values, top, left, h, w, none}} */
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
  return { headline: "", legend, mask: { values: mask, top, left, h, w, none } };
}

export function show({ legend }) {
  const items = legend.map(([index, name, share]) =>
    element("li", {}, rectangle("100%", `rgb(${colour(index)})`), element("span", {}, `${name} ${percent(share)}`)));
  return [element("ul", { class: "chips legend", "aria-label": "Colours" }, ...items)];
}

export function draw(canvas, { mask: { values, top, left, h, w, none } }) {
  const over = new ImageData(w, h);
  for (let i = 0; i < values.length; i += 1) {
    if (values[i] === none) continue;
    over.data.set(colour(values[i]), 4 * i);
    over.data[4 * i + 3] = 140;
  }
  const sheet = new OffscreenCanvas(w, h);
  sheet.getContext("2d").putImageData(over, 0, 0);
  canvas.getContext("2d").drawImage(sheet, left, top);
}
