"""Which turns must be in which conversation, and whether the store has them: once each and in order."""

import sqlite3
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Turn:
    """A turn whose answer was delivered and said to be kept; ``position`` is where."""

    question: str
    sql: str | None
    answer: str | None
    position: int


@dataclass
class Conversation:
    """What its client knows of a conversation. Its id is the first answer's; None before there is one."""

    user: str
    id: str | None = None
    kept: list[Turn] = field(default_factory=list)
    # Asked, but the answer did not arrive or was no success: there or not, once at the most.
    maybe: list[str] = field(default_factory=list)
    # None: the answer to the clearing did not arrive.
    cleared: bool | None = False


@dataclass(frozen=True)
class Stored:
    """A row of the store, in the order of conversation and position."""

    conversation_id: str
    user: str
    position: int
    question: str
    sql: str | None
    answer: str | None


class Ledger:
    """All turns of a run."""

    def __init__(self) -> None:
        self.conversations: list[Conversation] = []
        self.lost: list[str] = []

    def begin(self, user: str) -> Conversation:
        conversation = Conversation(user)
        self.conversations.append(conversation)
        return conversation

    def delivered(self, conversation: Conversation, question: str, body: Mapping[str, Any]) -> None:
        """A success arrived. It must be kept unless the answer itself says that it could not be."""
        metadata = body["metadata"]
        self._compare_length(conversation, question, metadata["context_length"])
        if conversation.id is None:
            conversation.id = body["conversation_id"]
        elif conversation.id != body["conversation_id"]:
            self.lost.append(f"{conversation.id}: {question!r} was answered as {body['conversation_id']}")
        if metadata["exchange"] is None:
            self.uncertain(conversation, question)
            if not any("could not be saved" in warning for warning in metadata["warnings"]):
                self.lost.append(f"{conversation.id}: {question!r} was not kept, and nothing said so")
            return
        text = body["clarification"] or body["answer"]
        conversation.kept.append(Turn(question, body["sql"], text, metadata["exchange"]))

    def uncertain(self, conversation: Conversation, question: str) -> None:
        conversation.maybe.append(question)

    def _compare_length(self, conversation: Conversation, question: str, length: int) -> None:
        fewest = len(conversation.kept)
        most = fewest + len(conversation.maybe)
        if not fewest <= length <= most:
            self.lost.append(f"{conversation.id}: {length} turns before {question!r}, not {fewest} to {most}")

    def problems(self, stored: Sequence[Stored], counts: Mapping[str, int]) -> list[str]:
        """Turns that are lost, doubled or out of order; ``counts``: how many each conversation counts."""
        rows: defaultdict[str, list[Stored]] = defaultdict(list)
        for row in stored:
            rows[row.conversation_id].append(row)
        found = list(self.lost)
        for name, count in counts.items():
            positions = [row.position for row in rows.get(name, [])]
            if positions != list(range(count)):
                found.append(f"{name}: positions {positions} of {count}")
        for conversation in self.conversations:
            if conversation.id is not None:
                found += _compare(conversation, rows.pop(conversation.id, []))
        return found + self._nobodys(rows)

    def _nobodys(self, rows: Mapping[str, Sequence[Stored]]) -> list[str]:
        """Conversations that no client knows: first turns whose answers did not arrive."""
        unheard = Counter(
            (conversation.user, question)
            for conversation in self.conversations
            for question in conversation.maybe
            if conversation.id is None
        )
        found = []
        for name, [first, *more] in rows.items():
            key = (first.user, first.question)
            if more or not unheard[key]:
                found.append(f"{name}: nobody asked {first.question!r}")
            unheard[key] -= 1
        return found


def _compare(conversation: Conversation, rows: Sequence[Stored]) -> list[str]:
    if conversation.cleared:
        return [f"{conversation.id}: {len(rows)} turns after it was cleared"] if rows else []
    if conversation.cleared is None and not rows:
        return []
    found = []
    left = {row.position: row for row in rows}
    positions = [turn.position for turn in conversation.kept]
    if positions != sorted(set(positions)):
        found.append(f"{conversation.id}: kept at positions {positions}")
    for turn in conversation.kept:
        row = left.pop(turn.position, None)
        if row is None:
            found.append(f"{conversation.id}: {turn.question!r} is not in the store")
        elif (row.question, row.sql, row.answer) != (turn.question, turn.sql, turn.answer):
            found.append(f"{conversation.id}: at {turn.position} is {row.question!r}, not {turn.question!r}")
    extra = Counter(row.question for row in left.values()) - Counter(conversation.maybe)
    found += [f"{conversation.id}: {question!r} is there too often" for question in extra]
    return found


def read_store(path: Path) -> tuple[list[Stored], dict[str, int]]:
    """The turns in the SQLite file, and how many each conversation counts."""
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as connection:
        rows = connection.execute(
            "SELECT e.conversation_id, c.user_id, e.position, e.question, e.sql, e.answer FROM exchanges e "
            "JOIN conversations c ON c.id = e.conversation_id ORDER BY e.conversation_id, e.position"
        ).fetchall()
        counts = dict(connection.execute("SELECT id, exchange_count FROM conversations").fetchall())
    connection.close()
    return [Stored(*row) for row in rows], counts
