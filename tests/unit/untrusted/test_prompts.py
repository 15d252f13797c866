"""Whatever others wrote, it changes no part of a prompt but its own place in it."""

import re
from collections import Counter

import pytest
from tiny_models import make_request, tiny_mistral_folder
from transformers import PreTrainedTokenizerFast

from deployments.generator.prompt_encoding import PromptEncoder
from deployments.prompt_builder.instruction.user_text import as_data
from deployments.prompt_builder.instruction.wording import PARTS, output_format
from deployments.prompt_builder.linking.linker import Linker
from deployments.prompt_builder.schema_text import LONGEST_VALUE_CHARS
from deployments.prompt_builder.verified.library import ExampleLibrary
from serve_app.contracts import Prompt
from tests.injections import ASKED, AT, Attempt, attempts, pack_examples
from tests.prompt_cases import (
    PACK,
    SAMPLE_SCHEMA,
    by_chars,
    make_context,
    make_profile,
    make_question,
    whole_text,
)

ATTEMPTS = attempts()
OUTPUT_FORMAT = output_format().split("\n")[1:]
# How every line of a part begins. Instructions, terminology and output format hold nobody else's text.
LINES = {
    "Schema": r"TABLE |  \S|\)$",
    "Examples": r"Q: |SQL: |\(none\)$",
    "Conversation": r"User: |SQL: |You asked back: |\(none\)$",
    "Question": r"Today is |If it refers back|It may answer|<question>.*</question>$",
}


async def prompt_of(attempt: Attempt) -> Prompt:
    profile = make_profile(
        by_chars(4),
        library=ExampleLibrary(pack_examples(), attempt.accepted),
        max_context_tokens=100_000,
        least_similarity=0.0,
    )
    schema = attempt.schema(SAMPLE_SCHEMA)
    question = make_question(attempt.question)
    prompt = await profile.build(question, make_context(*attempt.history()), schema, None)
    assert isinstance(prompt, Prompt)
    assert prompt.truncation == ()
    return prompt


def parts_of(prompt: Prompt) -> dict[str, list[str]]:
    """The lines of each part by its heading, in their order."""
    parts: dict[str, list[str]] = {}
    for line in whole_text(prompt).split("\n"):
        if line.startswith("## "):
            parts[line[3:]] = lines = []
        else:
            lines.append(line)
    return parts


def test_there_are_enough_attempts_of_every_kind() -> None:
    places = Counter(attempt.place for attempt in ATTEMPTS)
    assert len(ATTEMPTS) >= 80
    assert len({attempt.id for attempt in ATTEMPTS}) == len(ATTEMPTS)
    assert set(places) == {
        *("question", "column_comment", "table_comment", "value", "enum_label", "column_name"),
        *("history", "clarification", "example"),
    }


@pytest.mark.parametrize("attempt", ATTEMPTS, ids=lambda attempt: attempt.id)
async def test_the_parts_of_the_prompt_stay_as_they_are(attempt: Attempt) -> None:
    prompt = await prompt_of(attempt)
    parts = parts_of(prompt)
    assert list(parts) == list(PARTS)
    for name, begins in LINES.items():
        assert [line for line in parts[name] if not re.match(begins, line)] == []
    assert parts["Output format"] == OUTPUT_FORMAT
    assert sum(line.startswith("TABLE ") for line in parts["Schema"]) == len(SAMPLE_SCHEMA.tables)
    text = whole_text(prompt)
    # The instructions name the mark once.
    assert (text.count("<question>"), text.count("</question>"), text.count("```")) == (2, 1, 0)


@pytest.mark.parametrize("attempt", ATTEMPTS, ids=lambda attempt: attempt.id)
async def test_the_text_is_there_to_be_obeyed(attempt: Attempt) -> None:
    """Else the other tests would show nothing."""
    words = [word for word in as_data(attempt.text).split() if word.isalpha()][:3]
    if attempt.place == "value" and (
        len(attempt.text) > LONGEST_VALUE_CHARS or not attempt.text.isprintable()
    ):
        words = []
    text = whole_text(await prompt_of(attempt))
    assert all(word in text for word in words)


@pytest.fixture(scope="module")
def encoder() -> PromptEncoder:
    tokenizer = PreTrainedTokenizerFast.from_pretrained(tiny_mistral_folder())
    return PromptEncoder(tokenizer, tokenizer.backend_tokenizer, 1_000_000, chat=True)


@pytest.mark.parametrize("attempt", ATTEMPTS, ids=lambda attempt: attempt.id)
async def test_no_text_becomes_a_control_token(attempt: Attempt, encoder: PromptEncoder) -> None:
    benign = Attempt(attempt.id, "question", ASKED, "", "")
    special = encoder._control_ids
    ids = [
        [i for i in encoder.encode(make_request(None, turns=prompt.turns)) if i in special]
        for prompt in (await prompt_of(attempt), await prompt_of(benign))
    ]
    assert ids[0] == ids[1]


SPELLED = (
    "how many <V0> in <D0>",
    "<expenses> <then> <sum> <N0>",
    "<vendors.name> <d:month> <n:money> jobs",
    "<s> <|answer|> <cannot> total",
)


@pytest.mark.parametrize("text", [*SPELLED, *(a.text for a in ATTEMPTS if a.place == "question")])
def test_no_question_spells_a_token_of_the_house_model(text: str) -> None:
    linker = Linker(SAMPLE_SCHEMA, PACK)
    linked = linker.link(text, AT.date())
    without = linker.link(text.translate(str.maketrans("<>", "  ")), AT.date())
    assert linked.text.count("<") == without.text.count("<")
    named = {f"<{link.placeholder}>" for link in linked.links}
    for letter in "VND":
        for number in range(8):
            token = f"<{letter}{number}>"
            assert (token in linked.text) == (token in named)
