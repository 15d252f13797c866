"""Text comes out in pieces that later tokens cannot change."""

from hypothesis import given
from hypothesis import strategies as st

from deployments.generator.detokenizer import Detokenizer, TextStream


def decode(tokens: list[int]) -> str:
    return bytes(tokens).decode("utf-8", errors="replace")


def streamed(text: str, stop: tuple[str, ...]) -> list[str]:
    """Pieces of a text whose tokens are its bytes, 0 being the end token."""
    detokenizer = Detokenizer(decode, frozenset({0}))
    pieces: list[str] = []
    stream = TextStream(detokenizer, stop, pieces.append)
    tokens: list[int] = []
    for token in [*text.encode(), 0]:
        tokens.append(token)
        if token == 0 or detokenizer.contains(tokens, stop):
            break
        stream.update(tokens)
    stream.finish(detokenizer.text(tokens, stop))
    return pieces


@given(text=st.text(alphabet=st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=30))
def test_pieces_add_up_whatever_the_bytes(text: str) -> None:
    assert "".join(streamed(text, ())) == text


@given(text=st.text(alphabet="abc", max_size=30), stop=st.text(alphabet="abc", min_size=1, max_size=3))
def test_nothing_of_a_stop_text_is_sent(text: str, stop: str) -> None:
    assert "".join(streamed(text, (stop,))) == text.split(stop)[0]


def test_whole_characters_are_sent_at_once() -> None:
    assert streamed("aé€", ()) == ["a", "é", "€"]
