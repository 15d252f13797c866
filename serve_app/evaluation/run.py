"""Asks every question of an evaluation file and scores what comes back."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from serve_app.confidence import Features
from serve_app.evaluation.client import Reply
from serve_app.evaluation.differences import difference
from serve_app.evaluation.golds import Comparison
from serve_app.evaluation.items import (
    ClarifyItem,
    ConversationItem,
    EvalModel,
    Item,
    ItemKind,
    SingleItem,
    Turn,
    UnanswerableItem,
)

Progress = Callable[[], None]

# Errors of the API under the names of what a failure is counted as; others keep their own.
ERROR_CLASSES: Final = {
    "validation_failed": "validation_refused",
    "execution_failed": "execution_error",
    "execution_timeout": "execution_error",
}


class Asks(Protocol):
    """What questions are put to."""

    async def ask(self, question: str, conversation_id: str | None = None) -> Reply: ...


class Compares(Protocol):
    """What tells whether an answer has the rows of a gold statement."""

    async def compare(self, answer_sql: str, golds: Sequence[str], ordered: bool) -> Comparison: ...


class Scored(EvalModel):
    """One question and its verdict. First turns of conversations are asked but do not count.

    ``failure`` is the class of what went wrong (README, "How good it is"). ``engine`` and ``model`` say who
    answered, ``latency_ms`` is from question to rows.
    """

    id: str
    kind: ItemKind
    question: str
    right: bool
    counts: bool = True
    failure: str | None = None
    detail: str = ""
    sql: str | None = None
    tags: tuple[str, ...] = ()
    difficulty: str | None = None
    answered: bool = False
    engine: str | None = None
    model: str | None = None
    confidence: float | None = None
    features: Features | None = None
    latency_ms: float


async def evaluate(
    items: Sequence[Item],
    endpoint: Asks,
    database: Compares,
    concurrency: int = 1,
    progress: Progress = lambda: None,
) -> tuple[Scored, ...]:
    """Score all items, in their order, at most ``concurrency`` at a time.

    Raises:
        GoldError: a gold statement does not run.
    """
    slots = asyncio.Semaphore(concurrency)

    async def one(item: Item) -> list[Scored]:
        async with slots:
            scored = await _score(item, endpoint, database)
            progress()
            return scored

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(item)) for item in items]
    except* Exception as failed:
        raise failed.exceptions[0] from None
    return tuple(scored for task in tasks for scored in task.result())


async def _score(item: Item, endpoint: Asks, database: Compares) -> list[Scored]:
    match item:
        case ConversationItem():
            return await _conversation(item, endpoint, database)
        case ClarifyItem():
            return [_clarify(item, await endpoint.ask(item.question))]
        case UnanswerableItem():
            return [_unanswerable(item, await endpoint.ask(item.question))]
        case SingleItem():
            return [await _turn(item, item.id, item, await endpoint.ask(item.question), database)]


async def _conversation(item: ConversationItem, endpoint: Asks, database: Compares) -> list[Scored]:
    scored: list[Scored] = []
    conversation_id: str | None = None
    for number, turn in enumerate(item.turns, start=1):
        reply = await endpoint.ask(turn.question, conversation_id)
        conversation_id = conversation_id or reply.conversation_id
        result = await _turn(item, f"{item.id}/{number}", turn, reply, database)
        scored.append(result.model_copy(update={"counts": number > 1}))
    return scored


async def _turn(
    item: SingleItem | ConversationItem, name: str, turn: Turn, reply: Reply, database: Compares
) -> Scored:
    failure, detail = _unanswered(reply)
    if failure is None:
        comparison = await database.compare(reply.sql or "", turn.gold, turn.ordered)
        detail = comparison.detail
        if not comparison.equal:
            wrong = comparison.runnable
            failure = difference(reply.sql or "", turn.gold) if wrong else "execution_error"
    kind: ItemKind = "conversation" if isinstance(item, ConversationItem) else "single"
    return _scored(item, reply, failure, detail, id=name, kind=kind, question=turn.question)


def _unanswered(reply: Reply) -> tuple[str | None, str]:
    """The failure class of a reply without rows, or None for an answer."""
    if reply.kind == "answer":
        return (None, "") if reply.sql else ("no_sql", "rows without the statement behind them")
    classes = {"clarification": "clarified", "refusal": "refused"}
    error = reply.error_type or "error"
    return classes.get(reply.kind) or ERROR_CLASSES.get(error, error), reply.text or ""


def _clarify(item: ClarifyItem, reply: Reply) -> Scored:
    asked = reply.kind == "clarification"
    failure: str | None = None
    if reply.error_type == "unreachable":
        failure = "unreachable"
    elif asked != item.ambiguous:
        failure = "not_clarified" if item.ambiguous else "needlessly_clarified"
    scored = _scored(
        item, reply, failure, reply.text or "", id=item.id, kind="clarify", question=item.question
    )
    return scored.model_copy(update={"tags": (item.kind, *item.tags)})


def _unanswerable(item: UnanswerableItem, reply: Reply) -> Scored:
    """Right when refused; a question back commits to nothing but is no refusal: it is a class of its own."""
    failure, detail = ("answered", "") if reply.kind == "answer" else _unanswered(reply)
    failure = None if failure == "refused" else failure
    return _scored(item, reply, failure, detail, id=item.id, kind="unanswerable", question=item.question)


def _scored(
    item: Item, reply: Reply, failure: str | None, detail: str, *, id: str, kind: ItemKind, question: str
) -> Scored:
    return Scored(
        id=id,
        kind=kind,
        question=question,
        right=failure is None,
        failure=failure,
        detail=detail,
        sql=reply.sql,
        tags=item.tags,
        difficulty=item.difficulty,
        answered=reply.kind == "answer",
        engine=reply.engine,
        model=reply.model,
        confidence=reply.confidence,
        features=reply.features,
        latency_ms=reply.latency_ms,
    )
