"""Schemas, questions and tokenizers of any shape for the properties of prompts."""

from datetime import UTC, datetime
from pathlib import Path

from hypothesis import strategies as st

from deployments.prompt_builder.budget import TokenCounter
from deployments.prompt_builder.config import PromptConfig
from deployments.prompt_builder.domain import DomainPack, load_domain
from deployments.prompt_builder.instruction.profile import InstructionProfile
from deployments.prompt_builder.retrieval import load_examples
from deployments.prompt_builder.verified.library import ExampleLibrary
from serve_app.contracts import (
    Caller,
    Column,
    ConversationContext,
    Exchange,
    ForeignKey,
    Prompt,
    Question,
    SchemaSnapshot,
    Table,
)

NOW = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
PACK_FOLDER = Path("configs/domains/construction")
PACK = load_domain(PACK_FOLDER)
EMPTY_PACK = DomainPack(name="empty", description="No words beyond the schema's own", tables={})
EXAMPLES = load_examples(PACK_FOLDER / "examples.jsonl")
SAMPLE_SCHEMA = SchemaSnapshot.model_validate_json(
    Path("tests/data/prompt_builder/sample_schema.json").read_text(encoding="utf-8")
)

TYPES = (
    "integer",
    "text",
    "date",
    "numeric(14,2)",
    "timestamp with time zone",
    "boolean",
    "character varying(40)[]",
)
names = st.from_regex(r"[A-Za-z_][A-Za-z0-9_ $é-]{0,20}[A-Za-z0-9_]", fullmatch=True)
sentences = st.text(min_size=1, max_size=120).filter(lambda text: bool(text.strip()))
values = st.text(st.characters(categories=("L", "N"), include_characters=" '_-"), min_size=1, max_size=20)


@st.composite
def tables(draw: st.DrawFn, name: str) -> Table:
    columns = draw(st.lists(names, min_size=1, max_size=8, unique=True))
    return Table(
        name=name,
        comment=draw(st.none() | sentences),
        columns=tuple(
            Column(
                name=column,
                type=draw(st.sampled_from(TYPES)),
                nullable=draw(st.booleans()),
                comment=draw(st.none() | sentences),
                enum_values=tuple(draw(st.lists(values, max_size=4, unique=True))),
                sample_values=tuple(draw(st.lists(values, max_size=6, unique=True))),
                values_complete=draw(st.booleans()),
            )
            for column in columns
        ),
        primary_key=tuple(draw(st.lists(st.sampled_from(columns), max_size=2, unique=True))),
    )


@st.composite
def schemas(draw: st.DrawFn, most_tables: int = 8) -> SchemaSnapshot:
    """Any tables with foreign keys between any of them, themselves included."""
    made = [
        draw(tables(name)) for name in draw(st.lists(names, min_size=1, max_size=most_tables, unique=True))
    ]
    linked = []
    for table in made:
        keys = []
        for _ in range(draw(st.integers(0, 2))):
            other = draw(st.sampled_from(made))
            width = draw(st.integers(1, min(2, len(table.columns), len(other.columns))))
            keys.append(
                ForeignKey(
                    columns=tuple(c.name for c in table.columns[:width]),
                    referenced_table=other.name,
                    referenced_columns=tuple(c.name for c in other.columns[:width]),
                )
            )
        linked.append(table.model_copy(update={"foreign_keys": tuple(keys)}))
    return SchemaSnapshot(tables=tuple(linked), fingerprint=draw(st.uuids()).hex, taken_at=NOW)


@st.composite
def exchanges(draw: st.DrawFn) -> Exchange:
    kind = draw(st.sampled_from(("answer", "clarification", "refusal", "error")))
    return Exchange(
        question=draw(sentences),
        sql="SELECT " + draw(st.from_regex(r"[a-z]{1,12}", fullmatch=True)) if kind == "answer" else None,
        answer=draw(sentences) if kind == "clarification" else None,
        kind=kind,
        at=NOW,
    )


def by_chars(chars: int) -> TokenCounter:
    """A tokenizer of fixed token length: real ones lie between one and some six characters a token."""

    async def count(texts: tuple[str, ...]) -> tuple[int, ...]:
        return tuple(-(-len(text) // chars) for text in texts)

    return TokenCounter(count)


def make_question(text: str) -> Question:
    return Question(text=text, caller=Caller(user_id="u-1"), request_id="r-1", asked_at=NOW)


def make_context(*past: Exchange) -> ConversationContext:
    return ConversationContext(conversation_id="c-1", exchanges=past, total_exchanges=len(past))


def make_profile(
    counter: TokenCounter | None = None,
    pack: DomainPack = PACK,
    library: ExampleLibrary | None = None,
    **config: int | float | bool,
) -> InstructionProfile:
    library = library or ExampleLibrary(EXAMPLES)
    return InstructionProfile(pack, library, counter or by_chars(4), PromptConfig.model_validate(config))


def whole_text(prompt: Prompt) -> str:
    return "\n".join(turn.content for turn in prompt.turns)
