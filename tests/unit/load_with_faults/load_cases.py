"""Calls as a client of the load run would have seen them."""

import json
from typing import Any

from serve_app.api_models import ChatResponse, ResultData, error_response
from serve_app.errors import PlumblineError
from tests.performance.load_with_faults.judge import Seen

COLUMNS = [{"name": "total_amount", "database_type": "numeric", "semantic_type": "currency"}]


def answer_body(amount: Any = 12.5, **changes: Any) -> dict[str, Any]:
    """The body of an answer with one row."""
    body = ChatResponse(
        success=True,
        data=ResultData(
            rows=[{"total_amount": amount}],
            row_count=1,
            columns=["total_amount"],
            total_count=1,
            truncated=False,
        ),
        answer="Total amount: $12.50.",
        sql="SELECT sum(amount) AS total_amount FROM expenses",
        conversation_id="c1",
        metadata={"context_length": 0, "exchange": 0, "warnings": [], "columns": COLUMNS},
    ).model_dump()
    return body | changes


def failure_body(error: PlumblineError) -> dict[str, Any]:
    return error_response(error, metadata={"request_id": "r1"}).model_dump()


def make_seen(
    body: Any,
    status: int = 200,
    call: str = "chat",
    seconds: float = 1.0,
    began: float = 100.0,
    headers: dict[str, str] | None = None,
    **more: Any,
) -> Seen:
    """A whole answer; ``body`` as JSON unless it is text."""
    return Seen(
        call=call,
        request_id="r1",
        began=began,
        ended=began + seconds,
        status=status,
        headers={"x-request-id": "r1", "content-type": "application/json", **(headers or {})},
        text=body if isinstance(body, str) else json.dumps(body),
        **more,
    )


def make_stream(*events: tuple[str, Any]) -> Seen:
    text = "".join(f"event: {name}\ndata: {json.dumps(data)}\n\n" for name, data in events)
    return make_seen(text, call="stream", headers={"content-type": "text/event-stream; charset=utf-8"})
