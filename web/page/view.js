// What the kinds' modules share: the place of their controls, parts of answers, and colours.

const SVG = "http://www.w3.org/2000/svg";

export const at = (id) => document.getElementById(id);

/** Put a kind's controls, given as HTML, where what is asked is given. */
export function controls(html) {
  at("given").insertAdjacentHTML("beforeend", html);
}

/** A new element with attributes, and with nodes or plain text inside. */
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

/** A new part of an SVG drawing, put into `parent`. */
export function svgPart(parent, name, attributes = {}) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  parent.append(made);
  return made;
}

/** A rectangle of the given width and colour; without a colour it has that of the bars. */
export function rectangle(width, fill) {
  const box = document.createDocumentFragment();
  const svg = svgPart(box, "svg", { "aria-hidden": "true", preserveAspectRatio: "none" });
  svgPart(svg, "rect", { width, height: "100%", ...(fill && { fill }) });
  return svg;
}

export const headlineOf = (words) => element("p", { class: "headline" }, words);

/** A list of bars, [[name, share]]. */
export function barsOf(rows) {
  const items = rows.map(([name, share]) =>
    element("li", {},
      element("span", {}, name),
      element("span", { class: "value" }, percent(share)),
      rectangle(`${(100 * Math.max(0, Math.min(1, share))).toFixed(1)}%`)));
  return element("ul", { class: "bars", "aria-label": "How likely" }, ...items);
}

export const percent = (share) => (share < 0.001 ? "<0.1 %" : `${(100 * share).toFixed(share > 0.0995 ? 0 : 1)} %`);

/** What is known of the percentages of a model whose file says this temperature, or none. */
export const calibration = (temperature = 1) =>
  temperature === 1 ? "as the network gives them, not calibrated" : `calibrated (temperature ${Number(temperature.toPrecision(3))})`;

/** [name, share] of every class, the likeliest first. */
export function rank(classes, shares) {
  return classes
    .map((name, i) => [name, shares[i], i])
    .sort((a, b) => b[1] - a[1] || a[2] - b[2])
    .map(([name, share]) => [name, share]);
}

/** The colour of a class, apart from its neighbours: [r, g, b]. */
export function colour(index) {
  const hue = (index * 137.508) % 360;
  const light = 0.45 + 0.15 * (index % 3);
  const f = (n) => {
    const k = (n + hue / 30) % 12;
    const share = light - 0.38 * Math.max(-1, Math.min(k - 3, 9 - k, 1));
    return Math.round(255 * Math.max(0, Math.min(1, share)));
  };
  return [f(0), f(8), f(4)];
}
