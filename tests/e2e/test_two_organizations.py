"""An instance that asks for API keys, and two organizations that never see each other."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import asyncpg
import httpx
import pytest

from tests.cli_support import Operator, fresh_operator

pytestmark = pytest.mark.e2e

EVAL = Path(__file__).parents[1] / "data" / "eval"
NAMES = (
    "SELECT o.id::text AS owner, o.name FROM organizations o UNION ALL "
    "SELECT organization_id::text, name FROM projects UNION ALL "
    "SELECT organization_id::text, name FROM vendors"
)
FOREIGN = {"1": "Granite Hotel", "2": "Downtown Office Tower"}


class Keyed(NamedTuple):
    """The running instance and a key for each organization; ``shared`` is a key of both."""

    operator: Operator
    keys: dict[str, str]
    shared: str

    def client(self, key: str) -> httpx.Client:
        return httpx.Client(
            base_url=self.operator.url, headers={"authorization": f"Bearer {key}"}, timeout=60.0
        )


def made(operator: Operator, *arguments: str) -> str:
    done = operator.run("keys", "create", *arguments, "--rate-per-minute", "100000")
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture(scope="module")
def keyed() -> Iterator[Keyed]:
    with fresh_operator() as operator:
        operator.environment["PLUMBLINE_AUTH_MODE"] = "api_keys"
        keys = {o: made(operator, f"user-of-{o}", "--organization", o) for o in ("1", "2")}
        shared = made(operator, "user-of-1", "--organization", "1", "--organization", "2")
        started = operator.run("up", "--detach")
        assert started.returncode == 0, started.stderr
        yield Keyed(operator, keys, shared)


@pytest.fixture(scope="module")
def names(keyed: Keyed) -> dict[str, set[str]]:
    """The names that belong to each organization alone."""
    dsn = keyed.operator.run("database-url").stdout.strip()

    async def read() -> list[asyncpg.Record]:
        connection = await asyncpg.connect(dsn)
        try:
            return list(await connection.fetch(NAMES))
        finally:
            await connection.close()

    owned: dict[str, set[str]] = {"1": set(), "2": set()}
    for row in asyncio.run(read()):
        owned[row["owner"]].add(row["name"])
    return {"1": owned["1"] - owned["2"], "2": owned["2"] - owned["1"]}


def other(organization: str) -> str:
    return "2" if organization == "1" else "1"


def turns() -> list[dict[str, Any]]:
    return [json.loads(line) for line in (EVAL / "single.jsonl").read_text().splitlines()]


def test_nobody_is_answered_without_a_key(keyed: Keyed) -> None:
    body = {"query": "How many projects are there?", "user_id": "user-of-1"}
    for headers in ({}, {"authorization": "Bearer plk_000000000000_" + "A" * 43}):
        refused = httpx.post(f"{keyed.operator.url}/api/chat", json=body, headers=headers)
        assert (refused.status_code, refused.json()["error"]["type"]) == (401, "permission_denied")
        assert "www-authenticate" in refused.headers
    assert httpx.get(f"{keyed.operator.url}/ready").status_code == 200


@pytest.mark.parametrize("organization", ["1", "2"])
def test_no_accepted_statement_shows_what_the_other_organization_has(
    keyed: Keyed, names: dict[str, set[str]], organization: str
) -> None:
    """Every development question's own statement, run through the API."""
    foreign = names[other(organization)]
    accepted = 0
    with keyed.client(keyed.keys[organization]) as http:
        for gold in dict.fromkeys(turn["gold"][0] for turn in turns()):
            answered = http.post("/api/sql/run", json={"sql": gold})
            told = answered.json()
            accepted += told["success"]
            cells = {str(v) for row in (told["data"] or {"rows": []})["rows"] for v in row.values()}
            assert not cells & foreign, gold
        everything = http.post("/api/sql/run", json={"sql": "SELECT name FROM projects"}).json()
    assert accepted > 80
    assert {row["name"] for row in everything["data"]["rows"]} < names[organization]
    assert everything["data"]["row_count"] == 12


