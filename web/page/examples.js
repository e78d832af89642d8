// Examples to try: files that the page's maker put beside it, given to the input as if they had been chosen.

import { at, element } from "./view.js";

const SHOWN = /\.(png|jpe?g|webp|gif|bmp)$/; // as images, all others by name

/** A button for each of `examples`, [{file, name}]; `take` is the input's function that takes files. */
export function offer(examples, take, refuse) {
  at("examples").hidden = !examples.length;
  for (const { file, name } of examples) {
    const inside = SHOWN.test(file) ? element("img", { src: file, alt: name, loading: "lazy" }) : name;
    const button = element("button", { type: "button", class: "example" }, inside);
    button.addEventListener("click", () => give(file, name, take).catch(refuse));
    at("choices").append(element("li", {}, button));
  }
}

async function give(file, name, take) {
  const reply = await fetch(file);
  if (!reply.ok) throw new Error(`The example cannot be fetched: ${reply.status}`);
  const blob = await reply.blob();
  take([new File([blob], name, { type: blob.type })]);
}
