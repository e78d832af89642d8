// Any number of tags: those above the threshold, or each above its own, as chips; the likeliest as bars.

import { barsOf, calibration, element, headlineOf, rank } from "../view.js";

export const rows = ({ classes, thresh, temperature }) => ({
  Classes: classes.join(", "),
  "Decides above": Array.isArray(thresh) ? classes.map((name, i) => `${name} ${thresh[i]}`).join(", ") : thresh,
  Percentages: calibration(temperature),
});

/** {headline, chips: [names], bars: [[name, share]]} */
export function decode({ classes, thresh }, { probabilities }) {
  const bars = rank(classes, probabilities);
  const above = (i) => Math.fround(Array.isArray(thresh) ? thresh[i] : thresh); // in 32 bits, as numpy and torch compare
  const chips = classes.filter((_, i) => probabilities[i] > above(i)).map(String);
  return { headline: chips.length ? "" : "None of its tags", chips, bars: bars.slice(0, 8) };
}

export function show({ headline, chips, bars }) {
  const items = chips.map((name) => element("li", {}, name));
  const tags = items.length ? element("ul", { class: "chips", "aria-label": "What is there" }, ...items) : null;
  return [headline && headlineOf(headline), tags, barsOf(bars)];
}
