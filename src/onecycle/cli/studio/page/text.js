// All texts of the page, in one file per language.

export const LANGUAGES = { en: "English", de: "Deutsch" };
let words = {};

export async function choose(language) {
  const known = language in LANGUAGES ? language : "en";
  words = await (await fetch(`words/${known}.json`)).json();
  document.documentElement.lang = known;
  return known;
}

export const preferred = () => localStorage.getItem("language") ?? navigator.language.slice(0, 2);

export function t(key, values = {}) {
  const text = words[key] ?? key;
  return text.replace(/\{(\w+)\}/g, (whole, name) => String(values[name] ?? whole));
}
