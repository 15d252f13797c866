"""What stands before Serve's proxy, over a stand-in for the proxy."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import uvicorn
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import Message, Receive, Scope, Send

from serve_app.errors import RESTARTING
from serve_app.http_protocol import BoundedHttpProtocol
from serve_app.proxy import ProxyMiddleware, middlewares
from serve_app.settings.edge import EdgeSettings
from serve_app.settings.tree import LimitSettings


async def proxy(scope: Scope, receive: Receive, send: Send) -> None:
    """Serve's proxy: echoes the headers, or fails in plain text where the path is a status."""
    request = Request(scope, receive)
    status = request.url.path.rpartition("/")[2]
    response: Response = JSONResponse(request.headers.items())
    if status == "lost":
        raise ConnectionError
    if status == "silent":
        return
    if status.isdecimal():
        response = PlainTextResponse("Internal Server Error", int(status))
    await response(scope, receive, send)


def client(app: Any = proxy, request_timeout_s: float = 60.0, **edge: Any) -> httpx.AsyncClient:
    limits = LimitSettings(max_body_bytes=4096, request_timeout_s=request_timeout_s)
    made = ProxyMiddleware(app, EdgeSettings(**edge), limits)
    return httpx.AsyncClient(transport=httpx.ASGITransport(made), base_url="http://plumbline")


@pytest.fixture
def callback(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Serve's callback, whose effect on the process ends with the test."""
    monkeypatch.setattr(BoundedHttpProtocol, "bounds", EdgeSettings())
    monkeypatch.setitem(uvicorn.config.HTTP_PROTOCOLS, "auto", "")
    return middlewares


def test_serve_finds_the_callback(callback: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLUMBLINE_EDGE_MAX_HEADERS", "33")
    (made,) = callback()
    assert made.cls is ProxyMiddleware
    assert made.args[0].max_headers == BoundedHttpProtocol.bounds.max_headers == 33


def test_a_faulty_configuration_does_not_end_the_proxy(
    callback: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLUMBLINE_EDGE_MAX_HEADERS", "few")
    (made,) = callback()
    assert made.args[0] == EdgeSettings()


async def test_clients_cannot_set_the_timers_of_the_proxy_nor_an_unreadable_id() -> None:
    given = {
        "x-request-timeout-seconds": "0.001",
        "x-request-disconnect-disabled": "?1",
        "x-request-id": "<script>",
        "accept": "text/x",
    }
    async with client() as http:
        seen = (await http.get("/", headers=given)).json()
        kept = (await http.get("/", headers={"x-request-id": "mine.1"})).json()
    names = [name for name, _ in seen]
    assert not {"x-request-timeout-seconds", "x-request-disconnect-disabled"} & set(names)
    assert names.count("x-request-id") == 1
    assert "<" not in dict(seen)["x-request-id"]
    assert dict(seen)["accept"] == "text/x"
    assert dict(kept)["x-request-id"] == "mine.1"


async def test_a_lost_ingress_is_a_refusal_in_the_documented_shape() -> None:
    async with client() as http:
        for status in (404, 500, 503, "lost", "silent"):
            response = await http.post(f"/{status}", headers={"x-request-id": "r1"})
            assert response.status_code == 503
            assert response.headers["retry-after"] == "5"
            assert response.headers.get_list("x-request-id") == ["r1"]
            body = response.json()
            assert (body["error"]["type"], body["error"]["message"]) == ("overloaded", RESTARTING)
            assert body["metadata"]["request_id"] == "r1"


async def test_serves_own_routes_are_left_alone() -> None:
    async with client() as http:
        assert (await http.get("/-/503")).text == "Internal Server Error"


async def test_refusals_of_the_proxy_have_the_security_headers() -> None:
    async with client(hsts_max_age_s=60) as http:
        headers = (await http.get("/503")).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["strict-transport-security"] == "max-age=60"


async def test_large_and_slow_bodies_do_not_reach_the_ingress() -> None:
    reached: list[str] = []

    async def ingress(scope: Scope, receive: Receive, send: Send) -> None:
        reached.append(scope["path"])

    async def drip() -> AsyncIterator[bytes]:
        while True:
            yield b" "
            await asyncio.sleep(0.02)

    async with client(ingress, body_timeout_s=0.2) as http:
        slow = await http.post("/api/chat", content=drip())
        large = await http.post("/api/chat", content=b" " * 5000)
    assert [(r.status_code, r.json()["error"]["type"]) for r in (slow, large)] == [
        (408, "invalid_request"),
        (413, "invalid_request"),
    ]
    assert reached == []


async def test_the_body_reaches_the_ingress_whole() -> None:
    async def echo(scope: Scope, receive: Receive, send: Send) -> None:
        await Response(await Request(scope, receive).body())(scope, receive, send)

    async def pieces() -> AsyncIterator[bytes]:
        yield b"a" * 2000
        yield b"b" * 2000

    async with client(echo) as http:
        assert (await http.post("/", content=pieces())).content == b"a" * 2000 + b"b" * 2000


@pytest.mark.parametrize("ends_by", ["raising", "returning"])
async def test_a_stream_that_breaks_ends_with_an_error_event(ends_by: str) -> None:
    async def breaking(scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(b"content-type", b"text/event-stream; charset=utf-8")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"event: stage\ndata: {}\n\n", "more_body": True})
        if ends_by == "raising":
            raise ConnectionError

    async with client(breaking) as http:
        response = await http.post("/api/chat/stream")
    first, last, rest = response.text.split("\n\n")
    assert (response.status_code, first, rest) == (200, "event: stage\ndata: {}", "")
    name, data = last.split("\n")
    assert name == "event: error"
    assert '"type":"overloaded"' in data


async def hanging(scope: Scope, receive: Receive, send: Send) -> None:
    """Serve's proxy before an ingress that hangs; what is cancelled it answers, too."""
    begun = scope["path"] == "/api/chat/stream"
    if begun:
        headers = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"event: stage\ndata: {}\n\n", "more_body": True})
    try:
        await asyncio.get_running_loop().create_future()
    except asyncio.CancelledError:
        if not begun:
            await PlainTextResponse("cancelled", 499)(scope, receive, send)


async def test_an_ingress_that_hangs_is_waited_for_no_longer_than_a_question_may_take(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("serve_app.proxy.MARGIN_S", 0.02)
    async with client(hanging, request_timeout_s=0.02, stream_keep_alive_s=0.02) as http:
        answered = await http.post("/api/chat")
        stream = await http.post("/api/chat/stream")
    assert (answered.status_code, answered.json()["error"]["message"]) == (503, RESTARTING)
    *_, last, rest = stream.text.split("\n\n")
    assert (last.splitlines()[0], rest) == ("event: error", "")


async def test_a_client_that_reads_slowly_is_no_ingress_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serve_app.proxy.MARGIN_S", 0.02)
    app = ProxyMiddleware(JSONResponse("all of it"), EdgeSettings(stream_keep_alive_s=0.01), LimitSettings())
    sent: list[Message] = []

    async def slowly(message: Message) -> None:
        await asyncio.sleep(0.1)
        sent.append(message)

    async def receive() -> Message:
        return {"type": "http.request"}

    await app({"type": "http", "method": "GET", "path": "/", "headers": []}, receive, slowly)
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
    assert sent[0]["status"] == 200