@pytest.mark.parametrize("organization", ["1", "2"])
def test_no_answer_shows_what_the_other_organization_has(
    keyed: Keyed, names: dict[str, set[str]], organization: str
) -> None:
    """Questions about everything and about the other's own projects: rows, sentences, questions back."""
    foreign = names[other(organization)]
    asked = [turn["question"] for turn in turns()[::4]]
    about_others = [
        f"How much was spent on the {FOREIGN[organization]}?",
        f"budget of {FOREIGN[organization]}",
    ]
    with keyed.client(keyed.keys[organization]) as http:
        for question in [*asked, *about_others]:
            told = http.post("/api/chat", json={"query": question}).json()
            text = json.dumps([told["data"], told["answer"], told["clarification"], told["metadata"]])
            leaked = {name for name in foreign if name in text and name.lower() not in question.lower()}
            assert not leaked, question
        schema = json.dumps(http.get("/api/schema").json())
    assert not {name for name in foreign if name in schema}
    assert len([name for name in names[organization] if name in schema]) == len(names[organization])


def test_nobody_reads_or_continues_anothers_conversation(keyed: Keyed) -> None:
    with keyed.client(keyed.keys["1"]) as one, keyed.client(keyed.keys["2"]) as two:
        begun = one.post("/api/chat", json={"query": "How much was spent in 2025?"}).json()
        conversation = begun["conversation_id"]
        stolen = {"conversation_id": conversation, "user_id": "user-of-1"}
        for path, body in (
            ("/api/chat", {"query": "and in 2024?"}),
            ("/api/chat/clear", {}),
            ("/api/feedback", {"verdict": "up"}),
        ):
            refused = two.post(path, json={**body, **stolen})
            assert (refused.status_code, refused.json()["error"]["type"]) == (404, "conversation_not_found")
        assert one.post("/api/chat", json={"query": "and in 2024?", "conversation_id": conversation}).json()[
            "success"
        ]
    # The same user under another organization is another owner.
    with keyed.client(keyed.shared) as shared:
        body = {"query": "and in 2023?", "conversation_id": conversation, "organization_id": "2"}
        assert shared.post("/api/chat", json=body).status_code == 404
        unnamed = shared.post("/api/chat", json={"query": "How many projects are there?"})
        assert unnamed.status_code == 400


def test_an_organization_of_others_is_refused(keyed: Keyed) -> None:
    with keyed.client(keyed.keys["1"]) as http:
        for path, body in (
            ("/api/chat", {"query": "How many projects are there?"}),
            ("/chat", {"message": "How many projects are there?"}),
            ("/api/chat/stream", {"query": "How many projects are there?"}),
            ("/api/sql/run", {"sql": "SELECT 1 AS n"}),
        ):
            refused = http.post(path, json={**body, "organization_id": "2"})
            assert (refused.status_code, refused.json()["error"]["type"]) == (403, "permission_denied")


def test_the_command_line_brings_its_key_and_every_event_is_in_the_audit_log(keyed: Keyed) -> None:
    asked = keyed.operator.run(
        "ask", "--json", "How many projects are there?", PLUMBLINE_API_KEY=keyed.keys["2"]
    )
    assert asked.returncode == 0, asked.stdout
    request_id = json.loads(asked.stdout)["metadata"]["request_id"]
    tail = keyed.operator.run("audit", "tail", "--json", "-n", "10000").stdout
    lines = [json.loads(line) for line in tail.splitlines()]
    (line,) = [line for line in lines if line.get("request_id") == request_id]
    assert (line["event"], line["user_id"], line["organization_id"]) == ("question", "user-of-2", "2")
    assert line["verdict"] == "accepted"
    assert keyed.keys["2"].split("_", 2)[2] not in tail
    assert {"opened", "key created", "question", "sql", "denied"} <= {line["event"] for line in lines}
    assert keyed.operator.run("audit", "verify").returncode == 0


def test_a_revoked_key_is_refused_while_the_server_runs(keyed: Keyed) -> None:
    key = made(keyed.operator, "leaver", "--organization", "1")
    with keyed.client(key) as http:
        assert http.get("/api/schema").status_code == 200
        assert keyed.operator.run("keys", "revoke", key.split("_")[1]).returncode == 0
        # Within a second; the command alone takes about as long.
        asyncio.run(asyncio.sleep(1.0))
        assert http.get("/api/schema").status_code == 401


def test_without_credentials_no_other_machine_is_served(keyed: Keyed) -> None:
    refused = keyed.operator.run("up", "--detach", PLUMBLINE_HOST="0.0.0.0", PLUMBLINE_AUTH_MODE="none")
    assert refused.returncode == 2
    assert "PLUMBLINE_AUTH_MODE" in refused.stderr
