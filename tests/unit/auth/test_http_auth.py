"""The HTTP API where credentials are asked for: 401, 403, 429, and whose question it becomes."""

from typing import Any

import httpx
import pytest
from fakes import FakeConversations, FakeExecutor, FakePromptBuilder, make_stages
from starlette.datastructures import Headers

from serve_app.audit.records import MOST_REFUSALS, REFUSALS_PERIOD_S, Auditor
from serve_app.auth.identity import Access, Identity
from serve_app.auth.limits import CallLimits
from serve_app.auth.setup import Gate
from serve_app.contracts import Caller
from serve_app.errors import Unauthenticated
from serve_app.http_app import make_app
from serve_app.metrics import Figures, NullRecorder
from serve_app.pipeline import PipelineLimits, Stages
from serve_app.service import ChatService, ServiceConfig

IDENTITIES = {
    "one": Identity("ann", ("1",), credential_id="k-one"),
    "two": Identity("bob", ("1", "2"), policy="restricted"),
    "none": Identity("cat", ()),
    "all": Identity("dan", all_organizations=True),
    "slow": Identity("eve", ("1",), rate_per_minute=2, daily_questions=1),
}
ASK = {"query": "How many rows?"}
POSTS: list[tuple[str, dict[str, Any]]] = [
    ("/api/chat", ASK),
    ("/chat", {"message": "How many rows?"}),
    ("/api/chat/stream", ASK),
    ("/api/chat/clear", {"conversation_id": "c1"}),
    ("/api/sql/validate", {"sql": "SELECT 1"}),
    ("/api/sql/run", {"sql": "SELECT 1"}),
    ("/api/feedback", {"conversation_id": "c1", "verdict": "up"}),
]


class Named:
    """Takes the name of an identity for its credential."""

    async def identify(self, headers: Headers) -> Identity:
        name = headers.get("authorization", "").removeprefix("Bearer ")
        if name not in IDENTITIES:
            raise Unauthenticated
        return IDENTITIES[name]


class Lines:
    def __init__(self) -> None:
        self.written: list[dict[str, Any]] = []

    def write(self, event: str, **fields: Any) -> None:
        self.written.append({"event": event, **fields})


def client_of(
    stages: Stages | None = None, lines: Lines | None = None, credential: str | None = None, **access: Any
) -> httpx.AsyncClient:
    config = ServiceConfig(
        pipeline=PipelineLimits(retry_delay_s=0), access=Access(mode="api_keys", policy="default", **access)
    )
    auditor = Auditor(lines) if lines else None
    service = ChatService(stages or make_stages(), config, Figures(NullRecorder()), auditor=auditor)
    gate = Gate(Named(), CallLimits(None, None))
    app = make_app(service, gate=gate, auditor=auditor)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    headers = {"authorization": f"Bearer {credential}"} if credential else {}
    return httpx.AsyncClient(transport=transport, base_url="http://plumbline", headers=headers)


@pytest.mark.parametrize(("path", "body"), POSTS)
async def test_every_call_asks_for_a_credential(path: str, body: dict[str, Any]) -> None:
    async with client_of() as http:
        for credential in (None, "nobody"):
            headers = {"authorization": f"Bearer {credential}"} if credential else {}
            refused = await http.post(path, json={**body, "user_id": "ann"}, headers=headers)
            assert refused.status_code == 401
            assert refused.headers["www-authenticate"].startswith("Bearer")
            assert refused.json()["error"]["type"] == "permission_denied"
            assert refused.json()["metadata"]["request_id"] == refused.headers["x-request-id"]


async def test_data_asks_for_a_credential_and_health_does_not() -> None:
    async with client_of() as http:
        for path in (
            "/api/schema",
            "/api/metrics",
            "/nothing",
            "/openapi.json/",
            "//health",
            "/docs/assets/../../api/schema",
        ):
            assert (await http.get(path)).status_code == 401
        for path in (
            "/health",
            "/ready",
            "/api/chat/health",
            "/openapi.json",
            "/docs",
            "/docs/assets/swagger-ui.css",
        ):
            assert (await http.get(path)).status_code == 200


