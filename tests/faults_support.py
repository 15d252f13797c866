"""Parts of a running graph as processes to kill or freeze, and questions that are followed as they go."""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any, NamedTuple

import asyncpg
import httpx
import psutil

from serve_app.contracts import GenerationRequest, SamplingParams
from serve_app.handles import GeneratorHandle
from tests.serve_support import Graph

# Guards against a hang. A lost replica is back within 10 s on an idle machine, a frozen one within 20 s.
RECOVERY_S = 180.0
APP = "plumbline"
ASK = {"query": "How much was spent on permits?", "user_id": "ann"}
# A verified example answers it without the model, so that it gets as far as rows.
VERIFIED = {"query": "What was charged to our books in May 2026?", "user_id": "ann"}
COUNT = {"sql": "SELECT count(*) AS n FROM projects"}
# Hundreds of millions of pairs: runs until its time limit, or until somebody ends it.
ENDLESS = {"sql": "SELECT count(*) FROM labor a CROSS JOIN labor b WHERE a.hours * b.hours > 1000"}
# Some seconds of work, and then an answer.
SLOW = {
    "sql": "SELECT count(*) AS n FROM labor a CROSS JOIN projects b CROSS JOIN vendors c WHERE a.hours > b.id"
}
DOCUMENTED = {
    "overloaded": {503},
    "model_unavailable": {503},
    "execution_failed": {503},
    "generation_failed": {502},
    "generation_timeout": {504},
    "execution_timeout": {504},
}


async def until(condition: Callable[[], Awaitable[bool]], limit_s: float = RECOVERY_S) -> None:
    async with asyncio.timeout(limit_s):
        while not await condition():  # noqa: ASYNC110 - the condition lies in other processes
            await asyncio.sleep(0.05)


def process_of(title: str) -> psutil.Process:
    """The one process of Ray that this test run started and that has this title."""
    (found,) = processes_of(title)
    return found


def processes_of(title: str) -> list[psutil.Process]:
    return [p for p in psutil.Process(os.getpid()).children(recursive=True) if _title(p) == f"ray::{title}"]


def _title(process: psutil.Process) -> str:
    try:
        # While a method runs, its name follows a dot.
        return " ".join(process.cmdline()).strip().partition(".")[0]
    except psutil.Error:
        return ""


def replica_of(deployment: str) -> psutil.Process:
    return process_of(f"ServeReplica:{APP}:{deployment}")


@contextmanager
def frozen(*processes: psutil.Process) -> Iterator[None]:
    """Stopped, so that whatever is called there does not return, until the end if they live to see it."""
    for process in processes:
        process.suspend()
    try:
        yield
    finally:
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.resume()


async def is_ready(http: httpx.AsyncClient) -> bool:
    try:
        return (await http.get("/ready")).status_code == 200
    except httpx.HTTPError:
        return False


async def until_ready(http: httpx.AsyncClient) -> None:
    await until(lambda: is_ready(http))


async def until_replaced(http: httpx.AsyncClient, *lost: psutil.Process) -> None:
    """The processes are gone, and the graph serves without anybody's help."""

    async def are_gone() -> bool:
        return not any(process.is_running() for process in lost)

    await until(are_gone)
    await until_ready(http)


def outcome(status: int, body: dict[str, Any]) -> str:
    """``answered``, or the type of a documented error in the documented shape; anything else fails."""
    if body["success"]:
        assert status == 200
        return "answered"
    kind: str = body["error"]["type"]
    assert status in DOCUMENTED[kind], body
    assert body["error"]["message"]
    assert "Traceback" not in json.dumps(body)
    return kind


class Stopwatch:
    """Since it was made, on the clock of the loop."""

    def __init__(self) -> None:
        self._began = asyncio.get_running_loop().time()

    def seconds(self) -> float:
        return asyncio.get_running_loop().time() - self._began


