"""Film reviews put together from phrases, laid out like the course's IMDB sample.

Counting words tells little: praise is negated, faults are denied, opinions are conceded or put in
other people's mouths. What decides is the reviewer's own word, read in its place.
"""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from onecycle.samples.drawing import Rng, whole_folder

VERSION = 1


def _split_words(words: str) -> tuple[str, ...]:
    return tuple(words.split("|"))


ASPECTS = _split_words(
    "acting|plot|music|ending|script|camera work|dialogue|pace|lead actress|story|first half|humour"
)
GOOD = _split_words(
    "great|superb|moving|clever|charming|gripping|convincing|delightful|brilliant|touching|witty|"
    "memorable"
)
BAD = _split_words(
    "awful|dull|clumsy|tedious|lifeless|silly|predictable|shallow|confusing|painful|forgettable|"
    "stupid"
)
IS = ("was {}", "is {}", "seemed {} to me", "turned out {}", "felt {}", "is simply {}")
NOT = (
    "was not {}",
    "was never {}",
    "is hardly {}",
    "was anything but {}",
    "wasn't {} at all",
    "is far from {}",
    "could not be called {}",
    "isn't even remotely {}",
)
CONCEDED = ("Although {}, {}.", "Even though {}, {}.", "While {}, {}.", "Granted, {}; still, {}.")
TURNED = ("{}, but {}.", "{}. However, {}.", "{}, and yet {}.")
OTHERS = (
    "My brother says {}. He is wrong.",
    "The critics wrote that {}; I could not disagree more.",
    "I had heard that {}. Nonsense!",
    "Friends had told me that {}. It is not true.",
)
AGREED = (
    "My sister said that {}, and she was right.",
    "The papers wrote that {}. I agree.",
    "I had feared I would be alone in thinking that {}. I am not.",
)
PLAIN = (
    "I saw it on a rainy {day} with my {person}.",
    "It runs for {n} minutes.",
    "The story is set in {place}.",
    "We paid {n} dollars for two tickets.",
    "It was made in {year}, and most of it was shot in {place}.",
    "My {person} fell asleep after {n} minutes.",
    "The cinema in {place} was half full.",
    "THIS IS A {n} MINUTE FILM.",
)
FILLERS = {
    "day": ("Monday", "Tuesday", "Friday", "Saturday", "Sunday"),
    "person": ("mother", "wife", "husband", "uncle", "neighbour", "daughter"),
    "place": ("Paris", "Ohio", "a small town", "Rome", "New York", "the desert", "Scotland"),
}


def reviews_sample(dest: Path | str, n: int = 2000, seed: int = 0) -> Path:
    """Write `n` reviews into `dest/texts.csv`: label (negative, positive), text, is_valid.

    Every fifth review validates. Logistic regression on word counts reaches about .7; a reader who
    minds negations, concessions and whose word it is makes no mistake.
    """

    def fill(root: Path) -> None:
        with (root / "texts.csv").open("w", newline="", encoding="utf-8") as file:
            rows = csv.writer(file)
            rows.writerow(["label", "text", "is_valid"])
            for i in range(n):
                rng = np.random.default_rng([seed, i])
                good = bool(rng.random() < 0.5)
                label = "positive" if good else "negative"
                rows.writerow([label, review(rng, good), i % 5 == 4])

    return whole_folder(dest, {"set": "reviews", "version": VERSION, "n": n, "seed": seed}, fill)


def review(rng: Rng, good: bool) -> str:
    """Two to five sentences whose own word is `good`, or is not."""
    sentences = [_opinion(rng, good) for _ in range(rng.integers(2, 5))]
    sentences += [_plain(rng) for _ in range(rng.integers(0, 3))]
    return " ".join(sentences[i] for i in rng.permutation(len(sentences)))


def _opinion(rng: Rng, good: bool) -> str:
    """A sentence that means `good`, and often says the contrary where it is not meant."""
    kind = rng.choice(5, p=(0.36, 0.17, 0.17, 0.15, 0.15))
    if kind == 0:
        return _capital(_clause(rng, good)) + str(rng.choice([".", "!", "..."]))
    if kind == 1:
        return _capital(_pick(rng, CONCEDED).format(_clause(rng, not good), _clause(rng, good)))
    if kind == 2:
        return _capital(_pick(rng, TURNED).format(_clause(rng, not good), _clause(rng, good)))
    if kind == 3:
        return _pick(rng, OTHERS).format(_clause(rng, not good))
    return _pick(rng, AGREED).format(_clause(rng, good))


def _clause(rng: Rng, good: bool) -> str:
    negated = rng.random() < 0.28
    words, forms = (GOOD if good != negated else BAD), (NOT if negated else IS)
    return f"the {_pick(rng, ASPECTS)} {_pick(rng, forms).format(_pick(rng, words))}"


def _plain(rng: Rng) -> str:
    chosen = {name: _pick(rng, words) for name, words in FILLERS.items()}
    return _pick(rng, PLAIN).format(
        n=rng.integers(80, 190), year=rng.integers(1960, 2018), **chosen
    )


def _pick(rng: Rng, choices: Sequence[str]) -> str:
    return choices[int(rng.integers(len(choices)))]


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]