def caller_seen(stages: Stages) -> Caller:
    builder = stages.prompt_builder
    assert isinstance(builder, FakePromptBuilder)
    return builder.asked[-1][0].caller


@pytest.mark.parametrize(
    ("credential", "organization", "expected"),
    [
        ("one", None, Caller(user_id="ann", organization_id="1", credential_id="k-one")),
        ("one", "1", Caller(user_id="ann", organization_id="1", credential_id="k-one")),
        ("two", "2", Caller(user_id="bob", organization_id="2", policy="restricted")),
        ("all", None, Caller(user_id="dan")),
        ("all", "2", Caller(user_id="dan", organization_id="2")),
    ],
)
async def test_the_caller_comes_from_the_credential(
    credential: str, organization: str | None, expected: Caller
) -> None:
    """Whatever user the body names: the former format and its org_id included."""
    stages = make_stages()
    async with client_of(stages, credential=credential) as http:
        for body in ({**ASK, "user_id": "root", "organization_id": organization}, ASK | {"user_id": None}):
            body = {name: value for name, value in body.items() if value is not None}
            if organization is not None:
                body["organization_id"] = organization
            answered = await http.post("/api/chat", json=body)
            assert answered.status_code == 200
            assert caller_seen(stages) == expected
        former = {"message": "How many?", **({"org_id": organization} if organization else {})}
        assert (await http.post("/chat", json=former)).status_code == 200
        assert caller_seen(stages) == expected


@pytest.mark.parametrize(("path", "body"), POSTS)
async def test_an_organization_of_others_is_refused_everywhere(path: str, body: dict[str, Any]) -> None:
    lines = Lines()
    async with client_of(lines=lines, credential="one") as http:
        refused = await http.post(path, json={**body, "organization_id": "2", "user_id": "bob"})
        assert (refused.status_code, refused.json()["error"]["type"]) == (403, "permission_denied")
        schema = await http.get("/api/schema?organization_id=2")
        assert schema.status_code == 403
    assert [line["event"] for line in lines.written] == ["denied", "denied"]
    assert lines.written[0]["user_id"] == "ann"
    assert lines.written[0]["organization_id"] == "2"


async def test_of_several_organizations_one_must_be_named_and_none_is_refused() -> None:
    async with client_of(credential="two") as http:
        unnamed = await http.post("/api/chat", json=ASK)
        assert (unnamed.status_code, unnamed.json()["error"]["type"]) == (400, "invalid_request")
        assert "organization_id" in unnamed.json()["error"]["message"]
    async with client_of(credential="none") as http:
        assert (await http.post("/api/chat", json=ASK)).status_code == 403
    async with client_of(credential="none", require_organization=False) as http:
        assert (await http.post("/api/chat", json=ASK)).status_code == 200


async def test_limits_answer_429_with_retry_after_and_cost_no_work() -> None:
    executor = FakeExecutor()
    async with client_of(make_stages(executor=executor), credential="slow") as http:
        assert (await http.post("/api/chat", json=ASK)).status_code == 200
        day = await http.post("/api/sql/run", json={"sql": "SELECT 1"})
        assert (await http.get("/api/schema")).status_code == 200
        minute = await http.get("/api/schema")
    for refused in (day, minute):
        assert (refused.status_code, refused.json()["error"]["type"]) == (429, "overloaded")
        assert int(refused.headers["retry-after"]) >= 1
    assert len(executor.asked) == 1


