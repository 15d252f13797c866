"""Generated tokens to text, whole or piece by piece."""

from collections.abc import Callable

REPLACEMENT = "\ufffd"


class Detokenizer:
    """Generated ids to text: the end token left out, cut before a stop text."""

    def __init__(self, decode: Callable[[list[int]], str], end_tokens: frozenset[int]) -> None:
        self._decode = decode
        self._end_tokens = end_tokens

    def text(self, tokens: list[int], stop: tuple[str, ...] = ()) -> str:
        kept = tokens[:-1] if tokens and tokens[-1] in self._end_tokens else tokens
        text = self._decode(kept)
        ends = [place for place in (text.find(mark) for mark in stop) if place >= 0]
        return text[: min(ends)] if ends else text

    def contains(self, tokens: list[int], stop: tuple[str, ...]) -> bool:
        text = self._decode(tokens)
        return any(mark in text for mark in stop)


class TextStream:
    """Hands on the text of a growing sequence once later tokens cannot change it."""

    def __init__(self, detokenizer: Detokenizer, stop: tuple[str, ...], emit: Callable[[str], None]) -> None:
        self._detokenizer = detokenizer
        self._stop = stop
        self._emit = emit
        self._sent = 0
        # The tail may turn out to be the beginning of a stop text.
        self._held_back = max((len(mark) - 1 for mark in stop), default=0)

    def update(self, tokens: list[int]) -> None:
        """Send what is new; a cut multi-byte character waits for its other bytes."""
        text = self._detokenizer.text(tokens, self._stop)
        self._send(text, len(text.rstrip(REPLACEMENT)) - self._held_back)

    def finish(self, text: str) -> None:
        self._send(text, len(text))

    def _send(self, text: str, end: int) -> None:
        if end > self._sent:
            self._emit(text[self._sent : end])
            self._sent = end
