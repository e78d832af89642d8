// All texts of the page, in one file per language.

export const LANGUAGES = { en: "English", de: "Deutsch" };
let words = {}, kind = "";

export async function choose(language) {
  const known = language in LANGUAGES ? language : "en";
  words = await (await fetch(`words/${known}.json`)).json();
  document.documentElement.lang = known;
  return known;
}

export const preferred = () => localStorage.getItem("language") ?? navigator.language.slice(0, 2);

// Texts that differ by what the project holds have a key of their own, such as "data.title@text".
export const about = name => { kind = name; };

const said = key => words[`${key}@${kind}`] ?? words[key];

export function t(key, values = {}) {
  return (said(key) ?? key).replace(/\{(\w+)\}/g, (whole, name) => String(values[name] ?? said(name) ?? whole));
}
