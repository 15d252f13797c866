"""What stands before Serve's proxy, over a stand-in for the proxy."""

import httpx
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from serve_app.errors import RESTARTING
from serve_app.proxy import ProxyMiddleware, middlewares


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


def client() -> httpx.AsyncClient:
    (made,) = middlewares()
    transport = httpx.ASGITransport(made.cls(proxy, *made.args, **made.kwargs))
    return httpx.AsyncClient(transport=transport, base_url="http://plumbline")


def test_serve_finds_the_callback() -> None:
    assert [made.cls for made in middlewares()] == [ProxyMiddleware]


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
