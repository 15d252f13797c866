"""The grammar of the model's tokens agrees with the reader, the check and the prompt's placeholders."""

import json
from functools import cache
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from deployments.prompt_builder.domain import load_domain
from deployments.prompt_builder.query_spec.context import SpecContext
from deployments.prompt_builder.query_spec.errors import SpecError
from deployments.prompt_builder.query_spec.nodes import QuerySpec
from deployments.prompt_builder.query_spec.token_grammar import TokenGrammar
from deployments.prompt_builder.query_spec.tokens import encode, vocabulary
from deployments.prompt_builder.synthesis.pairs import PairStream
from deployments.prompt_builder.synthesis.schema_file import load_schema
from serve_app.contracts import Candidate, Link
from tests.grammar_walks import Grammars
from tests.unit.query_spec.spec_strategies import all_links, sample_context, specs

CONTEXT = sample_context()
LINKS = all_links(CONTEXT)
GRAMMAR = TokenGrammar(CONTEXT)
CASES = [
    json.loads(line)
    for line in Path("tests/data/query_spec/tokens.jsonl").read_text(encoding="utf-8").splitlines()
]


@cache
def grammars() -> Grammars:
    return Grammars(vocabulary(CONTEXT))


def link(placeholder: str, *columns: tuple[str, str]) -> Link:
    found = tuple(Candidate(table=t, column=c, value="x", score=1.0) for t, c in columns)
    return Link(placeholder=placeholder, span=(0, 1), text="x", candidates=found)


def takes(text: str, *links: Link) -> bool:
    return grammars().takes(GRAMMAR.of(links or LINKS), text)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["text"][:50])
def test_known_specifications_are_taken(case: dict[str, str]) -> None:
    assert takes(case["tokens"])


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(specs)
def test_every_valid_specification_is_taken(spec: QuerySpec) -> None:
    try:
        text = encode(spec, CONTEXT)
    except SpecError:  # a literal that the vocabulary lacks
        return
    assert takes(text)


def test_targets_of_the_training_stream_are_taken() -> None:
    for _, target in islice(PairStream()(1, 0), 300):
        assert takes(target)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<expenses><sum>",
        "<expenses><labor.hours>",
        "<projects><where><expenses.amount><N0>",
        "<expenses><expenses.category='labor'>",
        "<expenses><expenses.unpaid>",
        "<expenses><sum><expenses.date>",
        "<expenses><where><gt><expenses.amount><expenses.date>",
        "<expenses><where><expenses.date><N0>",
        "<expenses><where><expenses.amount><V0>",
        "<expenses><distinct>",
        "<expenses><limit><V0>",
        "<expenses><where><in><expenses.amount><D0>",
        "<projects><sum><if><expenses.unpaid><projects.budget>",
        "<projects><projects.name><where><any><vendors>",
        "<cannot><expenses>",
        "expenses",
        "<expenses>" + "<abs>" * 20 + "<1>",
    ],
)
def test_what_makes_no_sense_cannot_be_written(text: str) -> None:
    assert not takes(text)


def test_cannot_is_always_possible() -> None:
    assert grammars().takes(GRAMMAR.of(()), "<cannot>")


def test_only_the_prompt_s_placeholders_can_be_written() -> None:
    links = (link("V0", ("vendors", "name")), link("N0"), link("D0"))
    assert takes("<expenses><where><vendors.name><V0><expenses.amount><N0><expenses.date><D0>", *links)
    assert takes("<expenses><where><contains><expenses.description><V0>", *links)
    assert not takes("<expenses><where><projects.name><V0>", *links)
    assert not takes("<expenses><where><vendors.name><V1>", *links)
    assert not takes("<expenses><where><expenses.amount><N1>", *links)
    assert not takes("<expenses><where><expenses.date><D1>", *links)
    assert not grammars().takes(GRAMMAR.of(()), "<expenses><where><expenses.amount><N0>")
    assert grammars().takes(GRAMMAR.of(()), "<expenses><where><gt><expenses.amount><1000>")


def test_what_goes_on_is_closed_first() -> None:
    """Without its ``<close>`` the reader would take what follows for a part of the inner aggregate."""
    inner = "<projects><rank><per><count><labor>"
    assert takes(f"{inner}<close><per><projects.city><projects.budget>")
    assert not takes(f"{inner}<per><projects.city><projects.budget>")
    assert takes(f"{inner}<projects.budget>")


def test_another_schema_has_its_own() -> None:
    folder = Path("tests/data/library_pack")
    context = SpecContext(load_schema(folder), load_domain(folder))
    words = vocabulary(context)
    other = Grammars(words)
    table = next(iter(context.tables))
    assert other.takes(TokenGrammar(context).of(()), f"<{table}><count>")
    assert not other.takes(TokenGrammar(context).of(()), "<expenses><count>")