async def asked(http: httpx.AsyncClient, path: str, body: dict[str, Any]) -> str:
    response = await http.post(path, json=body)
    return outcome(response.status_code, response.json())


class Conversation:
    """Asks in one conversation, and knows how many of its questions were answered."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http
        self._id: str | None = None
        self.answered = 0

    def body(self, question: dict[str, str]) -> dict[str, Any]:
        return {**question, "conversation_id": self._id} if self._id else {**question}

    async def ask(self, question: dict[str, str] = VERIFIED) -> dict[str, Any]:
        response = await self._http.post("/api/chat", json=self.body(question))
        body: dict[str, Any] = response.json()
        self.note(outcome(response.status_code, body), body)
        return body

    def note(self, kind: str, body: dict[str, Any]) -> None:
        if kind == "answered":
            self._id = body["conversation_id"]
            # A warning says that the exchange could not be saved.
            self.answered += not body["metadata"]["warnings"]

    async def has_lost_nothing(self) -> None:
        """Every answered turn is there once; the question that looks is answered itself."""
        before = self.answered
        body = await self.ask()
        assert body["success"], body
        assert body["metadata"]["context_length"] == before


class Followed:
    """A question over the stream, its events one by one."""

    def __init__(self, events: AsyncIterator[tuple[str, dict[str, Any]]]) -> None:
        self._events = events
        self.last: tuple[str, dict[str, Any]] = ("", {})

    async def until_stage(self, stage: str) -> None:
        async for name, body in self._events:
            if name == "stage" and body["stage"] == stage:
                return
        raise AssertionError(f"the stage {stage} did not begin")

    async def end(self) -> str:
        async for event in self._events:
            self.last = event
        name, body = self.last
        assert name in ("done", "error")
        kind = outcome(200 if body["success"] else _status_of(body), body)
        assert (name == "done") == (kind == "answered")
        return kind


def _status_of(body: dict[str, Any]) -> int:
    """A stream that has begun has no status of its own any more."""
    return min(DOCUMENTED[body["error"]["type"]])


@asynccontextmanager
async def following(http: httpx.AsyncClient, body: dict[str, Any]) -> AsyncIterator[Followed]:
    async with http.stream("POST", "/api/chat/stream", json=body) as response:
        assert response.status_code == 200
        yield Followed(_events(response))


async def _events(response: httpx.Response) -> AsyncIterator[tuple[str, dict[str, Any]]]:
    name = ""
    async for line in response.aiter_lines():
        if line.startswith("event: "):
            name = line.removeprefix("event: ")
        elif line.startswith("data: "):
            yield name, json.loads(line.removeprefix("data: "))


class Load(NamedTuple):
    """Questions that the ingress works on and that wait."""

    active: int
    waiting: int


async def load(http: httpx.AsyncClient) -> Load:
    return Load(**(await http.get("/api/metrics")).json()["questions"])


async def running_statements(graph: Graph) -> int:
    """Joins at work in the database."""
    connection = await asyncpg.connect(graph.database.admin_dsn)
    try:
        found = await connection.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%CROSS JOIN%' "
            "AND pid <> pg_backend_pid()"
        )
    finally:
        await connection.close()
    return int(found)


async def until_statements(graph: Graph, wanted: Callable[[int], bool]) -> None:
    async def is_so() -> bool:
        return wanted(await running_statements(graph))

    await until(is_so)


def generator() -> GeneratorHandle:
    """The Generator as the ingress calls it."""
    from ray import serve

    return GeneratorHandle(serve.get_deployment_handle("Generator", APP), 20.0)


def long_request(request_id: str, tokens: int) -> GenerationRequest:
    params = SamplingParams(max_new_tokens=tokens, temperature=0.0)
    return GenerationRequest(request_id=request_id, text="some text", params=params, timeout_s=60.0)


async def active_sequences() -> int:
    return int((await generator().health()).figures["active_sequences"] or 0)
