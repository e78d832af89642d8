// One or more numbers with their names.

import { headlineOf } from "../view.js";

export const rows = ({ names }) => ({ Classes: names.join(", ") });

/** {headline} */
export function decode({ names }, { probabilities }) {
  const lines = names.map((name, i) => `${name} ${Number(probabilities[i].toPrecision(4))}`);
  return { headline: lines.join(", ") };
}

export const show = ({ headline }) => [headlineOf(headline)];
