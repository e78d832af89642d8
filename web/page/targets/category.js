// One class of several: its name, the likeliest classes as bars, and a smiley where the page has a theme.

import { barsOf, calibration, element, headlineOf, percent, rank } from "../view.js";

export { smileys as companion } from "../smiley.js";

export const rows = ({ classes, thresh = null, temperature }) => ({
  Classes: classes.join(", "),
  "Sure above": thresh === null ? "" : percent(thresh),
  Percentages: calibration(temperature),
});

/** {headline, note, bars: [[name, share]]}; `note` says why the headline names no class. */
export function decode({ classes, thresh = null }, { probabilities }) {
  const bars = rank(classes, probabilities);
  const sure = thresh === null || bars[0][1] > Math.fround(thresh); // in 32 bits, as numpy and torch compare
  return {
    headline: sure ? String(bars[0][0]) : "Not sure",
    note: sure ? "" : `Nothing is above ${percent(thresh)}. The likeliest:`,
    bars: bars.slice(0, 5),
  };
}

export function show({ headline, note, bars }, smiley) {
  const why = note && element("p", { class: "note" }, note);
  if (!smiley) return [headline && headlineOf(headline), why, barsOf(bars)];
  smiley.show(headline);
  const beside = element("div", { class: "beside" }, smiley.node, headlineOf(headline));
  return [beside, why, barsOf(bars.slice(0, 3))]; // the whole answer on one screen
}
