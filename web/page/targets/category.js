// One class of several: its name, the likeliest classes as bars, and a smiley where the page has a theme.

import { barsOf, element, headlineOf, rank } from "../view.js";

export { smileys as companion } from "../smiley.js";

export const rows = ({ classes }) => ({ Classes: classes.join(", ") });

/** {headline, bars: [[name, share]]} */
export function decode({ classes }, { probabilities }) {
  const bars = rank(classes, probabilities);
  return { headline: String(bars[0][0]), bars: bars.slice(0, 5) };
}

export function show({ headline, bars }, smiley) {
  if (!smiley) return [headline && headlineOf(headline), barsOf(bars)];
  smiley.show(headline);
  const beside = element("div", { class: "beside" }, smiley.node, headlineOf(headline));
  return [beside, barsOf(bars.slice(0, 3))]; // the whole answer on one screen
}
