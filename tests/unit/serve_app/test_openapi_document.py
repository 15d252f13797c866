"""The OpenAPI document says of every mode what the server does in it."""

from typing import Any

import httpx
import pytest
from fakes import make_stages
from starlette.datastructures import Headers

from serve_app.auth.identity import Access, Identity, bearer_token
from serve_app.auth.limits import CallLimits
from serve_app.auth.setup import Gate
from serve_app.errors import Unauthenticated
from serve_app.http_app import make_app
from serve_app.metrics import Figures, NullRecorder
from serve_app.pipeline import PipelineLimits
from serve_app.service import ChatService, ServiceConfig

MODES = ("none", "api_keys", "jwt")
# A body for each call that takes one, without its user.
BODIES: dict[str, dict[str, Any]] = {
    "/api/chat": {"query": "How many rows?"},
    "/chat": {"query": "How many rows?"},
    "/api/chat/stream": {"query": "How many rows?"},
    "/api/chat/clear": {"conversation_id": "c1"},
    "/api/feedback": {"conversation_id": "c1", "verdict": "up"},
    "/api/sql/validate": {"sql": "SELECT 1"},
    "/api/sql/run": {"sql": "SELECT 1"},
}


class OneToken:
    async def identify(self, headers: Headers) -> Identity:
        if bearer_token(headers) != "right":
            raise Unauthenticated
        return Identity("ann", ("1",))


def client_of(mode: str, **headers: str) -> httpx.AsyncClient:
    config = ServiceConfig(pipeline=PipelineLimits(retry_delay_s=0), access=Access(mode=mode))
    gate = None if mode == "none" else Gate(OneToken(), CallLimits(None, None))
    app = make_app(ChatService(make_stages(), config, Figures(NullRecorder())), gate=gate)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://plumbline", headers=headers)


async def document_of(mode: str) -> dict[str, Any]:
    async with client_of(mode) as http:
        document: dict[str, Any] = (await http.get("/openapi.json")).json()
        # It is made once; asking again must change nothing.
        assert (await http.get("/openapi.json")).json() == document
        return document


def operations(document: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [(p, m, operation) for p, item in document["paths"].items() for m, operation in item.items()]


def required_fields(document: dict[str, Any], operation: dict[str, Any]) -> list[str]:
    reference = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"]
    found: list[str] = document["components"]["schemas"][reference.rpartition("/")[2]]["required"]
    return found


@pytest.mark.parametrize("mode", MODES)
async def test_a_call_asks_for_a_credential_just_where_the_document_says_so(mode: str) -> None:
    asked = 0
    document = await document_of(mode)
    async with client_of(mode) as http:
        for path, method, operation in operations(document):
            body = {**BODIES[path], "user_id": "ann"} if path in BODIES else None
            response = await http.request(method, path, json=body)
            assert (response.status_code == 401) == bool(operation.get("security")), path
            if response.status_code == 401:
                assert {"401", "429"} <= operation["responses"].keys()
                asked += 1
            else:
                assert mode != "none" or not {"401", "429"} & operation["responses"].keys()
    assert asked == {"none": 0}.get(mode, len(BODIES) + 2)


@pytest.mark.parametrize("mode", MODES)
async def test_a_body_must_name_its_user_just_where_the_document_says_so(mode: str) -> None:
    document = await document_of(mode)
    async with client_of(mode, authorization="Bearer right") as http:
        for path, method, operation in operations(document):
            if path not in BODIES:
                continue
            needed = "user_id" in required_fields(document, operation)
            response = await http.request(method, path, json=BODIES[path])
            fields = {} if response.status_code != 400 else response.json()["error"]["fields"]
            assert (fields == {"user_id": "is required"}) == needed, path
            assert needed == (mode == "none" and not path.startswith("/api/sql/"))


@pytest.mark.parametrize(("mode", "schemes"), [("api_keys", {"bearer", "header"}), ("jwt", {"bearer"})])
async def test_the_schemes_are_those_that_the_mode_takes(mode: str, schemes: set[str]) -> None:
    document = await document_of(mode)
    assert document["components"]["securitySchemes"].keys() == schemes
    named = {name for _, _, o in operations(document) for choice in o.get("security", ()) for name in choice}
    assert named == schemes


async def test_without_credentials_the_document_knows_no_scheme() -> None:
    assert "securitySchemes" not in (await document_of("none"))["components"]
