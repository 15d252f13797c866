"""A server that speaks the OpenAI API on loopback, as well or as badly as a test wants."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

MODEL = "site-model"
Say = Callable[[str], Awaitable[None]]
Script = Callable[[dict[str, Any], Say], Awaitable[None]]
"""Writes a stream: ``say`` sends a piece of the response's body as it is."""


def event(document: Any) -> str:
    return f"data: {document if isinstance(document, str) else json.dumps(document)}\n\n"


def chunk(
    text: str = "", index: int = 0, logprobs: list[float] | None = None, finish: str | None = None
) -> str:
    """A chunk of a chat completion."""
    scored = {"content": [{"token": "t", "logprob": value} for value in logprobs or []]}
    choice = {"index": index, "delta": {"content": text}, "finish_reason": finish}
    return event({"choices": [choice | ({"logprobs": scored} if logprobs else {})]})


def usage(prompt: int, completion: int) -> str:
    return event({"choices": [], "usage": {"prompt_tokens": prompt, "completion_tokens": completion}})


DONE = event("[DONE]")


def saying(*pieces: str) -> Script:
    """The same stream every time."""

    async def script(body: dict[str, Any], say: Say) -> None:
        for piece in pieces:
            await say(piece)

    return script


@dataclass
class FakeEndpoint:
    """Answers with what ``script`` writes, or with ``status`` and ``body``; keeps what it was asked."""

    script: Script = field(default_factory=lambda: saying(chunk("SELECT 1"), chunk(finish="stop"), DONE))
    status: int = 200
    body: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    content_type: str = "text/event-stream"
    models: tuple[str, ...] = (MODEL,)
    tokenize: Callable[[dict[str, Any]], Any] | None = None
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    counted: list[str] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    running: int = 0
    most_running: int = 0
    left: asyncio.Event = field(default_factory=asyncio.Event)
    url: str = ""

    @property
    def bodies(self) -> list[dict[str, Any]]:
        return [body for _, body in self.asked]

    async def generate(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.asked.append((request.path, body))
        self.keys.append(request.headers.get("Authorization"))
        if self.status != 200:
            return web.Response(status=self.status, text=self.body, headers=self.headers)
        response = web.StreamResponse(headers={"Content-Type": self.content_type})
        await response.prepare(request)

        async def say(text: str) -> None:
            await response.write(text.encode())

        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            await self.script(body, say)
        except (asyncio.CancelledError, ConnectionResetError):
            self.left.set()
            raise
        finally:
            self.running -= 1
        return response

    async def list_models(self, request: web.Request) -> web.Response:
        self.keys.append(request.headers.get("Authorization"))
        if self.status != 200:
            return web.Response(status=self.status, text=self.body)
        return web.json_response({"data": [{"id": name} for name in self.models]})

    async def count(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.counted.append(body["prompt"])
        if self.tokenize is None:
            return web.Response(status=404)
        return web.json_response(self.tokenize(body))


class Broken(Exception):
    """Ends a script with the connection cut."""


@asynccontextmanager
async def serving(endpoint: FakeEndpoint) -> AsyncIterator[FakeEndpoint]:
    """The endpoint at a free port; ``url`` is then set."""
    app = web.Application()
    app.router.add_post("/v1/chat/completions", endpoint.generate)
    app.router.add_post("/v1/completions", endpoint.generate)
    app.router.add_get("/v1/models", endpoint.list_models)
    app.router.add_post("/tokenize", endpoint.count)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=1.0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    endpoint.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    try:
        yield endpoint
    finally:
        await runner.cleanup()
