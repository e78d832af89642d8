// Texts: a box to write in; tokens and numbers by the same rules as the Python side's, word for word. Of models that
// read parts of words subwords.js finds these.

import { at, controls } from "../view.js";

const PAUSE = 300; // milliseconds after the last key
const CONTROLS = `
  <section id="writing" aria-label="Text">
    <label for="text">Write or paste a text</label>
    <textarea id="text" rows="7" spellcheck="true"></textarea>
    <button class="button primary" id="ask" type="button">Read it</button>
  </section>`;

export const subtitle = "Runs on this device. No word leaves it.";

export const rows = ({ vocab }) => ({ Vocabulary: `${vocab.length} tokens` });

export async function feed(spec, folder) {
  const number = await numberingOf(spec, folder);
  return (text) => {
    const ids = number(text);
    return { ids: ["int64", ids, [1, ids.length]] };
  };
}

async function numberingOf({ vocab, backwards, tokenizer }, folder) {
  if (!tokenizer) return numbering(vocab, backwards);
  const { subwordNumbering } = await import("../subwords.js");
  return subwordNumbering(tokenizer, `./${folder}tokenizers.min.mjs`, backwards);
}

/** The box; its text is answered at every pause and on request. */
export function start(spec, page) {
  controls(CONTROLS);
  const box = at("text");
  let timer = 0;
  let asked = null;
  const ask = () => {
    clearTimeout(timer);
    if (!box.value.trim()) {
      asked = null;
      return page.clear();
    }
    if (box.value === asked) return;
    asked = box.value;
    page.answer(asked);
  };
  box.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(ask, PAUSE);
  });
  at("ask").addEventListener("click", () => {
    asked = null;
    ask();
  });
  return ([file]) => file?.text().then((text) => {
    box.value = text;
    asked = null;
    ask();
  }).catch(page.refuse);
}

const S = "[\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000]"; // Python's blanks
const BLACK = S.replace("[", "[^");
const ALNUM = "[\\p{L}\\p{N}]";
const WORD = "[\\p{L}\\p{N}_]";
const MARKS = "\\u0300-\\u036f\\u0900-\\u0903\\u093a-\\u094f\\u0e31\\u0e34-\\u0e4e";
const LETTERS = `${ALNUM}+(?:[${MARKS}]+${ALNUM}*)*`;
const USUAL =
  "(?:[A-Za-z]\\.){2,}" +
  "|(?:Mr|Mrs|Ms|Dr|Prof|St|Jr|Sr|vs|etc)\\." +
  `|\\p{Nd}+(?:[.,:]\\p{Nd}+)+(?:st|nd|rd|th|s|k)?(?!(?!\\p{Nd})${ALNUM})` +
  `|${LETTERS}(?:['\\u2019]${LETTERS})*` +
  `|['\\u2019](?:s|m|d|re|ve|ll)(?!${ALNUM})` +
  `|\\.{2,}|-{2,}|${S}*\\n${S}*|${BLACK}`;
const PLAIN = new RegExp(USUAL, "gu");
const ADDRESSED = new RegExp(
  `(?:https?://|www\\.)${BLACK}+` +
    `|(?:${WORD}|[.+\\-]){1,64}@(?:${WORD}|-){1,63}(?:\\.(?:${WORD}|-){1,63})+|${USUAL}`, "gu");
