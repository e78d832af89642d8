// How an item of each kind is drawn: as a cell of the grid, on a card, and opened.

import { get } from "./api.js";
import { h } from "./dom.js";
import { t } from "./text.js";

const COLOURS = 6;  // of channels, before they come again

// The curves of a series [[...], ...]: a line for each channel, broken where a value is missing. Without a label it is
// decoration of what stands beside it.
export function curve(channels, label = "") {
  const all = channels.flat().filter(v => v !== null), low = Math.min(...all), high = Math.max(...all);
  const y = v => (46 - 44 * (high > low ? (v - low) / (high - low) : .5)).toFixed(1);
  return h("svg", { class: "curve", viewBox: "0 0 200 48", preserveAspectRatio: "none", ...(label ? { role: "img", "aria-label": label } : { "aria-hidden": "true" }) },
    channels.map((values, c) => {
      const x = i => (200 * i / Math.max(1, values.length - 1)).toFixed(1);
      let d = "", pen = "M";
      values.forEach((v, i) => { if (v === null) pen = "M"; else { d += `${pen}${x(i)} ${y(v)}`; pen = "L"; } });
      return h("path", { class: `c${c % COLOURS}`, d });
    }));
}

const content = async (row, fill) => fill(await get(`api/items/${row.i}`));

function image(row) {
  const shown = h("img", { alt: "", decoding: "async", draggable: false });
  shown.dataset.src = `thumbnail/${row.i}`;
  shown.onerror = () => shown.replaceWith(h("p", { className: "fault" }, t("data.unreadable")));
  return shown;
}

// `high` in rem; without `wide` a cell is as wide as the grid. A card may be filled later.
const ITEMS = {
  image: {
    wide: 9, high: 10.5,
    cell: image,
    open: row => h("img", { src: `image/${row.i}`, alt: row.name }),
    card: (row, run, looked) => h("div", { className: "stack" },
      h("img", { src: looked ? `seen/${run}/${row.index}` : `thumbnail/${row.i}`, alt: row.name, loading: "lazy" }),
      looked ? h("img", { className: "heat", src: `heat/${run}/${row.index}`, alt: "", loading: "lazy" }) : null),
  },
  mask: {
    wide: 9, high: 10.5,
    cell: image,
    open: row => h("img", { src: `image/${row.i}`, alt: row.name }),
  },
  text: {
    high: 5.4,
    cell: row => h("p", { className: "text", dir: "auto" }, row.text),
    open: row => {
      const box = h("p", { className: "text whole", tabIndex: 0, dir: "auto" }, row.text);
      content(row, all => { box.textContent = all.text; }).catch(error => { box.textContent = error.message; });
      return box;
    },
    card: row => ITEMS.text.open({ ...row, text: "…" }),
  },
  series: {
    high: 6.4,
    cell: row => curve(row.series),
    open: row => h("div", { className: "opened" }, curve(row.series, row.name)),
    card: row => {
      const box = h("div", { className: "opened" });
      content(row, all => box.replaceChildren(curve(all.series, row.name))).catch(error => { box.textContent = error.message; });
      return box;
    },
  },
};

export const itemOf = project => ITEMS[project.offers.item];
