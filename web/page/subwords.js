// Tokens that are parts of words: the tokenizer of the file (JSON of the `tokenizers` package), run by
// @huggingface/tokenizers. Where that splits otherwise than the Python package, its parts are put right here.

const BLANK = /^\p{White_Space}$/u; // JavaScript's \s has U+FEFF and lacks U+0085
const WORDS = /[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]+|[^\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}\p{White_Space}]+/gu;
const ALONE = /[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;
const PADDING = ["xxpad", "[PAD]", "<pad>"]; // where the JSON does not say which fills up batches
const IDEOGRAPHS = [
  [0x4e00, 0x9fff], [0x3400, 0x4dbf], [0x20000, 0x2a6df], [0x2a700, 0x2b73f], [0x2b740, 0x2b81f], [0x2b920, 0x2ceaf],
  [0xf900, 0xfaff], [0x2f800, 0x2fa1f],
];

/** A function from texts to int64 ids, as many as the tokenizer's limit says, from the end if `backwards`. */
export async function subwordNumbering(definition, library, backwards = false) {
  const parts = await import(library);
  const json = JSON.parse(definition);
  const made = new parts.Tokenizer({ normalizer: null, pre_tokenizer: null, post_processor: null, decoder: null, ...json }, {});
  mend(made.normalizer, parts);
  mend(made.pre_tokenizer, parts);
  const number = (token) => made.token_to_id(token);
  const [before, after] = around(made).map((tokens) => tokens.map(number));
  const filler = json.padding?.pad_id ?? number(PADDING.find((token) => number(token) !== undefined));
  const { max_length: most = Infinity, direction } = json.truncation ?? {};
  return (text) => {
    let ids = made.encode(text.replace(ALONE, "?"), { add_special_tokens: false }).ids;
    const extra = ids.length - (most - before.length - after.length);
    if (extra > 0) ids = direction === "Left" ? ids.slice(extra) : ids.slice(0, -extra);
    const whole = [...before, ...ids, ...after];
    const found = BigInt64Array.from(whole.length ? whole : [filler], BigInt);
    return backwards ? found.reverse() : found;
  };
}

/** The tokens that are put before and after those of a text. */
function around({ post_processor: processor }) {
  const text = "\0";
  const tokens = processor ? processor([text], null, true).tokens : [text];
  const at = tokens.indexOf(text);
  return [tokens.slice(0, at), tokens.slice(at + 1)];
}

/** Put a normalizer's or pre-tokenizer's parts right. */
function mend(part, library) {
  if (!part) return;
  for (const inner of part.normalizers ?? part.tokenizers ?? []) mend(inner, library);
  const of = (name) => part instanceof library[name];
  if (of("BertNormalizer")) part.normalize = (text) => asBert(text, part.config);
  if (of("LowercaseNormalizer")) part.normalize = lower;
  if (of("PrecompiledNormalizer")) part.normalize = asSentencePiece(part.config.precompiled_charsmap ?? "");
  if (of("StripNormalizer")) part.normalize = (text) => strip(text, part.config);
  if (of("WhitespacePreTokenizer")) part.pre_tokenize_text = (text) => text.match(WORDS) ?? [];
  if (of("WhitespaceSplitPreTokenizer")) part.pre_tokenize_text = (text) => text.match(/\P{White_Space}+/gu) ?? [];
  if (of("BertPreTokenizer") || of("ByteLevelPreTokenizer")) {
    const source = part.pattern.source.replaceAll("\\s", "\\p{White_Space}").replaceAll("\\S", "\\P{White_Space}");
    part.pattern = new RegExp(source, "gu");
  }
  if (of("BertPreTokenizer")) part.pre_tokenize_text = (text) => text.match(part.pattern) ?? [];
  if (of("MetaspacePreTokenizer")) divide(part);
}

/** Letter by letter: a sigma at the end of a word is none of its own. */
const lower = (text) => Array.from(text, (letter) => letter.toLowerCase()).join("");

function strip(text, { strip_left: left, strip_right: right }) {
  const start = left ? text.replace(/^\p{White_Space}+/u, "") : text;
  return right ? start.replace(/\p{White_Space}+$/u, "") : start;
}

function asBert(given, { clean_text: clean, handle_chinese_chars: apart, lowercase, strip_accents: strips }) {
  let text = given;
  if (clean) text = Array.from(text, cleaned).join("");
  if (apart) text = Array.from(text, (letter) => (isIdeograph(letter.codePointAt(0)) ? ` ${letter} ` : letter)).join("");
  if (strips ?? lowercase) text = text.normalize("NFD").replace(/\p{Mn}/gu, "");
  return lowercase ? lower(text) : text;
}

function cleaned(letter) {
  if ("\t\n\r".includes(letter)) return " ";
  if (letter === "\ufffd" || /[\p{Cc}\p{Cf}\p{Co}]/u.test(letter)) return "";
  return BLANK.test(letter) ? " " : letter;
}

const isIdeograph = (code) => IDEOGRAPHS.some(([first, last]) => first <= code && code <= last);

/** Each word by itself, which is as good and takes less time and memory than a whole text. */
function divide(part) {
  const join = part.pre_tokenize_text.bind(part);
  const { replacement } = part;
  part.pre_tokenize_text = (text, options) => join(text, options).flatMap((whole) => whole.split(new RegExp(`(?=${replacement})`, "u")));
}

/** SentencePiece's rules: a table of strings, and a trie (of Darts) from bytes of UTF-8 to places in it. */
function asSentencePiece(encoded) {
  const bytes = Uint8Array.from(atob(encoded), (letter) => letter.charCodeAt(0));
  if (!bytes.length) return (text) => text;
  const view = new DataView(bytes.buffer);
  const strings = 4 + view.getUint32(0, true);
  const unit = (i) => view.getUint32(4 + 4 * i, true);
  const offset = (node) => (node >>> 10) << ((node & 0x200) >>> 6);
  const [encoder, decoder] = [new TextEncoder(), new TextDecoder()];
  const meaning = (utf8) => { // of the shortest beginning that has one: so does the Python package
    let at = offset(unit(0));
    for (const byte of utf8) {
      at ^= byte;
      const node = unit(at);
      if (byte === 0 || (node & 0x800000ff) !== byte) return null;
      at ^= offset(node);
      if (node & 0x100) {
        const start = strings + (unit(at) & 0x7fffffff);
        return decoder.decode(bytes.subarray(start, bytes.indexOf(0, start)));
      }
    }
    return null;
  };
  const clusters = new Intl.Segmenter("en", { granularity: "grapheme" });
  const replaced = (cluster) => {
    const utf8 = encoder.encode(cluster);
    const whole = utf8.length < 6 ? meaning(utf8) : null;
    return whole ?? Array.from(cluster, (letter) => meaning(encoder.encode(letter)) ?? letter).join("");
  };
  return (text) => Array.from(clusters.segment(text), ({ segment }) => replaced(segment)).join("");
}
