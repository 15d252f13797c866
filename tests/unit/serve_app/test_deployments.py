"""The deployments as plain classes: what they adapt. Serve itself runs in tests/serve."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from fakes import ASKED_AT, FakeExecutor, make_question
from tiny_models import make_request, tiny_profile

from deployments.conversations.config import ConversationsConfig
from deployments.conversations.deployment import Conversations
from deployments.executor.config import ExecutorConfig
from deployments.executor.deployment import Executor
from deployments.executor.embedded import EmbeddedDatabase
from deployments.generator.deployment import Generator, grouped
from deployments.prompt_builder.config import PromptConfig
from deployments.prompt_builder.deployment import PromptBuilder
from deployments.sql_validator.config import ValidatorConfig
from deployments.sql_validator.deployment import SqlValidator
from serve_app.auth.identity import Access
from serve_app.contracts import Caller, Exchange, Generation, GenerationRequest, Prompt, TokenChunk
from serve_app.errors import ConfigurationError, ModelUnavailable
from serve_app.ingress import Ingress
from serve_app.paths import PROJECT_ROOT
from serve_app.service import ServiceConfig
from serve_app.settings.tree import LoggingSettings

LOGS = LoggingSettings()
DOMAIN = PROJECT_ROOT / "configs" / "domains" / "construction"


class LocalHandle:
    """A DeploymentHandle onto an object of this process."""

    deployment_name = "Local"

    def __init__(self, target: Any, method: str | None = None) -> None:
        self._target = target
        self._method = method

    def __getattr__(self, name: str) -> "LocalHandle":
        return LocalHandle(self._target, name)

    def remote(self, *args: Any) -> Any:
        return asyncio.ensure_future(getattr(self._target, self._method or "")(*args))


async def pieces(*texts: str) -> AsyncIterator[TokenChunk | Generation]:
    for text in texts:
        yield TokenChunk(text=text)


async def test_the_first_piece_goes_at_once_and_the_rest_in_groups() -> None:
    slow = [[p.text for p in group] async for group in grouped(pieces("a", "b", "c"), 60.0)]  # type: ignore[union-attr]
    assert slow == [["a"], ["b", "c"]]
    fast = [len(group) async for group in grouped(pieces("a", "b"), 0.0)]
    assert fast == [1, 1]


@pytest.fixture(scope="module")
def generator() -> Generator:
    return Generator(tiny_profile(), True, LOGS)


async def test_the_generator_serves_its_engine(generator: Generator) -> None:
    generation = await generator.generate(make_request())
    assert generation.texts[0].token_count <= 12
    groups = [group async for group in generator.stream(make_request(request_id="s"))]
    assert isinstance(groups[-1][-1], Generation)
    assert groups[-1][-1].texts == generation.texts
    assert (await generator.count_tokens(("a b", "")))[0] > 0
    assert (await generator.health()).ok
    await generator.check_health()
    await generator.cancel("nobody")


async def test_batching_is_changed_while_it_runs_and_typos_are_told(generator: Generator) -> None:
    generator.reconfigure({"max_batch_size": 3})
    with pytest.raises(ConfigurationError):
        generator.reconfigure({"max_batch": 3})


async def test_a_model_that_is_switched_off_is_never_loaded() -> None:
    off = Generator(tiny_profile(Path("/nowhere")), False, LOGS)
    assert (await off.health()).ok
    off.reconfigure({"max_batch_size": 3})
    with pytest.raises(ModelUnavailable):
        await off.generate(GenerationRequest(request_id="r", text="t"))


async def test_an_engine_that_stands_still_fails_the_health_check() -> None:
    stopped = Generator(tiny_profile(), True, LOGS)
    await stopped.__del__()
    with pytest.raises(RuntimeError):
        await stopped.check_health()


async def test_the_validator_takes_the_schema_from_the_executor() -> None:
    validator = SqlValidator(ValidatorConfig(), LocalHandle(FakeExecutor()), 5.0, LOGS)  # type: ignore[arg-type]
    verdict = await validator.validate("SELECT nope FROM projects", Caller(user_id="u"))
    assert not verdict.accepted
    assert (await validator.health()).ok


@pytest.mark.parametrize("profile", ["instruction", "house"])
async def test_the_prompt_builder_speaks_the_profile_of_its_model(
    generator: Generator,
    sample_database: EmbeddedDatabase,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    profile: Any,
) -> None:
    monkeypatch.setenv("DATABASE_URL", sample_database.dsn)
    executor = Executor(None, ExecutorConfig(), {"amount": "currency"}, tmp_path, LOGS)
    memory = Conversations(None, ConversationsConfig(), tmp_path, LOGS)
    builder = PromptBuilder(
        {"tiny": PromptConfig(profile=profile)},
        DOMAIN,
        LocalHandle(executor),  # type: ignore[arg-type]
        {"tiny": LocalHandle(generator)},  # type: ignore[dict-item]
        LocalHandle(memory),  # type: ignore[arg-type]
        5.0,
        LOGS,
    )
    question = make_question("How many active projects are there?", asked_at=ASKED_AT)
    context = await memory.context(question, 5)
    built = await builder.build(question, context)
    assert isinstance(built, Prompt)
    assert built.profile == profile
    assert bool(built.turns) == (profile == "instruction")
    assert len(await builder.interpret(built, ("???", "!"))) == 2
    assert (await builder.health()).ok
    assert (await executor.health()).ok
    assert len((await executor.schema()).tables) == 8
    for stage in (executor, memory):
        await stage.__del__()


async def test_conversations_are_kept_in_the_data_folder(tmp_path: Path) -> None:
    memory = Conversations(None, ConversationsConfig(), tmp_path / "data", LOGS)
    caller = Caller(user_id="ann")
    await memory.remember("c", caller, Exchange(question="q", at=ASKED_AT))
    context = await memory.context(make_question("next", conversation_id="c"), 5)
    assert [e.question for e in context.exchanges] == ["q"]
    await memory.clear("c", caller)
    assert (await memory.health()).ok
    await memory.__del__()
    assert (tmp_path / "data" / "conversations.sqlite").is_file()


def test_the_ingress_makes_its_app_over_handles(tmp_path: Path) -> None:
    handle: Any = LocalHandle(FakeExecutor())
    ingress = Ingress(ServiceConfig(), handle, handle, {"tiny": handle}, handle, handle, LOGS, None, tmp_path)
    assert len(list((tmp_path / "audit").glob("*.jsonl"))) == 1
    app = ingress.__serve_build_asgi_app__()
    assert "/api/chat" in {getattr(route, "path", "") for route in app.routes}


def test_without_credentials_the_ingress_serves_no_other_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever a Serve config says to the proxy."""
    monkeypatch.setattr("serve_app.ingress.served_host", lambda: "0.0.0.0")
    handle: Any = LocalHandle(FakeExecutor())
    handles = (handle, handle, {"tiny": handle}, handle, handle)
    with pytest.raises(ConfigurationError, match="PLUMBLINE_AUTH_MODE"):
        Ingress(ServiceConfig(), *handles, LOGS, None, tmp_path)
    monkeypatch.setenv("PLUMBLINE_AUTH_MODE", "jwt")
    monkeypatch.setenv("PLUMBLINE_AUTH_JWT_SECRET", "s" * 32)
    monkeypatch.setenv("PLUMBLINE_AUTH_JWT_AUDIENCE", "a")
    Ingress(ServiceConfig(access=Access(mode="jwt")), *handles, LOGS, None, tmp_path)
