// Line charts as SVG.

import { h } from "./dom.js";

const W = 640, H = 260, LEFT = 52, BOTTOM = 28, TOP = 10;

// `series`: [{ name, points: [[x, y]], kind }]; axes are as wide as what they hold.
export function lines(series, { label, log = false, square = false } = {}) {
  const width = square ? 300 : W, height = square ? 300 : H;
  const all = series.flatMap(one => one.points).filter(([, v]) => v !== null);
  const place = log ? Math.log10 : v => v;
  const [x0, x1] = ends(all.map(([a]) => place(a)), square), [y0, y1] = ends(all.map(([, b]) => b), square);
  const sx = v => LEFT + (width - LEFT - 10) * (place(v) - x0) / (x1 - x0 || 1);
  const sy = v => TOP + (height - TOP - BOTTOM) * (1 - (v - y0) / (y1 - y0 || 1));
  const marks = [0, .5, 1];
  return h("svg", { class: square ? "chart square" : "chart", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label },
    marks.map(m => h("text", { x: LEFT - 6, y: sy(y0 + m * (y1 - y0)) + 4, "text-anchor": "end" }, short(y0 + m * (y1 - y0)))),
    marks.map(m => h("text", { x: LEFT + m * (width - LEFT - 10), y: height - 8, "text-anchor": m ? m === 1 ? "end" : "middle" : "start" },
      short(log ? 10 ** (x0 + m * (x1 - x0)) : x0 + m * (x1 - x0)))),
    h("path", { class: "axis", d: `M${LEFT} ${TOP}V${height - BOTTOM}H${width - 10}` }),
    square && h("line", { class: "ideal", x1: sx(0), y1: sy(0), x2: sx(1), y2: sy(1) }),
    series.map(one => h("polyline", { class: `line ${one.kind ?? ""}`, points: one.points.filter(([, v]) => v !== null).map(([a, b]) => `${sx(a).toFixed(1)},${sy(b).toFixed(1)}`).join(" ") },
      h("title", {}, one.name))),
    series.flatMap(one => one.dots ? one.points.filter(([, v]) => v !== null).map(([a, b]) => h("circle", { class: "bar", cx: sx(a), cy: sy(b), r: 4 })) : []));
}

function ends(values, unit) {
  if (unit || !values.length) return [0, 1];
  let low = Infinity, high = -Infinity;
  for (const v of values) { if (v < low) low = v; if (v > high) high = v; }
  return low === high ? [low - .5, high + .5] : [low, high];
}

function short(value) {
  const size = Math.abs(value);
  return size && (size < .001 || size >= 1e5) ? value.toExponential(0) : String(+value.toPrecision(3));
}