async def test_without_a_gate_a_service_that_needs_one_answers_nobody() -> None:
    """A wrong wiring refuses; it does not let everyone in."""
    config = ServiceConfig(access=Access(mode="jwt"))
    service = ChatService(make_stages(), config, Figures(NullRecorder()))
    transport = httpx.ASGITransport(make_app(service), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://p") as http:
        for path, body in POSTS:
            assert (await http.post(path, json={**body, "user_id": "ann"})).status_code == 401
        assert (await http.get("/api/schema")).status_code == 401


async def test_the_audit_log_has_a_line_for_each_event_and_no_rows() -> None:
    lines = Lines()
    stages = make_stages(conversations=FakeConversations())
    async with client_of(stages, lines, "one") as http:
        asked = (await http.post("/api/chat", json=ASK, headers={"x-request-id": "r-9"})).json()
        await http.post("/api/chat/stream", json=ASK)
        await http.post("/api/sql/run", json={"sql": "SELECT 2"})
        feedback = {"conversation_id": asked["conversation_id"], "verdict": "up"}
        assert (await http.post("/api/feedback", json=feedback)).status_code == 200
    assert [line["event"] for line in lines.written] == ["question", "question", "sql", "feedback"]
    first = lines.written[0]
    assert (first["user_id"], first["organization_id"], first["credential_id"]) == ("ann", "1", "k-one")
    assert (first["request_id"], first["question"], first["sql"]) == ("r-9", "How many rows?", "SELECT 1")
    assert (first["verdict"], first["row_count"], first["outcome"]) == ("accepted", 1, "answer")
    assert lines.written[2]["given"] == "SELECT 2"
    assert not any("rows" in line or "data" in line for line in lines.written)


async def test_whoever_is_refused_at_the_door_is_in_the_audit_log() -> None:
    lines = Lines()
    async with client_of(lines=lines) as http:
        refused = await http.post("/api/chat", json=ASK, headers={"authorization": "Bearer nobody"})
        for _ in range(3):
            limited = await http.get("/api/schema", headers={"authorization": "Bearer slow"})
    told = [(line["path"], line["status"], line["outcome"]) for line in lines.written]
    assert told == [("/api/chat", 401, "permission_denied"), ("/api/schema", 429, "overloaded")]
    assert [line["request_id"] for line in lines.written] == [
        response.headers["x-request-id"] for response in (refused, limited)
    ]


def test_refusals_cannot_fill_the_disk() -> None:
    lines, now = Lines(), [0.0]
    auditor = Auditor(lines, clock=lambda: now[0])
    for _ in range(MOST_REFUSALS + 7):
        auditor.refused(Unauthenticated(), "/api/chat", "r")
    assert [line["unwritten"] for line in lines.written] == [0] * MOST_REFUSALS
    now[0] += REFUSALS_PERIOD_S
    auditor.refused(Unauthenticated(), "/api/chat", "r")
    assert lines.written[-1]["unwritten"] == 7


async def test_an_audit_log_that_fails_is_told_and_answers_go_on(caplog: pytest.LogCaptureFixture) -> None:
    class Full:
        def write(self, event: str, **fields: Any) -> None:
            raise OSError(28, "No space left on device")

    service = ChatService(make_stages(), ServiceConfig(), Figures(NullRecorder()), auditor=Auditor(Full()))
    transport = httpx.ASGITransport(make_app(service), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://p") as http:
        assert (await http.post("/api/chat", json={**ASK, "user_id": "ann"})).status_code == 200
    assert "audit line lost" in caplog.text


@pytest.mark.parametrize(("mode", "needed"), [("none", True), ("api_keys", False)])
def test_the_openapi_document_says_whether_a_body_must_name_its_user(mode: str, needed: bool) -> None:
    config = ServiceConfig(access=Access(mode=mode))
    app = make_app(ChatService(make_stages(), config, Figures(NullRecorder())))
    for _ in range(2):
        schemas = app.openapi()["components"]["schemas"]
        for name in ("ChatRequest", "ClearRequest", "FeedbackRequest"):
            assert ("user_id" in schemas[name]["required"]) == needed
            assert ("anyOf" in schemas[name]["properties"]["user_id"]) != needed


async def test_without_credentials_the_body_says_who_asks() -> None:
    service = ChatService(make_stages(), ServiceConfig(), Figures(NullRecorder()))
    transport = httpx.ASGITransport(make_app(service), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://p") as http:
        missing = await http.post("/api/chat", json=ASK)
        assert missing.status_code == 400
        assert missing.json()["error"]["fields"] == {"user_id": "is required"}
