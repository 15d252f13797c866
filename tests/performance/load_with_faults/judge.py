"""Whether an answer of the server is one that its documentation allows. No network, no clock."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from pydantic import BaseModel, ValidationError

from serve_app.api_models import (
    ChatResponse,
    ClearResponse,
    FeedbackResponse,
    HealthResponse,
    ValidateResponse,
)
from serve_app.contracts import SchemaSnapshot
from serve_app.errors import StoreUnavailable
from tests.response_shape import SHAPE, TELLTALE, documented_errors

# The bodies of success; other calls answer with a JSON object of their own.
MODELS: Final[Mapping[str, type[BaseModel]]] = {
    "chat": ChatResponse,
    "stream": ChatResponse,
    "sql_run": ChatResponse,
    "sql_validate": ValidateResponse,
    "feedback": FeedbackResponse,
    "clear": ClearResponse,
    "health": HealthResponse,
    "ready": HealthResponse,
    "schema": SchemaSnapshot,
}
# What a call is said to have ended with beside the error types.
UNDOCUMENTED, BROKEN, HUNG_UP = "undocumented", "connection broken", "hung up"
# A connection that is refused before it is a request has no id yet, and is closed.
WITHOUT_ID = frozenset({400, 408, 431, 503})
MUST_SAY_WHEN = frozenset({"overloaded"})
_DOCUMENTED = documented_errors()


@dataclass(frozen=True)
class Seen:
    """One call as its client saw it. ``call`` names the route; times are monotonic, in seconds.

    ``broken``: what ended the connection before the answer did; ``left``: the client itself did.
    """

    call: str
    request_id: str
    began: float
    ended: float
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    text: str = ""
    broken: str | None = None
    left: bool = False

    @property
    def seconds(self) -> float:
        return self.ended - self.began

    def body(self) -> dict[str, Any] | None:
        """The JSON object of the answer, of a stream that of its last event; None if there is none."""
        try:
            found = json.loads(events_of(self.text)[-1][1] if self.is_stream else self.text)
        except (ValueError, IndexError):
            return None
        return found if isinstance(found, dict) else None

    @property
    def is_stream(self) -> bool:
        return self.headers.get("content-type", "").startswith("text/event-stream")


def outcome_of(seen: Seen) -> str:
    """What the call ended with, in a word: answer, clarification, refusal, ok, or an error type."""
    if seen.left:
        return HUNG_UP
    if seen.broken is not None:
        return BROKEN
    body = seen.body()
    if body is None:
        return UNDOCUMENTED
    if error := body.get("error"):
        return str(error.get("type")) if isinstance(error, dict) else UNDOCUMENTED
    if set(body) != SHAPE:
        # Only /ready says with its status that it is not well.
        return "ok" if seen.status == 200 else "not ready"
    if body["data"] is not None:
        return "answer"
    return "clarification" if body["clarification"] is not None else "refusal"


def objections(seen: Seen, deadline_s: float) -> list[str]:
    """Why the answer is not as documented; empty if it is. A broken connection is judged elsewhere."""
    found = []
    if seen.seconds > deadline_s:
        found.append(f"ended after {seen.seconds:.1f} s")
    if seen.left or seen.broken is not None:
        return found
    told = [word for word in TELLTALE if word in seen.text]
    if told:
        found.append(f"tells internals: {told}")
    found += _identified(seen)
    body = seen.body()
    if body is None:
        return [*found, "the body is no JSON object"]
    if seen.is_stream:
        return found + _stream_objections(seen, body)
    return found + (_success(seen, body) if seen.status == 200 else _failure(seen, body))


def _identified(seen: Seen) -> list[str]:
    given = seen.headers.get("x-request-id")
    if given is None and seen.status in WITHOUT_ID and seen.headers.get("connection") == "close":
        return []
    return [] if given == seen.request_id else [f"x-request-id is {given!r}"]


def _success(seen: Seen, body: dict[str, Any]) -> list[str]:
    model = MODELS.get(seen.call)
    if model is None:
        return []
    try:
        model.model_validate(body)
    except ValidationError as error:
        return [f"no {model.__name__}: {error.error_count()} faults"]
    if set(body) != set(model.model_fields):
        return [f"fields {sorted(set(body) ^ set(model.model_fields))}"]
    return _one_ending(body) if model is ChatResponse else []


def _one_ending(body: dict[str, Any]) -> list[str]:
    endings = [name for name in ("data", "clarification", "error") if body[name] is not None]
    if len(endings) > 1 or (not endings and body["answer"] is None):
        return [f"the answer has {endings or 'nothing'}"]
    return [] if body["success"] == (body["error"] is None) else ["success contradicts the error"]


def _failure(seen: Seen, body: dict[str, Any]) -> list[str]:
    if seen.call == "ready" and seen.status == 503 and "stages" in body:
        return []
    if set(body) != SHAPE or body["success"] is not False or not isinstance(body["error"], dict):
        return ["the failure has another shape"]
    error = body["error"]
    if (error.get("type"), seen.status) not in _DOCUMENTED:
        return [f"{error.get('type')} with status {seen.status} is not documented"]
    found = [] if error.get("message") else ["the failure says nothing"]
    if error["type"] in MUST_SAY_WHEN and "retry-after" not in seen.headers:
        found.append("no Retry-After")
    return found


def events_of(text: str) -> list[tuple[str, str]]:
    """Names and data of server-sent events, comments left out.

    Raises:
        ValueError: the text is no sequence of such events.
    """
    events = []
    *blocks, rest = text.split("\n\n")
    if rest:
        raise ValueError("the last event does not end")
    for block in blocks:
        lines = [line for line in block.split("\n") if not line.startswith(":")]
        if not lines:
            continue
        name, data = lines
        if not (name.startswith("event: ") and data.startswith("data: ")):
            raise ValueError(f"no event: {block[:80]!r}")
        events.append((name.removeprefix("event: "), data.removeprefix("data: ")))
    return events


def _stream_objections(seen: Seen, last: dict[str, Any]) -> list[str]:
    """Of a stream that could be read to its end."""
    events = events_of(seen.text)
    names = [name for name, _ in events]
    *steps, end = names
    if end not in ("done", "error") or {"done", "error"} & set(steps):
        return [f"the stream's events are {names}"]
    if end == "error":
        return _told_in_stream(last)
    rows = [json.loads(data)["data"] for name, data in events if name == "rows"]
    if rows != ([] if last.get("data") is None else [last["data"]]):
        return ["the rows event is not what done says"]
    return _success(seen, last)


def _told_in_stream(body: dict[str, Any]) -> list[str]:
    """An error without a status of its own: a bug is told from a store that is away by its words."""
    error = body.get("error")
    kind = error.get("type") if isinstance(error, dict) else None
    known = kind in {documented for documented, _ in _DOCUMENTED}
    if kind == StoreUnavailable.type:
        known = isinstance(error, dict) and error.get("message") == StoreUnavailable.default_message
    return [] if known and set(body) == SHAPE else [f"a stream ends with {kind}"]
