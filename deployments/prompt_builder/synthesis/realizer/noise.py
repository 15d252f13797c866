"""The way a question is typed: politeness, asides, casing, dropped words, typos, punctuation. Slots stay
whole.
"""

import random

from deployments.prompt_builder.synthesis.phrases import english
from deployments.prompt_builder.synthesis.slots import MARKED

_DROPPABLE = frozenset(
    [
        "the",
        "a",
        "an",
        "of",
        "our",
        "all",
        "is",
        "are",
        "me",
        "that",
        "were",
        "was",
        "do",
        "does",
        "we",
        "any",
        "please",
    ]
)
_SHORT = {
    "please": "pls", "with": "w", "and": "n", "you": "u", "are": "r", "hours": "hrs", "average": "avg",
    "versus": "vs", "without": "w/o", "have": "hv", "quantity": "qty",
}  # fmt: skip
_NEAR = {
    "a": "qs", "b": "vn", "c": "xv", "d": "sf", "e": "wr", "f": "dg", "g": "fh", "h": "gj", "i": "uo",
    "j": "hk", "k": "jl", "l": "k", "m": "n", "n": "bm", "o": "ip", "p": "o", "q": "w", "r": "et", "s": "ad",
    "t": "ry", "u": "yi", "v": "cb", "w": "qe", "x": "zc", "y": "tu", "z": "x",
}  # fmt: skip


def typed(rng: random.Random, text: str) -> str:
    """One person's typing of a sentence with slot marks."""
    style = rng.random()
    text = _tidy(text)
    if style < 0.12:
        return _spelled(rng, _telegraphic(rng, text), 0.35)
    if style < 0.24:
        return _wrapped(rng, _capitalised(text))
    text = _polite(rng, text)
    if rng.random() < 0.1:
        text = _without_some(rng, text, 0.5)
    text = _spelled(rng, text, 0.12)
    chance = rng.random()
    if chance < 0.5:
        text = _capitalised(text)
    elif chance < 0.53:
        text = text.upper()
    return text


def _tidy(text: str) -> str:
    return (
        " ".join(text.split())
        .replace(" ,", ",")
        .replace(" ?", "?")
        .replace(" :", ":")
        .replace(" .", ".")
        .replace(" 's", "'s")
    )


def _polite(rng: random.Random, text: str) -> str:
    words = english("noise")
    if rng.random() < 0.12:
        text = rng.choice(words["openers"]) + text
    if rng.random() < 0.45:
        closer = rng.choice(words["closers"]) if rng.random() < 0.5 else rng.choice(("?", ".", "?", ""))
        text = text.rstrip("?.") + closer
    return text


def _wrapped(rng: random.Random, text: str) -> str:
    """A polite question inside facts that are not asked for."""
    words = english("noise")
    front = rng.choice(words["asides_front"]) if rng.random() < 0.75 else ""
    back = rng.choice(words["asides_back"]) if not front or rng.random() < 0.4 else ""
    end = rng.choice(("?", ".", "?", ".", " please?", ", please."))
    return f"{front}{text}{end if back or rng.random() < 0.8 else ''}{back}"


def _telegraphic(rng: random.Random, text: str) -> str:
    """As typed on a phone: lower case, short forms, function words dropped."""
    text = _without_some(rng, text.lower(), 0.75)
    parts = [_SHORT.get(w, w) if rng.random() < 0.4 else w for w in text.split(" ")]
    return " ".join(parts).rstrip("?.")


def _without_some(rng: random.Random, text: str, probability: float) -> str:
    """Drop function words outside of slots; the first word and negations stay."""
    inside = _protected(text)
    words = text.split(" ")
    kept: list[str] = []
    position = 0
    for index, word in enumerate(words):
        free = not any(start <= position < end for start, end in inside)
        if not (free and index and word in _DROPPABLE and rng.random() < probability):
            kept.append(word)
        position += len(word) + 1
    return " ".join(kept)


def _protected(text: str) -> list[tuple[int, int]]:
    return [m.span() for m in MARKED.finditer(text)]


def _capitalised(text: str) -> str:
    return text[:1].upper() + text[1:]


def _spelled(rng: random.Random, text: str, probability: float) -> str:
    """Sometimes one typo, in a word of five letters or more outside of slots."""
    if rng.random() >= probability:
        return text
    inside = _protected(text)
    candidates: list[tuple[int, str]] = []
    position = 0
    for word in text.split(" "):
        if len(word) >= 5 and word.isalpha() and not any(s <= position < e for s, e in inside):
            candidates.append((position, word))
        position += len(word) + 1
    if not candidates:
        return text
    start, word = rng.choice(candidates)
    return text[:start] + misspelled(rng, word) + text[start + len(word) :]


def misspelled(rng: random.Random, word: str) -> str:
    """Swap, drop, double or mistype one letter; the first stays."""
    i = rng.randrange(1, len(word) - 1)
    kind = rng.random()
    if kind < 0.35:
        return word[:i] + word[i + 1] + word[i] + word[i + 2 :]
    if kind < 0.65:
        return word[:i] + word[i + 1 :]
    if kind < 0.85:
        return word[:i] + word[i] + word[i:]
    near = _NEAR.get(word[i].lower())
    return word[:i] + rng.choice(near) + word[i + 1 :] if near else word


def retyped(rng: random.Random, text: str) -> str:
    """A written question as another hand would type it."""
    chance = rng.random()
    if chance < 0.2:
        text = text.lower()
    elif chance < 0.3:
        text = _capitalised(text)
    if rng.random() < 0.15:
        text = text.rstrip("?.!")
    if rng.random() < 0.12:
        text = _without_some(rng, text, 0.5)
    text = _spelled(rng, text, 0.12)
    return rng.choice(english("noise")["openers"]) + text if rng.random() < 0.04 else text
