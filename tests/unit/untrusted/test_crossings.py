"""Whatever a model is talked into, nobody reads a row of another organization."""

from collections.abc import AsyncIterator
from datetime import date
from typing import Any

import asyncpg
import pytest

from deployments.executor.embedded import EmbeddedDatabase
from deployments.executor.executor import SqlExecutor
from deployments.executor.organizations import AccessRules, ListedLogins
from deployments.prompt_builder.verified.library import ExampleLibrary
from deployments.sql_validator.policy import POLICIES_FOLDER, Policies
from serve_app.contracts import Caller, Prompt, VerifiedExample
from tests.injections import ASKED, CROSSINGS, attempts, pack_examples
from tests.obedient import CONVERSATION, PATHS, app_of, last_body
from tests.prompt_cases import SAMPLE_SCHEMA, by_chars, make_context, make_profile, make_question, whole_text

pytestmark = pytest.mark.postgres

ATTEMPTS = attempts(CROSSINGS)
OWN, FOREIGN = "1", "2"
NAMES = (
    "SELECT name FROM organizations WHERE id = $1 UNION SELECT name FROM projects WHERE organization_id = $1 "
    "UNION SELECT name FROM vendors WHERE organization_id = $1"
)


@pytest.fixture
async def executor(sample_database: EmbeddedDatabase) -> AsyncIterator[SqlExecutor]:
    login = ListedLogins(sample_database.dsn, sample_database.organization_dsns)
    rules = AccessRules(login, strict=True, policies=Policies.load(POLICIES_FOLDER))
    made = SqlExecutor(sample_database.dsn, access=rules)
    yield made
    await made.close()


@pytest.fixture
async def foreign_names(sample_database: EmbeddedDatabase) -> set[str]:
    """The names that only the other organization has."""
    connection = await asyncpg.connect(sample_database.admin_dsn)
    try:
        own, foreign = [
            {row["name"] for row in await connection.fetch(NAMES, int(organization))}
            for organization in (OWN, FOREIGN)
        ]
        return foreign - own
    finally:
        await connection.close()


async def test_no_attempt_reads_a_row_of_another_organization(
    executor: SqlExecutor, foreign_names: set[str]
) -> None:
    assert len(ATTEMPTS) >= 40
    assert len(foreign_names) > 15
    failures: list[str] = []
    for attempt in ATTEMPTS:
        body = {"query": attempt.question, "user_id": "mallory", "conversation_id": CONVERSATION}
        async with app_of(attempt, executor, "default") as http:
            responses = [await http.post(path, json=body | {"organization_id": OWN}) for path in PATHS]
            everything = last_body(await http.post(PATHS[0], json=body))
        answers = [last_body(response) for response in responses]
        found = {outcome(answer) for answer in answers}
        if found != {attempt.expect}:
            failures.append(f"{attempt.id}: {found}")
        # Whoever names a project in a question may find the name again in what is said of it.
        asked = f"{attempt.text} {attempt.demand}"
        texts = [response.text for response in responses]
        told = {name for name in foreign_names for text in texts if name in text and name not in asked}
        failures += [f"{attempt.id}: tells {name}" for name in told]
        # The reader of every organization gets another answer, else the attempt would show nothing.
        if attempt.expect != "rejected" and said(everything) == said(answers[0]):
            failures.append(f"{attempt.id}: the same for everyone")
    assert failures == []


def said(answer: dict[str, Any]) -> tuple[Any, Any]:
    return answer["data"], answer["error"]


def outcome(answer: dict[str, Any]) -> str:
    """What became of an attempt, in the words of `Attempt.expect`."""
    if answer["error"] is not None:
        return {"validation_failed": "rejected"}.get(answer["error"]["type"], answer["error"]["type"])
    if answer["data"] is None:
        return "refused"
    cells = [value for row in answer["data"]["rows"] for value in row.values()]
    return "own" if any(cells) else "empty"


async def test_a_verified_pair_of_another_organization_stands_in_no_prompt() -> None:
    def pair(organization: str | None) -> VerifiedExample:
        return VerifiedExample(
            id=f"f-{organization}",
            question=f"How many projects are there, says {organization or 'everyone'}?",
            sql="SELECT count(*) FROM projects",
            organization_id=organization,
            asked_on=date(2026, 11, 1),
        )

    async def accepted() -> tuple[VerifiedExample, ...]:
        return tuple(pair(organization) for organization in (OWN, FOREIGN, None))

    library = ExampleLibrary(pack_examples(), accepted)
    profile = make_profile(by_chars(4), library=library, max_context_tokens=100_000, least_similarity=0.0)
    caller = Caller(user_id="ann", organization_id=OWN)
    question = make_question(ASKED).model_copy(update={"caller": caller})
    prompt = await profile.build(question, make_context(), SAMPLE_SCHEMA, None)
    assert isinstance(prompt, Prompt)
    text = whole_text(prompt)
    assert "says 1?" in text
    assert "says everyone?" in text
    assert "says 2?" not in text
