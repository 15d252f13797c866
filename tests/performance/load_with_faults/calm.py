"""The pass without load: what is asked later, and what the answers are."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any, Final

from pydantic import ValidationError

from serve_app.api_models import SqlRequest
from serve_app.evaluation.items import ConversationItem, SingleItem, Turn, load_items
from tests.limited_runs import DOS_CATEGORIES, rejected_by
from tests.performance.load_with_faults.client import Client
from tests.performance.load_with_faults.expected import Expected, same_data, with_golds
from tests.performance.load_with_faults.ledger import Ledger
from tests.performance.load_with_faults.traffic import Material
from tests.sql_cases import attack_items

QUESTIONS: Final = Path(__file__).parents[2] / "data" / "eval"
KIND = "calm question"
ANY = frozenset({"answer", "clarification", "refusal", "validation_failed", "execution_failed"})


@dataclass(frozen=True)
class Choice:
    """What is asked of the files; None: everything."""

    questions: int | None = None

    def of(self, found: Sequence[Any], rng: Random) -> Sequence[Any]:
        few = self.questions is not None and self.questions < len(found)
        return rng.sample(list(found), self.questions or 0) if few else found


async def ask_calmly(
    client: Client, ledger: Ledger, dsn: str, choice: Choice, rng: Random, told: Callable[[str], None]
) -> tuple[Material, dict[str, int]]:
    """Ask everything once, one after the other; what is kept, and how many there were.

    Kept are questions whose delivered rows are a gold statement's, all of them, and the first turns of
    conversations up to one that is not; of statements, those that give the same rows twice.
    """
    items = choice.of([i for i in load_items(QUESTIONS / "single.jsonl") if isinstance(i, SingleItem)], rng)
    talks = choice.of(
        [i for i in load_items(QUESTIONS / "conversations.jsonl") if isinstance(i, ConversationItem)], rng
    )
    told(f"calm: {len(items)} questions, {len(talks)} conversations")
    singles = [kept for item in items for kept in await _talk(client, ledger, [item], dsn)]
    conversations = [await _talk(client, ledger, talk.turns, dsn) for talk in talks]
    statements = choice.of([i["sql"] for i in attack_items("must_accept") if i["policy"] == "default"], rng)
    told(f"calm: {len(statements)} statements")
    steady = await _steady(client, statements)
    attacks, heavy = await asyncio.to_thread(_attacks)
    turns = sum(len(talk.turns) for talk in talks)
    figures = {
        "questions": len(items),
        "questions_kept": len(singles),
        "turns": turns,
        "turns_kept": sum(map(len, conversations)),
        "statements": len(statements),
        "statements_kept": len(steady),
        "attacks": len(attacks),
        "statements_for_the_limits": len(heavy),
    }
    return Material(singles, [talk for talk in conversations if talk], steady, attacks, heavy), figures


async def _talk(client: Client, ledger: Ledger, turns: Sequence[Turn], dsn: str) -> list[Expected]:
    """The turns that were answered rightly, up to the first that was not."""
    kept: list[Expected] = []
    conversation = ledger.begin(client.name)
    for expected in await with_golds(turns, dsn):
        seen = await client.post("chat", KIND, ANY, query=expected.question, conversation_id=conversation.id)
        body = seen.body()
        if body is None or not body["success"]:
            ledger.uncertain(conversation, expected.question)
            break
        ledger.delivered(conversation, expected.question, body)
        # What is cut off differs from time to time.
        if body["data"] is None or body["data"]["truncated"] or not expected.is_right(body):
            break
        kept.append(replace(expected, sql=body["sql"], data=body["data"]))
    return kept


async def _steady(client: Client, statements: Sequence[str]) -> dict[str, Mapping[str, Any]]:
    """Rows by statement."""
    found: dict[str, Mapping[str, Any]] = {}
    for sql in statements:
        first, second = [await client.post("sql_run", "calm statement", ANY, sql=sql) for _ in range(2)]
        bodies = [seen.body() for seen in (first, second) if seen.status == 200]
        if len(bodies) != 2 or any(body is None or body["data"]["truncated"] for body in bodies):
            continue
        one, other = (body["data"] for body in bodies if body is not None)
        if same_data(one, other, ordered=False):
            found[sql] = one
    return found


def _attacks() -> tuple[list[str], list[str]]:
    """Statements that the validator must reject, and those that it leaves to the limits.

    As the API reads them: blanks at the ends and control characters alone, which it takes away, harm nobody.
    """
    attacks, heavy = [], []
    for item in attack_items("must_reject"):
        if item["policy"] != "default":
            continue
        if rejected_by(item | {"sql": _as_read(item["sql"])}) is not None:
            attacks.append(item["sql"])
        elif item["category"] in DOS_CATEGORIES and rejected_by(item) is None:
            heavy.append(item["sql"])
    return attacks, heavy


def _as_read(sql: str) -> str:
    try:
        return SqlRequest(sql=sql).sql
    except ValidationError:
        return sql
