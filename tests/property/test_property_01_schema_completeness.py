"""Property 01: every table, column, type and foreign key of a schema stands in the prompt built from it."""

import asyncio

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from deployments.prompt_builder.instruction.relevance import Vocabulary
from deployments.prompt_builder.instruction.user_text import neutralised
from deployments.prompt_builder.schema_text import identifier
from serve_app.contracts import Prompt, SchemaSnapshot, Table
from serve_app.errors import InvalidRequest
from tests.prompt_cases import (
    EMPTY_PACK,
    make_context,
    make_profile,
    make_question,
    schemas,
    sentences,
    whole_text,
)

pytestmark = pytest.mark.property


def block_of(text: str, table: Table) -> list[str] | None:
    """The lines of one table's definition, or None if it is not written out."""
    lines = text.split("\n")
    head = neutralised(f"TABLE {identifier(table.name)} (")
    start = next((i for i, line in enumerate(lines) if line == head or line.startswith(f"{head} --")), None)
    return None if start is None else lines[start : lines.index(")", start)]


def assert_complete(text: str, table: Table) -> None:
    block = block_of(text, table)
    assert block is not None
    for column in table.columns:
        stem = neutralised(f"  {identifier(column.name)} {column.type}")
        assert any(line == stem or line.startswith(f"{stem} ") for line in block), column
    for key in table.foreign_keys:
        target = ", ".join(identifier(name) for name in key.referenced_columns)
        reference = neutralised(f"REFERENCES {identifier(key.referenced_table)} ({target})")
        first = neutralised(identifier(key.columns[0]))
        assert any(reference in line and first in line for line in block), key


@given(schema=schemas(), question=sentences)
@settings(max_examples=100, deadline=None)
def test_the_whole_schema_stands_in_a_prompt_with_room(schema: SchemaSnapshot, question: str) -> None:
    profile = make_profile(pack=EMPTY_PACK, max_context_tokens=1_000_000)
    prompt = asyncio.run(profile.build(make_question(question), make_context(), schema, None))
    assert isinstance(prompt, Prompt)
    for table in schema.tables:
        assert_complete(whole_text(prompt), table)


@given(schema=schemas(), limit=st.integers(512, 1500), data=st.data())
@settings(max_examples=100, deadline=None)
def test_a_short_budget_keeps_needed_tables_and_names_the_rest(
    schema: SchemaSnapshot, limit: int, data: st.DataObject
) -> None:
    asked = data.draw(st.sampled_from(schema.tables)).name
    question = make_question(f"how many {asked} are there")
    profile = make_profile(pack=EMPTY_PACK, max_context_tokens=limit)
    try:
        prompt = asyncio.run(profile.build(question, make_context(), schema, None))
    except InvalidRequest:
        assume(False)
    assert isinstance(prompt, Prompt)
    text = whole_text(prompt)
    order, needed = Vocabulary(schema, EMPTY_PACK).by_usefulness(question.text)
    in_full = [name for name in order if block_of(text, table_of(schema, name)) is not None]
    for name in in_full:
        assert_complete(text, table_of(schema, name))
    # Tables leave from the least useful end, and each that leaves is named and told of.
    assert set(in_full) == set(order[: len(in_full)])
    if len(in_full) < len(order):
        assert any("only named" in words for words in prompt.truncation)
    if len(in_full) >= needed:
        assert all(neutralised(identifier(name)) in text for name in order)


def table_of(schema: SchemaSnapshot, name: str) -> Table:
    table = schema.table(name)
    assert table is not None
    return table
