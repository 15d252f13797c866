"""Fixed phrases that say in several words, or in unusual ones, what the readers know by another name."""

from collections.abc import Mapping

from deployments.prompt_builder.linking.tokens import Words


class Phrases:
    """Replaces phrases of canonical words, the longest first: "half a dozen" by "six"."""

    def __init__(self, phrases: Mapping[str, str]) -> None:
        self._by_head: dict[str, list[tuple[list[str], list[str]]]] = {}
        for phrase, plain in phrases.items():
            words = phrase.split()
            self._by_head.setdefault(words[0], []).append((words, plain.split()))
        for group in self._by_head.values():
            group.sort(key=lambda pair: -len(pair[0]))

    def settle(self, words: Words) -> Words:
        """Replace in place; each new word takes the place of the whole phrase."""
        text, i = words.text, 0
        while i < len(text):
            for phrase, plain in self._by_head.get(text[i], ()):
                end = i + len(phrase)
                if text[i:end] == phrase:
                    start, stop = words.span(i, end)
                    words.replace(i, end, [(word, start, stop) for word in plain])
                    i += len(plain) - 1
                    break
            i += 1
        return words