const CONTRACTION = /^(.+?)(n['\u2019]t|['\u2019](?:s|m|d|re|ve|ll))$/iu;
const ENTITIES = [
  ["#39;", "'"], ["amp;", "&"], ["#146;", "'"], ["nbsp;", " "], ["#36;", "$"], ["\\n", "\n"],
  ["quot;", "'"], ['\\"', '"'], [" @.@ ", "."], [" @-@ ", "-"], [" @,@ ", ","],
];
const SPECIAL = new Set(["xxunk", "xxpad", "xxbos", "xxeos", "xxfld", "xxmaj", "xxup", "xxrep", "xxwrep"]);
const BREAK = new RegExp(`<${S}{0,3}br${S}{0,3}/?${S}{0,3}>`, "giu");
const REPEATED = new RegExp(`(${BLACK})(\\1{3,})`, "gu");
const SPACES = new RegExp(`(?:(?!\\n)${S}){2,}`, "gu");
const ALONE = /[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;

/** The tokens of a text, `xxbos` first. */
export function tokenize(text) {
  const whole = text.replace(ALONE, "?");
  const addressed = whole.includes("@") || whole.includes("://") || whole.includes("www.");
  const words = clean(whole).match(addressed ? ADDRESSED : PLAIN) ?? [];
  return ["xxbos", ...words.flatMap(splitCase)];
}

/** A function from texts to int64 ids, from the end if `backwards`; `xxunk` for tokens that `vocab` lacks. */
export function numbering(vocab, backwards = false) {
  const numbers = new Map();
  vocab.forEach((token, i) => numbers.has(token) || numbers.set(token, i));
  numbers.delete("xxpad"); // what fills up batches is no token of a text
  const unknown = numbers.get("xxunk");
  return (text) => {
    const ids = BigInt64Array.from(tokenize(text), (token) => BigInt(numbers.get(token) ?? unknown));
    return backwards ? ids.reverse() : ids;
  };
}

function clean(given) {
  let text = given;
  if (text.includes("<")) text = text.replace(BREAK, "\n").replaceAll("<unk>", " xxunk ");
  if (/[;\\@]/.test(text)) {
    text = replaceReferences(text);
    for (const [found, meant] of ENTITIES) text = text.replaceAll(found, () => meant);
  }
  text = text.replace(REPEATED, (_, first, rest) => ` xxrep ${[...rest].length / [...first].length + 1} ${first} `);
  return markRepeats(text).replace(/(?<![:/])([/#\n])(?!\/)/gu, " $1 ").replace(SPACES, " ");
}

/** HTML's character references as characters. */
function replaceReferences(text) {
  const box = document.createElement("textarea");
  return text.replace(/&(?:#[0-9]+;?|#[xX][0-9a-fA-F]+;?|[^\t\n\f <&#;]{1,32};?)/g, (reference) => {
    box.innerHTML = `x${reference}`; // a textarea holds text only: nothing in it becomes an element
    return box.textContent.slice(1); // its first line break would be left out: hence the x
  });
}

function markRepeats(text) {
  const words = text.split(" ");
  const out = [];
  for (let at = 0, end; at < words.length; at = end) {
    for (end = at + 1; end < words.length && words[end] === words[at]; end += 1);
    const run = words.slice(at, end);
    out.push(...(run.length > 3 && words[at] ? ["xxwrep", String(run.length), words[at]] : run));
  }
  return out.join(" ");
}

const LOWER = /[\p{Lowercase}]/u;
const UPPER = /[\p{Uppercase}]/u;
const TITLE = /\p{Lt}/u;
const isUpper = (word) => UPPER.test(word) && !LOWER.test(word) && !TITLE.test(word);
const isLower = (word) => LOWER.test(word) && !UPPER.test(word) && !TITLE.test(word);
const BLANK = new RegExp(`^${S}+$`, "u");

/** The word in small letters, after a token that says how it was written; contractions split. */
function splitCase(word) {
  if (BLANK.test(word)) return word.includes("\n") ? ["\n"] : [];
  const letters = [...word];
  const parts = letters.length <= 40 && /['\u2019]/.test(word) && CONTRACTION.exec(word);
  if (parts) return [...splitCase(parts[1]), ...splitCase(parts[2].replace("\u2019", "'"))];
  if (SPECIAL.has(word)) return [word];
  const low = word.toLowerCase();
  if (letters.length > 1 && isUpper(word)) return ["xxup", low];
  if (isUpper(letters[0]) && isLower(letters.slice(1).join(""))) return ["xxmaj", low];
  return [low];
}
