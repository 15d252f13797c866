"""What stands in callers' prompts: nothing of other organizations, nothing that the policy denies."""

from typing import Any

import pytest

from deployments.prompt_builder.builder import PromptBuilderCore
from deployments.prompt_builder.house.profile import HouseProfile
from deployments.prompt_builder.retrieval import Example
from deployments.prompt_builder.schema_fit import fitting_examples
from deployments.prompt_builder.verified.answers import VerifiedAnswers
from deployments.prompt_builder.verified.library import ExampleLibrary
from deployments.sql_validator.policy import POLICIES_FOLDER, Policies
from deployments.sql_validator.visibility import visible_schema
from serve_app.contracts import Caller, CannotAnswer, Prompt, SchemaSnapshot
from tests.prompt_cases import (
    PACK,
    SAMPLE_SCHEMA,
    by_chars,
    make_context,
    make_profile,
    make_question,
    whole_text,
)

POLICIES = Policies.load(POLICIES_FOLDER)
OWN = {"1": ("Downtown Office Tower", "Harbor Bridge Repair"), "2": ("Granite Hotel", "Metro Line Extension")}
EXAMPLES = tuple(
    Example(question=q, sql=sql, kind="comparison", id=str(n))
    for n, (q, sql) in enumerate(
        [
            ("What did the Granite Hotel cost?", "SELECT budget FROM projects WHERE name = 'Granite Hotel'"),
            (
                "What did the office tower cost?",
                "SELECT budget FROM projects WHERE name ILIKE '%office tower%'",
            ),
            ("What do projects cost?", "SELECT sum(budget) FROM projects WHERE status = 'active'"),
            ("What does an hour cost?", "SELECT avg(hourly_rate) FROM labor"),
        ]
    )
)


def named(schema: SchemaSnapshot, names: tuple[str, ...]) -> SchemaSnapshot:
    """The schema with these projects alone."""
    tables = tuple(
        table.model_copy(
            update={
                "columns": tuple(
                    c.model_copy(update={"sample_values": names, "values_complete": True})
                    if (table.name, c.name) == ("projects", "name")
                    else c
                    for c in table.columns
                )
            }
        )
        for table in schema.tables
    )
    fingerprint = f"{schema.fingerprint}-{'-'.join(names)}"
    return schema.model_copy(update={"tables": tables, "fingerprint": fingerprint})


async def source(caller: Caller | None) -> SchemaSnapshot:
    """As the executor answers: by organization and policy."""
    if caller is None:
        return SAMPLE_SCHEMA
    names = OWN.get(caller.organization_id or "", OWN["1"] + OWN["2"])
    schema = named(SAMPLE_SCHEMA, names)
    return visible_schema(schema, POLICIES.rights(caller.policy, schema))


def question(text: str, organization: str | None = None, policy: str = "default") -> Any:
    caller = Caller(user_id="u", organization_id=organization, policy=policy)
    return make_question(text).model_copy(update={"caller": caller})


@pytest.fixture
def core() -> PromptBuilderCore:
    library = ExampleLibrary(EXAMPLES)
    return PromptBuilderCore(source, make_profile(library=library), verified=VerifiedAnswers(PACK, library))


def house() -> PromptBuilderCore:
    return PromptBuilderCore(source, HouseProfile(PACK, by_chars(4)))


async def test_prompts_of_organizations_alternate_without_crossing(core: PromptBuilderCore) -> None:
    for organization in ("1", "2", "1", None, "2"):
        built = await core.build(question("What did projects cost?", organization), make_context())
        assert isinstance(built, Prompt)
        text = whole_text(built)
        foreign = [n for o, names in OWN.items() if organization not in (o, None) for n in names]
        assert not [name for name in foreign if name.lower() in text.lower()]
        own = OWN.get(organization or "", OWN["1"])
        assert own[0] in text


async def test_denied_columns_stand_in_no_prompt(core: PromptBuilderCore) -> None:
    asked = question("What does an hour of labor cost per worker?", policy="restricted")
    built = await core.build(asked, make_context())
    assert isinstance(built, Prompt)
    for name in ("hourly_rate", "worker_name"):
        assert name not in whole_text(built)
    full = await core.build(question("What does an hour of labor cost per worker?"), make_context())
    assert isinstance(full, Prompt)
    assert "hourly_rate" in whole_text(full)


async def test_names_of_others_are_not_linked() -> None:
    core = house()
    text = "How much did we spend on the Granite Hotel?"
    linked = await core.build(question(text, "2"), make_context())
    unlinked = await core.build(question(text, "1"), make_context())
    assert isinstance(linked, Prompt)
    assert isinstance(unlinked, Prompt)
    assert linked.links[0].candidates[0].value == "Granite Hotel"
    assert "Granite Hotel" not in {c.value for link in unlinked.links for c in link.candidates}


async def test_outputs_are_read_over_the_schema_of_their_prompt() -> None:
    """Even by a replica that did not build it: the prompt says whose it is."""
    built = await house().build(question("How many hours were worked?", policy="restricted"), make_context())
    assert isinstance(built, Prompt)
    (refused,) = await house().interpret(built, ("hourly_rate of labor",))
    assert isinstance(refused, CannotAnswer)


async def test_pairs_that_name_others_values_propose_nothing(core: PromptBuilderCore) -> None:
    text = "What did the Granite Hotel cost?"
    assert await core.propose(question(text, "2"), make_context()) is not None
    assert await core.propose(question(text, "1"), make_context()) is None


def test_examples_fit_only_with_values_that_are_known() -> None:
    one = named(SAMPLE_SCHEMA, OWN["1"])
    assert [e.id for e in fitting_examples(EXAMPLES, one, with_values=True)] == ["1", "2", "3"]
    assert [e.id for e in fitting_examples(EXAMPLES, one)] == ["0", "1", "2", "3"]
    restricted = visible_schema(one, POLICIES.rights("restricted", one))
    assert [e.id for e in fitting_examples(EXAMPLES, restricted, with_values=True)] == ["1", "2"]
