"""Texts as tokens, each of one idea: what is capital, repeated or unknown becomes a token itself.

The rules and special tokens are those of the course's library; the patterns are kept to what
JavaScript's `u` expressions know as well.
"""

import html
import re
from collections.abc import Iterable
from functools import lru_cache
from itertools import chain, islice
from operator import eq

UNK, PAD, BOS, EOS, FLD = "xxunk", "xxpad", "xxbos", "xxeos", "xxfld"
MAJ, UP, REP, WREP = "xxmaj", "xxup", "xxrep", "xxwrep"
SPECIAL = (UNK, PAD, BOS, EOS, FLD, MAJ, UP, REP, WREP)

_MARKS = "\u0300-\u036f\u0900-\u0903\u093a-\u094f\u0e31\u0e34-\u0e4e"  # written on other letters
_LETTERS = rf"[^\W_]+(?:[{_MARKS}]+[^\W_]*)*"
_USUAL = (
    r"[A-Za-z]++(?=[ ,])"  # a plain word, as _LETTERS finds it, at once
    r"|(?:[A-Za-z]\.){2,}"
    r"|(?:Mr|Mrs|Ms|Dr|Prof|St|Jr|Sr|vs|etc)\."
    r"|\d+(?:[.,:]\d+)+(?:st|nd|rd|th|s|k)?(?![^\W\d_])"
    rf"|{_LETTERS}(?:['\u2019]{_LETTERS})*"
    r"|['\u2019](?:s|m|d|re|ve|ll)(?![^\W_])"
    r"|\.{2,}|-{2,}|\s*\n\s*|[^\s]"
)
_WORD = re.compile(_USUAL)
_WORD_OR_ADDRESS = re.compile(
    r"(?:https?://|www\.)\S+|[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63})+|" + _USUAL
)
_CONTRACTION = re.compile(r"(.+?)(n['\u2019]t|['\u2019](?:s|m|d|re|ve|ll))", re.IGNORECASE)
_ENTITIES = (
    ("#39;", "'"),
    ("amp;", "&"),
    ("#146;", "'"),
    ("nbsp;", " "),
    ("#36;", "$"),
    ("\\n", "\n"),
    ("quot;", "'"),
    ('\\"', '"'),
    (" @.@ ", "."),
    (" @-@ ", "-"),
    (" @,@ ", ","),
)
_BREAK = re.compile(r"<\s{0,3}br\s{0,3}/?\s{0,3}>", re.IGNORECASE)
_SPACES = re.compile(r"[^\S\n]{2,}")  # so that no run of blanks is read twice
_AROUND = re.compile(r"([/#\n])(?<![:/][\s\S])(?!/)")  # what is rare first: so it is quick
_REPEATED = re.compile(r"(\S)\1\1\1+")


def clean(text: str) -> str:
    """HTML's left-overs, repeated characters and words, and spaces, by the rules; any text."""
    if "<" in text:
        text = _BREAK.sub("\n", text).replace("<unk>", f" {UNK} ")
    if ";" in text or "\\" in text or "@" in text:
        text = html.unescape(text)
        for found, meant in _ENTITIES:
            text = text.replace(found, meant)
    text = _REPEATED.sub(_count_characters, text)
    text = _repeated_words(text)
    return _SPACES.sub(" ", _AROUND.sub(r" \1 ", text))


def _count_characters(match: re.Match[str]) -> str:
    return f" {REP} {len(match[0])} {match[1]} "


def _repeated_words(text: str) -> str:
    """Four of the same words in a row or more as `xxwrep n word`; one pass, whatever the text."""
    words = text.split(" ")
    if not any(map(eq, words, islice(words, 1, None))):
        return text
    out: list[str] = []
    at = 0
    while at < len(words):
        end = at + 1
        while end < len(words) and words[end] == words[at]:
            end += 1
        run = end - at
        out += [WREP, str(run), words[at]] if run > 3 and words[at] else words[at:end]
        at = end
    return " ".join(out)


def tokenize(text: str) -> list[str]:
    """The tokens of a text, with `xxbos` first; time grows with the length alone.

    "I'm NOT sure..." becomes xxbos i 'm xxup not sure ... Lone surrogates are replaced.
    """
    if not text.isascii():
        text = text.encode("utf-8", "replace").decode("utf-8", "replace")
    addresses = "@" in text or "://" in text or "www." in text
    pattern = _WORD_OR_ADDRESS if addresses else _WORD
    return [BOS, *chain.from_iterable(map(_mark_case, pattern.findall(clean(text))))]


@lru_cache(maxsize=200_000)
def _mark_case(word: str) -> tuple[str, ...]:
    """The word in small letters, after a token that says how it was written; contractions split."""
    if word.isspace():
        return ("\n",) if "\n" in word else ()
    if len(word) <= 40 and ("'" in word or "\u2019" in word):
        parts = _CONTRACTION.fullmatch(word)
        if parts:
            return (*_mark_case(parts[1]), *_mark_case(parts[2].replace("\u2019", "'")))
    if word in SPECIAL:
        return (word,)
    if len(word) > 1 and word.isupper():
        return (UP, word.lower())
    if word[0].isupper() and word[1:].islower():
        return (MAJ, word.lower())
    return (word.lower(),)


_CLOSING = frozenset(".,;:!?)]}%") | {"n't", "'s", "'m", "'d", "'re", "'ve", "'ll", "..."}
_OPENING = frozenset("([{$")


def detokenize(tokens: Iterable[str]) -> str:
    """A readable text of tokens: capitals and repetitions written out, spaces where they belong."""
    words: list[str] = []
    pending = ""
    given = iter(tokens)
    for token in given:
        if token in {BOS, PAD, EOS, FLD}:
            continue
        if token in {MAJ, UP}:
            pending = token
            continue
        if token in {REP, WREP}:
            count, what = next(given, ""), next(given, "")
            n = min(int(count), 50) if count.isdecimal() else 1
            words.append(what * n if token == REP else " ".join([what] * n))
            continue
        if pending:
            token = token.capitalize() if pending == MAJ else token.upper()
            pending = ""
        glued = words and (token in _CLOSING or words[-1][-1:] in _OPENING)
        if glued:
            words[-1] += token
        else:
            words.append(token)
    return " ".join(words)
