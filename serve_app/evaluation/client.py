"""One question to a running endpoint, and what came back, told apart by kind."""

import asyncio
import time
from typing import Any, Literal

import httpx
from pydantic import ValidationError

from serve_app.confidence import Features
from serve_app.evaluation.items import EvalModel

# Overload is part of serving, not of answering: wait as told and ask again, so often.
OVERLOAD_RETRIES = 5
LONGEST_WAIT_S = 30.0

ReplyKind = Literal["answer", "clarification", "refusal", "error"]


class Reply(EvalModel):
    """What an endpoint said to a question. ``error_type`` is the API's, or ``unreachable``."""

    kind: ReplyKind
    sql: str | None = None
    text: str | None = None
    error_type: str | None = None
    conversation_id: str | None = None
    engine: str | None = None
    model: str | None = None
    confidence: float | None = None
    features: Features | None = None
    latency_ms: float


class Endpoint:
    """The chat call of a running server."""

    def __init__(self, client: httpx.AsyncClient, url: str, user_id: str = "plumbline-eval") -> None:
        self._client = client
        self._url = url.rstrip("/")
        self._user_id = user_id

    async def ask(self, question: str, conversation_id: str | None = None) -> Reply:
        """Ask once; overload (503 or 429 with Retry-After) is waited out, and the wait is not counted."""
        body = {"query": question, "user_id": self._user_id}
        if conversation_id is not None:
            body["conversation_id"] = conversation_id
        for attempt in range(OVERLOAD_RETRIES + 1):
            started = time.perf_counter()
            try:
                response = await self._client.post(f"{self._url}/api/chat", json=body)
            except httpx.HTTPError as error:
                return _unreachable(started, type(error).__name__)
            if response.status_code not in (429, 503) or attempt == OVERLOAD_RETRIES:
                break
            if (wait_s := _retry_after(response)) is None:
                break
            await asyncio.sleep(wait_s)
        return _reply(response, (time.perf_counter() - started) * 1000)


def _retry_after(response: httpx.Response) -> float | None:
    try:
        return min(float(response.headers["retry-after"]), LONGEST_WAIT_S)
    except (KeyError, ValueError):
        return None


def _unreachable(started: float, reason: str) -> Reply:
    latency_ms = (time.perf_counter() - started) * 1000
    return Reply(kind="error", error_type="unreachable", text=reason, latency_ms=latency_ms)


def _reply(response: httpx.Response, latency_ms: float) -> Reply:
    try:
        body: Any = response.json()
    except ValueError:
        body = None
    if not isinstance(body, dict) or "success" not in body:
        return Reply(kind="error", error_type=f"http_{response.status_code}", latency_ms=latency_ms)
    metadata = body.get("metadata") or {}
    reply = Reply(
        kind="answer",
        sql=body.get("sql"),
        text=body.get("answer"),
        conversation_id=body.get("conversation_id"),
        engine=metadata.get("engine"),
        model=metadata.get("model"),
        confidence=metadata.get("confidence"),
        features=_features(metadata.get("features")),
        latency_ms=latency_ms,
    )
    if body.get("clarification"):
        return reply.model_copy(update={"kind": "clarification", "text": body["clarification"]})
    if error := body.get("error"):
        failed = {"kind": "error", "error_type": error.get("type"), "text": error.get("message")}
        return reply.model_copy(update=failed)
    return reply if body.get("data") is not None else reply.model_copy(update={"kind": "refusal"})


def _features(told: Any) -> Features | None:
    """None as well if the server speaks of other features: they can calibrate nothing here."""
    try:
        return Features.model_validate(told)
    except ValidationError:
        return None
