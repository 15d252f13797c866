"""What Schemathesis asks of every answer beyond the OpenAPI document; loaded through SCHEMATHESIS_HOOKS."""

from typing import Any

import schemathesis

from tests.response_shape import SHAPE, TELLTALE, TYPES


@schemathesis.check
def errors_have_the_documented_shape(
    ctx: schemathesis.CheckContext, response: schemathesis.Response, case: schemathesis.Case
) -> bool | None:
    """Also in place of ``not_a_server_error``: an overload is a server error, and handled."""
    if response.status_code < 400:
        return None
    body: Any = response.json()
    if case.path == "/ready" and "stages" in body:
        return None
    assert response.status_code != 500, f"an unhandled error: {body}"
    assert set(body) == SHAPE
    assert body["success"] is False
    assert body["error"]["type"] in TYPES, body["error"]
    assert body["error"]["message"]
    assert body["metadata"]["request_id"]
    return None


@schemathesis.check
def answers_have_the_headers_and_tell_no_internals(
    ctx: schemathesis.CheckContext, response: schemathesis.Response, case: schemathesis.Case
) -> bool | None:
    assert response.headers.get("x-content-type-options") == ["nosniff"]
    assert response.headers.get("cache-control") == ["no-store"]
    text = response.content.decode("utf-8", "replace")
    told = [word for word in TELLTALE if word in text and word not in str(case.body)]
    assert not told, told
    return None
