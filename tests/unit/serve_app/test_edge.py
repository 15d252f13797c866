"""The edge of the HTTP app: headers of every answer, origins, slow and endless bodies, the documentation."""

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from serve_app.http_app import make_app
from serve_app.security_headers import DATA_POLICY, DOCS_POLICY
from serve_app.settings.edge import EdgeSettings
from serve_app.settings.tree import LimitSettings
from tests.unit.serve_app.test_http_app import ASK, client_of, error_of, make_service

ORIGIN = "https://reports.example.com"


def http_of(**edge: Any) -> httpx.AsyncClient:
    return client_of(make_service(edge=EdgeSettings(**edge)))


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/health"),
        ("GET", "/api/metrics"),
        ("GET", "/nowhere"),
        ("POST", "/api/chat"),
        ("GET", "/openapi.json"),
    ],
)
async def test_every_answer_and_every_refusal_has_the_headers(method: str, path: str) -> None:
    async with http_of() as http:
        headers = (await http.request(method, path)).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == "no-store"
    assert headers["content-security-policy"] == DATA_POLICY
    assert "strict-transport-security" not in headers


async def test_answers_and_streams_are_not_stored() -> None:
    async with http_of() as http:
        for path in ("/api/chat", "/api/chat/stream"):
            response = await http.post(path, json=ASK)
            assert (response.status_code, response.headers["cache-control"]) == (200, "no-store")


async def test_transport_security_is_asked_for_where_the_operator_says_so() -> None:
    async with http_of(hsts_max_age_s=3600) as http:
        assert (await http.get("/health")).headers["strict-transport-security"] == "max-age=3600"


async def test_no_page_of_another_origin_may_ask_by_default() -> None:
    async with http_of() as http:
        answered = await http.post("/api/chat", json=ASK, headers={"origin": ORIGIN})
        preflight = await http.options(
            "/api/chat", headers={"origin": ORIGIN, "access-control-request-method": "POST"}
        )
    assert not [name for name in answered.headers if name.startswith("access-control")]
    assert preflight.status_code == 405
    assert not [name for name in preflight.headers if name.startswith("access-control")]


async def test_named_origins_may_ask_and_read_refusals_and_no_others() -> None:
    async with http_of(allowed_origins=(ORIGIN,)) as http:
        for body in (ASK, {}):
            response = await http.post("/api/chat", json=body, headers={"origin": ORIGIN})
            assert response.headers["access-control-allow-origin"] == ORIGIN
            assert "access-control-allow-credentials" not in response.headers
        other = await http.post("/api/chat", json=ASK, headers={"origin": f"{ORIGIN}.evil.example"})
        assert "access-control-allow-origin" not in other.headers
        preflight = await http.options(
            "/api/chat", headers={"origin": ORIGIN, "access-control-request-method": "POST"}
        )
        assert preflight.status_code == 200
        assert preflight.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("origin", ["*", "reports.example.com", f"{ORIGIN}/", f"{ORIGIN}/x", "null", ""])
def test_only_whole_origins_can_be_allowed(origin: str) -> None:
    with pytest.raises(ValueError, match="origins such as"):
        EdgeSettings(allowed_origins=(origin,))


async def drip(pause_s: float) -> AsyncIterator[bytes]:
    while True:
        yield b" "
        await asyncio.sleep(pause_s)


async def test_a_body_of_one_byte_at_a_time_is_ended() -> None:
    async with http_of(body_timeout_s=0.2) as http:
        response = await http.post(
            "/api/chat", content=drip(0.02), headers={"content-type": "application/json"}
        )
    assert response.status_code == 408
    assert error_of(response)["type"] == "invalid_request"
    assert "0.2 seconds" in error_of(response)["message"]
    assert response.headers["connection"] == "close"


async def test_an_endless_body_without_a_length_is_ended_at_its_bound() -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 512
            yield b" " * 512

    async with client_of(make_service(limits=LimitSettings(max_body_bytes=4096))) as http:
        response = await http.post(
            "/api/chat", content=endless(), headers={"content-type": "application/json"}
        )
    assert response.status_code == 413
    assert sent <= 4096 + 2 * 512


async def test_a_client_that_hangs_up_within_its_body_is_not_answered() -> None:
    sent: list[Any] = []
    messages = [{"type": "http.request", "body": b"{", "more_body": True}, {"type": "http.disconnect"}]

    async def receive() -> Any:
        return messages.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/api/chat",
        "raw_path": b"/api/chat",
        "query_string": b"",
        "root_path": "",
        "headers": [(b"content-type", b"application/json")],
    }
    await make_app(make_service())(scope, receive, send)
    assert sent == []


async def test_the_documentation_needs_nothing_from_elsewhere() -> None:
    async with http_of() as http:
        page = await http.get("/docs")
        assert page.headers["content-security-policy"] == DOCS_POLICY
        assert "http" not in page.text
        assert not re.search(r"<script(?![^>]*src=)", page.text), "the policy forbids scripts in the page"
        named = re.findall(r'(?:src|href)="(docs/[^"]+)"', page.text)
        assert len(named) == 3
        for path in named:
            asset = await http.get(f"/{path}")
            assert asset.status_code == 200, path
            assert asset.headers["content-security-policy"] == DOCS_POLICY
        assert '"openapi.json"' in (await http.get("/docs/start.js")).text
        assert (await http.get("/docs/assets/../../pyproject.toml")).status_code == 404
