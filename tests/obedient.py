"""A model that does whatever anybody's text tells it to, before the real guardrail and the real database."""

import json

import httpx
from fakes import FakeConversations, FakeGenerator, make_generation, make_stages

from deployments.executor.executor import SqlExecutor
from deployments.prompt_builder.builder import PromptBuilderCore
from deployments.prompt_builder.verified.library import ExampleLibrary
from deployments.sql_validator.validator import SqlValidatorCore
from serve_app.auth.identity import Access
from serve_app.contracts import Caller, SchemaSnapshot
from serve_app.http_app import make_app
from serve_app.metrics import Figures, NullRecorder
from serve_app.pipeline import PipelineLimits
from serve_app.service import ChatService, ServiceConfig
from tests.injections import Attempt, pack_examples
from tests.prompt_cases import by_chars, make_profile

PATHS = ("/api/chat", "/api/chat/stream")
CONVERSATION = "c-1"


def app_of(attempt: Attempt, executor: SqlExecutor, policy: str) -> httpx.AsyncClient:
    """The service with a model that writes what the attempt demands, and everything else real."""

    async def schema(caller: Caller) -> SchemaSnapshot:
        return attempt.schema(await executor.schema(caller=caller))

    conversations = FakeConversations()
    conversations.exchanges[CONVERSATION] = list(attempt.history())
    profile = make_profile(
        by_chars(4), library=ExampleLibrary(pack_examples(), attempt.accepted), max_context_tokens=100_000
    )
    stages = make_stages(
        conversations=conversations,
        prompt_builder=PromptBuilderCore(schema, profile),
        generator=FakeGenerator(make_generation(attempt.demand)),
        validator=SqlValidatorCore(executor.schema),
        executor=executor,
    )
    config = ServiceConfig(
        pipeline=PipelineLimits(retry_delay_s=0, max_retries=1), access=Access(policy=policy)
    )
    service = ChatService(stages, config, Figures(NullRecorder()))
    transport = httpx.ASGITransport(make_app(service), raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://plumbline")


def last_body(response: httpx.Response) -> dict[str, object]:
    """The answer itself, or that of a stream's last event."""
    text = response.text
    if response.headers["content-type"].startswith("text/event-stream"):
        text = text.strip().split("\n\n")[-1].split("data: ", 1)[1]
    body: dict[str, object] = json.loads(text)
    return body
