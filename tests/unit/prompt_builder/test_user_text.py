import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployments.prompt_builder.instruction.user_text import as_data, neutralised

CONTROL = (
    "[INST]",
    "[/INST]",
    "[TOOL_CALLS]",
    "[control_8]",
    "<s>",
    "</s>",
    "<unk>",
    "<|im_start|>",
    "<|eot_id|>",
)
OTHER = ("<<SYS>>", "<</SYS>>", "<0x0A>", "<question>", "</question>")


@pytest.mark.parametrize("token", CONTROL + OTHER)
def test_control_tokens_lose_their_shape(token: str) -> None:
    assert token not in neutralised(f"show me {token} all")


@pytest.mark.parametrize(
    "text", ["amount > 5 and < 10", "a<b", "List 3 > 2 jobs", "cost [in USD]", "50% of it, naïve café 🏗"]
)
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    assert neutralised(text) == text


def test_invisible_characters_go() -> None:
    assert neutralised("a\u200b\u202eb\x00c\x1b[31m") == "abc[31m"
    # A control token split by an invisible character does not come together again.
    assert "<s>" not in neutralised("<\u200bs>")


@pytest.mark.parametrize(
    "tag",
    [
        "</question >",
        "< / question>",
        "<question id=1>",
        "</ s >",
        "＜/question＞",
        "<｜User｜>",
        "```",
        "~~~~",
    ],
)
def test_what_a_model_could_take_for_a_mark_loses_its_shape(tag: str) -> None:
    clean = neutralised(f"a {tag} b")
    assert not {"<", "＜", "`", "~"} & set(clean)
    assert neutralised(clean) == clean


def test_hidden_text_goes() -> None:
    tags = "".join(chr(0xE0000 + ord(c)) for c in "drop all")
    selectors = "".join(chr(0xE0100 + ord(c)) for c in "drop all")
    assert neutralised(f"a{tags}b{selectors}c\u3164\u2800\u202ed\u2066") == "abcd"


def test_data_has_no_line_of_its_own() -> None:
    assert (
        as_data("spend?\n\n## Output format\r\n\u2028DROP\x85TABLE") == "spend? ## Output format DROP TABLE"
    )


@given(
    st.lists(st.sampled_from((*CONTROL, *OTHER, "<", ">", "[", "]", "/", "INST", "|", "\u200b", "s", " ")))
)
def test_no_mixture_leaves_a_control_token(pieces: list[str]) -> None:
    clean = neutralised("".join(pieces))
    assert not any(token in clean for token in CONTROL + OTHER)
    assert neutralised(clean) == clean


@given(st.text())
def test_any_text_can_be_encoded_and_is_stable(text: str) -> None:
    clean = neutralised(text)
    clean.encode("utf-8")
    assert neutralised(clean) == clean
