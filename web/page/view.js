// What the user sees: bars, chips, legends, and what is drawn over the picture.

import { colour } from "./answers.js";

const SVG = "http://www.w3.org/2000/svg";

function element(name, options = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(options)) {
    if (key === "text") made.textContent = value;
    else made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
}

function rectangle(width, fill) {
  const svg = document.createElementNS(SVG, "svg");
  const rect = document.createElementNS(SVG, "rect");
  svg.setAttribute("aria-hidden", "true");
  svg.setAttribute("preserveAspectRatio", "none");
  rect.setAttribute("width", width);
  rect.setAttribute("height", "100%");
  if (fill) rect.setAttribute("fill", fill);
  svg.append(rect);
  return svg;
}

const percent = (share) => (share < 0.001 ? "<0.1 %" : `${(100 * share).toFixed(share > 0.0995 ? 0 : 1)} %`);

/** Write the answer into `place`, beside the headline a smiley if there is one. */
export function show(place, answer, smiley) {
  const parts = [];
  const headline = element("p", { class: "headline", text: answer.headline });
  if (smiley) parts.push(element("div", { class: "beside" }, smiley, headline));
  else if (answer.headline) parts.push(headline);
  if (answer.chips?.length) {
    const items = answer.chips.map((name) => element("li", { text: name }));
    parts.push(element("ul", { class: "chips", "aria-label": "What is there" }, ...items));
  }
  if (answer.bars?.length) {
    const shown = smiley ? answer.bars.slice(0, 3) : answer.bars; // the whole answer on one screen
    const rows = shown.map(([name, share]) =>
      element("li", {},
        element("span", { text: name }),
        element("span", { class: "value", text: percent(share) }),
        rectangle(`${(100 * Math.max(0, Math.min(1, share))).toFixed(1)}%`)));
    parts.push(element("ul", { class: "bars", "aria-label": "How likely" }, ...rows));
  }
  if (answer.legend) {
    const items = answer.legend.map(([index, name, share]) =>
      element("li", {}, rectangle("100%", `rgb(${colour(index)})`), element("span", { text: `${name} ${percent(share)}` })));
    parts.push(element("ul", { class: "chips legend", "aria-label": "Colours" }, ...items));
  }
  place.replaceChildren(...parts);
}

/** Take an answer away: what it was about is no longer there. */
export function clear(place) {
  place.replaceChildren();
  delete window.lastAnswer;
}

/** Draw a mask or points over the picture that is on `canvas`. */
export function drawOver(canvas, answer) {
  const context = canvas.getContext("2d");
  if (answer.mask) {
    const { values, top, left, h, w, none } = answer.mask;
    const over = new ImageData(w, h);
    for (let i = 0; i < values.length; i += 1) {
      if (values[i] === none) continue;
      over.data.set(colour(values[i]), 4 * i);
      over.data[4 * i + 3] = 140;
    }
    const sheet = new OffscreenCanvas(w, h);
    sheet.getContext("2d").putImageData(over, 0, 0);
    context.drawImage(sheet, left, top);
  }
  const radius = Math.max(2, Math.min(canvas.width, canvas.height) / 70);
  for (const [y, x] of answer.points ?? []) {
    context.beginPath();
    context.arc(x + 0.5, y + 0.5, radius, 0, 2 * Math.PI);
    context.fillStyle = "#ff3b30";
    context.fill();
    context.strokeStyle = "#fff";
    context.lineWidth = radius / 3;
    context.stroke();
  }
}
