// "About this model": what its file says about itself, row by row.

import { at, element } from "./view.js";

/** Fill the list; `input` and `target` are the rows of their kinds, and empty values are left out. */
export function describeModel({ task: { target: { kind } }, made = {}, trained = {}, library }, input, target) {
  const scores = Object.entries(trained.metrics ?? {}).map(([name, value]) => [`Validation: ${name}`, value.toPrecision(3)]);
  const rows = {
    Answers: kind,
    ...target,
    ...input,
    ...Object.fromEntries(scores),
    "Training items": trained.items ?? "",
    "Validation items": trained.validation_items ?? "",
    Exported: trained.date ?? "",
    Precision: made.precision ?? "",
    "Answers changed by it": made.changed ? `${(100 * made.changed).toPrecision(2)} %` : "",
    "Made with": `onecycle ${library}`,
  };
  for (const [name, value] of Object.entries(rows)) {
    if (value !== "") at("about").append(element("dt", {}, name), element("dd", {}, String(value)));
  }
}

/** Say there what computes the answers, and why it is not the GPU that the page was made for. */
export function describeComputing({ computes, why }) {
  document.body.dataset.computes = computes;
  let row = document.getElementById("computes");
  if (!row) {
    row = element("dd", { id: "computes" });
    at("about").append(element("dt", {}, "Computed by"), row);
  }
  row.textContent = `this device's ${computes}${why ? ` (${why})` : ""}`;
}
