"""The load: people who ask, follow up, hang up and ask again, and programs that send statements."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Final

from tests.performance.load_with_faults.client import Client
from tests.performance.load_with_faults.expected import Expected, same_data
from tests.performance.load_with_faults.judge import HUNG_UP, Seen
from tests.performance.load_with_faults.ledger import Conversation, Ledger
from tests.performance.load_with_faults.record import Record
from tests.performance.load_with_faults.rude import (
    malformed,
    one_byte_a_second,
    oversized,
    unknown_conversation,
    vanish,
    wrong_address,
)

ANSWERED: Final = frozenset({"answer"})
# Statements too large for a body, or for the validator, are refused before they are parsed.
REJECTED: Final = frozenset({"validation_failed", "invalid_request"})
# Statements that nothing but the limits ends, that on rows among them.
ENDED: Final = frozenset({"answer", "execution_timeout", "execution_failed"})
OK: Final = frozenset({"ok"})
# A refused turn is asked again so often, after as long as the server says but no longer than this.
MOST_TRIES, LONGEST_WAIT_S = 4, 5.0
LONGEST_PAUSE_S = 0.5
# More than are admitted and may wait (8 and 32).
BURST_SIZE = 60
BURST_EVERY_S = (40.0, 70.0)


@dataclass(frozen=True)
class Material:
    """What is asked. Everything but ``attacks`` and ``heavy`` was answered without load."""

    singles: Sequence[Expected]
    conversations: Sequence[Sequence[Expected]]
    statements: Mapping[str, Mapping[str, Any]]
    attacks: Sequence[str]
    heavy: Sequence[str]


class Visitor:
    """One client and what it does, drawn from its own random numbers."""

    def __init__(self, client: Client, url: str, material: Material, ledger: Ledger, rng: Random) -> None:
        self._client = client
        self._url = url
        self._material = material
        self._ledger = ledger
        self._rng = rng
        self._record: Record = client.record

    async def visit(self, stop: asyncio.Event) -> None:
        """One thing after the other, with pauses, until told to stop."""
        doings, weights = zip(*self._doings().items(), strict=True)
        while not stop.is_set():
            (doing,) = self._rng.choices(doings, weights)
            await doing()
            await self._pause()

    def _doings(self) -> dict[Callable[[], Awaitable[None]], int]:
        """What a visitor does, and how often."""
        return {
            self.question: 20,
            self.former_question: 3,
            self.conversation: 12,
            self.statement: 10,
            self.verdict: 6,
            self.attack: 10,
            self.heavy_statement: 1,
            self.praise: 4,
            self.forget: 3,
            self.look_around: 10,
        }

    async def question(self) -> None:
        """A question on its own, its answer whole or as a stream."""
        await self._first_turn(self._rng.choice(self._material.singles), self._rng.random() < 0.4)

    async def former_question(self) -> None:
        """As a client of the former API asks."""
        expected = self._rng.choice(self._material.singles)
        conversation = self._ledger.begin("anonymous")
        seen = await self._client.send(
            "former question", "chat", ANSWERED, path="/chat", body={"message": expected.question}
        )
        self._settle(seen, conversation, expected, 0)

    async def conversation(self) -> None:
        """Turn after turn; a turn that got no answer is asked again, or passed over if the client left it.

        An answer is compared where it was given after just the turns before it, which its context_length
        tells; afterwards nobody knows what it should be.
        """
        turns = self._rng.choice(self._material.conversations)
        conversation = self._ledger.begin(self._client.name)
        place = tries = 0
        while place < len(turns) and tries < MOST_TRIES:
            seen = await self._ask(turns[place], conversation, self._rng.random() < 0.5, hangs_up=True)
            body = self._settle(seen, conversation, turns[place], place)
            if body is not None:
                if body["metadata"]["context_length"] != place:
                    return
                place, tries = place + 1, 0
            elif conversation.id is None:
                conversation, tries = self._ledger.begin(self._client.name), tries + 1
            elif seen.left and self._rng.random() < 0.5:
                place += 1
            else:
                tries += 1
                await self._wait_as_told(seen)

    async def statement(self) -> None:
        """A person's own statement, run."""
        sql = self._rng.choice(list(self._material.statements))
        seen = await self._client.post("sql_run", "statement", ANSWERED, sql=sql)
        self._compare_statement(seen, sql)

    async def verdict(self) -> None:
        """The validator's word on a statement: a good one or an attack."""
        is_attack = self._rng.random() < 0.5
        pool = self._material.attacks if is_attack else list(self._material.statements)
        sql = self._rng.choice(pool)
        expected = OK | {"invalid_request"} if is_attack else OK
        seen = await self._client.post("sql_validate", "verdict", expected, sql=sql)
        body = seen.body()
        if body is not None and "accepted" in body and body["accepted"] is is_attack:
            self._wrong("verdict", seen, sql)

    async def attack(self) -> None:
        sql = self._rng.choice(self._material.attacks)
        seen = await self._client.post("sql_run", "attack", REJECTED, sql=sql)
        if seen.status == 200:
            self._wrong("attack", seen, sql)

    async def heavy_statement(self) -> None:
        """A harmless read that the limits end, unless it gets done before."""
        if self._material.heavy:
            sql = self._rng.choice(self._material.heavy)
            await self._client.post("sql_run", "heavy statement", ENDED, sql=sql)

    async def praise(self) -> None:
        """A question, and a word on its answer."""
        conversation = await self._first_turn(self._rng.choice(self._material.singles), False)
        if conversation.kept:
            await self._client.post(
                "feedback",
                "feedback",
                OK,
                conversation_id=conversation.id,
                exchange=conversation.kept[0].position,
                verdict=self._rng.choice(("up", "down")),
            )

    async def forget(self) -> None:
        """A question, and the conversation cleared."""
        conversation = await self._first_turn(self._rng.choice(self._material.singles), False)
        if conversation.kept:
            seen = await self._client.post("clear", "clear", OK, conversation_id=conversation.id)
            conversation.cleared = True if seen.status == 200 else None

    async def look_around(self) -> None:
        call = self._rng.choice(("health", "ready", "metrics", "schema"))
        await self._client.get(call, call, OK)

    async def burst(self) -> None:
        """More questions at once than are admitted."""
        with self._record.burst():
            chosen = self._rng.choices(self._material.singles, k=BURST_SIZE)
            await asyncio.gather(*(self._first_turn(expected, False, "burst") for expected in chosen))

    async def visit_in_bursts(self, stop: asyncio.Event) -> None:
        while not await _stopped(stop, self._rng.uniform(*BURST_EVERY_S)):
            await self.burst()

    async def be_rude(self, stop: asyncio.Event) -> None:
        """Whatever a client should not do, one thing at a time."""
        while not stop.is_set():
            match self._rng.randrange(6):
                case 0:
                    await malformed(self._client, self._rng)
                case 1:
                    await oversized(self._client, self._rng)
                case 2:
                    await wrong_address(self._client, self._rng)
                case 3:
                    await unknown_conversation(self._client, self._rng)
                case 4:
                    await one_byte_a_second(self._client, self._url, self._rng)
                case _:
                    await vanish(self._client, self._url, self._ledger, self._rng)
            await self._pause()

    async def _pause(self) -> None:
        """Longer where nothing listens."""
        shortest_s = LONGEST_PAUSE_S if self._client.is_cut_off else 0.0
        await asyncio.sleep(shortest_s + self._rng.uniform(0.0, LONGEST_PAUSE_S))

    async def _first_turn(self, expected: Expected, streamed: bool, kind: str = "question") -> Conversation:
        conversation = self._ledger.begin(self._client.name)
        seen = await self._ask(expected, conversation, streamed, kind=kind)
        self._settle(seen, conversation, expected, 0)
        return conversation

    async def _ask(
        self,
        expected: Expected,
        conversation: Conversation,
        streamed: bool,
        hangs_up: bool = False,
        kind: str | None = None,
    ) -> Seen:
        kind = kind or ("turn" if hangs_up else "question")
        body = {"query": expected.question, "conversation_id": conversation.id}
        if not streamed:
            return await self._client.post("chat", kind, ANSWERED, **body)
        # An answer's stream has some forty lines.
        last_line = self._rng.randrange(1, 40) if hangs_up and self._rng.random() < 0.3 else None
        return await self._client.stream(
            f"{kind} as stream",
            ANSWERED | {HUNG_UP},
            lambda lines: last_line is not None and lines >= last_line,
            **body,
        )

    def _settle(
        self, seen: Seen, conversation: Conversation, expected: Expected, place: int
    ) -> dict[str, Any] | None:
        """Enter a turn into the ledger and compare its answer; gives the body of a success."""
        body = None if seen.left or seen.broken is not None else seen.body()
        if body is None or body.get("success") is not True:
            self._ledger.uncertain(conversation, expected.question)
            return None
        self._ledger.delivered(conversation, expected.question, body)
        if body["metadata"]["context_length"] != place:
            self._record.not_comparable += 1
        else:
            self._compare(seen, expected, body)
        return body

    def _compare(self, seen: Seen, expected: Expected, body: dict[str, Any]) -> None:
        self._record.compared += 1
        if body["data"] is None:
            self._wrong("answer", seen, expected.question)
        elif not expected.is_same(body):
            if expected.is_right_otherwise(body):
                self._record.other_forms += 1
            else:
                self._wrong("answer", seen, expected.question)

    def _compare_statement(self, seen: Seen, sql: str) -> None:
        if seen.status != 200 or (body := seen.body()) is None:
            return
        self._record.compared += 1
        if not same_data(self._material.statements[sql], body["data"], ordered=False):
            self._wrong("statement", seen, sql)

    def _wrong(self, kind: str, seen: Seen, asked: str) -> None:
        body = seen.body() or {}
        told = {name: body.get(name) for name in ("sql", "answer", "clarification", "data")}
        evidence = self._record.evidence(kind, seen)
        self._record.wrong.append(evidence | {"asked": asked[:500], "told": str(told)[:1500]})

    async def _wait_as_told(self, seen: Seen) -> None:
        told = seen.headers.get("retry-after", "1")
        await asyncio.sleep(min(float(told), LONGEST_WAIT_S))


async def _stopped(stop: asyncio.Event, within_s: float) -> bool:
    try:
        async with asyncio.timeout(within_s):
            return await stop.wait()
    except TimeoutError:
        return False
