// Hand the answer on, in words: by what the device has for it, or to be pasted.

import { at } from "./view.js";

/** The headline or the tags of the answer, or else all its words. */
function words() {
  const parts = [...at("answer").querySelectorAll(".headline, .chips li")].map((node) => node.textContent.trim());
  return parts.filter(Boolean).join(", ") || at("answer").innerText;
}

export async function share(say) {
  const text = `${document.title}: ${words()}`;
  const url = location.origin + location.pathname;
  try {
    if (navigator.share) return await navigator.share({ title: document.title, text, url });
    await navigator.clipboard.writeText(`${text} ${url}`);
    say("Copied: paste it anywhere.");
  } catch (error) {
    if (error.name !== "AbortError") say(`${text} ${url}`); // it can be marked and copied by hand
  }
}
