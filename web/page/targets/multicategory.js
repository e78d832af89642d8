// Any number of tags: those above the threshold as chips, and the likeliest as bars.

import { barsOf, element, headlineOf, rank } from "../view.js";

export const rows = ({ classes, thresh }) => ({ Classes: classes.join(", "), "Decides above": thresh });

/** {headline, chips: [names], bars: [[name, share]]} */
export function decode({ classes, thresh }, { probabilities }) {
  const bars = rank(classes, probabilities);
  const above = Math.fround(thresh); // in 32 bits, as numpy and torch compare
  const chips = classes.filter((_, i) => probabilities[i] > above).map(String);
  return { headline: chips.length ? "" : "None of its tags", chips, bars: bars.slice(0, 8) };
}

export function show({ headline, chips, bars }) {
  const items = chips.map((name) => element("li", {}, name));
  const tags = items.length ? element("ul", { class: "chips", "aria-label": "What is there" }, ...items) : null;
  return [headline && headlineOf(headline), tags, barsOf(bars)];
}
