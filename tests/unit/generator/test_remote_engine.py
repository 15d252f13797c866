"""The remote engine against a real HTTP server, whatever that server does."""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from tiny_models import make_request, tiny_mistral_folder

from deployments.generator.deployment import Generator
from deployments.generator.model_profile import ModelProfile, load_profile
from deployments.generator.remote.engine import RemoteEngine
from serve_app.contracts import ChatTurn, Generation, GenerationRequest, TokenChunk
from serve_app.errors import (
    ConfigurationError,
    GenerationFailed,
    GenerationTimeout,
    InvalidRequest,
    ModelUnavailable,
    Overloaded,
    PlumblineError,
)
from serve_app.settings.tree import LoggingSettings
from tests.endpoint import DONE, MODEL, FakeEndpoint, Say, chunk, event, saying, serving, usage

KEY = "sk-very-secret-key"
TURNS = (ChatTurn(role="system", content="Write SQL."), ChatTurn(role="user", content="How many jobs?"))
SHIPPED = Path(__file__).parents[3] / "configs" / "models" / "remote.yaml"
MakeRemote = Callable[..., RemoteEngine]


def asking(**changes: Any) -> GenerationRequest:
    return make_request(None, turns=TURNS, **changes)


@pytest.fixture
async def endpoint() -> AsyncIterator[FakeEndpoint]:
    async with serving(FakeEndpoint()) as running:
        yield running


def profile(url: str, remote: dict[str, Any] | None = None, **changes: Any) -> ModelProfile:
    values = {"name": "far", "prompt_profile": "instruction", "prompt_format": "chat"}
    return ModelProfile.model_validate(
        values | changes | {"remote": {"url": url, "model": MODEL, "idle_timeout_s": 5.0} | (remote or {})}
    )


@pytest.fixture
async def make_remote(endpoint: FakeEndpoint) -> AsyncIterator[MakeRemote]:
    engines: list[RemoteEngine] = []

    def make(
        remote: dict[str, Any] | None = None, environ: dict[str, str] | None = None, **changes: Any
    ) -> RemoteEngine:
        made = profile(endpoint.url, remote, **changes)
        assert made.remote is not None
        engine = RemoteEngine(made, made.remote, environ=environ or {})
        engines.append(engine)
        return engine

    yield make
    for engine in engines:
        await engine.close()


async def collected(engine: RemoteEngine, request: GenerationRequest) -> tuple[list[str], Generation]:
    pieces: list[str] = []
    async for piece in engine.stream(request):
        if isinstance(piece, Generation):
            return pieces, piece
        pieces.append(piece.text)
    raise AssertionError("the stream ended without a Generation")


async def silence(body: dict[str, Any], say: Say) -> None:
    await say(chunk("SELECT"))
    await asyncio.Event().wait()


async def test_a_stream_comes_in_pieces_and_adds_up(endpoint: FakeEndpoint, make_remote: MakeRemote) -> None:
    endpoint.script = saying(
        ": a comment\n\n",
        chunk("SELECT ", logprobs=[-0.5, -0.1]),
        chunk("count(*)", logprobs=[-0.2]) + chunk(finish="stop"),
        usage(31, 3),
        DONE,
    )
    pieces, generation = await collected(make_remote(), asking(max_new_tokens=77, stop=("zz",), seed=3))
    assert pieces == ["SELECT ", "count(*)"]
    (text,) = generation.texts
    assert (text.text, text.finish_reason, text.token_count) == ("SELECT count(*)", "stop", 3)
    assert (text.mean_logprob, text.min_logprob) == (pytest.approx(-0.8 / 3), -0.5)
    assert (generation.prompt_tokens, generation.engine, generation.model) == (31, "openai", "far")
    ((path, body),) = endpoint.asked
    assert path == "/v1/chat/completions"
    assert body == {
        "model": MODEL,
        "messages": [turn.model_dump() for turn in TURNS],
        "stream": True,
        "stream_options": {"include_usage": True},
        "temperature": 0.0,
        "top_p": 0.95,
        "max_tokens": 77,
        "seed": 3,
        "stop": ["zz"],
        "logprobs": True,
    }


async def test_what_an_endpoint_does_not_take_is_left_out(
    endpoint: FakeEndpoint, make_remote: MakeRemote
) -> None:
    remote = {"logprobs": False, "usage": False, "top_k": True, "max_tokens_field": "max_completion_tokens"}
    generation = await make_remote(remote).submit(asking(temperature=0.4))
    (body,) = endpoint.bodies
    assert body["top_k"] == 50
    assert body["max_completion_tokens"] == 12
    assert not {"logprobs", "stream_options", "max_tokens", "n", "seed", "stop"} & set(body)
    assert generation.texts[0].mean_logprob is None
    assert generation.texts[0].token_count > 0
    assert generation.prompt_tokens == sum(len(turn.content) for turn in TURNS)


async def test_a_base_model_gets_one_text(endpoint: FakeEndpoint, make_remote: MakeRemote) -> None:
    choice = {"index": 0, "text": "SELECT 1", "logprobs": {"token_logprobs": [None, -0.25]}}
    endpoint.script = saying(event({"choices": [choice | {"finish_reason": "length"}]}), DONE)
    generation = await make_remote(prompt_format="raw").submit(asking())
    ((path, body),) = endpoint.asked
    assert path == "/v1/completions"
    assert body["prompt"] == "Write SQL.\n\nHow many jobs?\n"
    assert body["logprobs"] == 0
    text = generation.texts[0]
    assert (text.text, text.finish_reason, text.mean_logprob) == ("SELECT 1", "length", -0.25)


async def test_the_end_may_be_told_by_the_finish_reason_alone(
    endpoint: FakeEndpoint, make_remote: MakeRemote
) -> None:
    endpoint.script = saying(chunk("SELECT 1", finish="stop").rstrip("\n"))
    assert (await make_remote().submit(asking())).texts[0].text == "SELECT 1"


# candidates


async def many(body: dict[str, Any], say: Say) -> None:
    for index in range(body.get("n", 1)):
        await say(chunk(f"q{index}", index, logprobs=[-3.0 + index]))
    for index in range(body.get("n", 1)):
        await say(chunk(index=index, finish="stop"))
    await say(DONE)


async def only_one(body: dict[str, Any], say: Say) -> None:
    await say(chunk(f"seed {body.get('seed')}", logprobs=[-1.0], finish="stop") + DONE)


async def test_candidates_come_in_one_request_best_first(
    endpoint: FakeEndpoint, make_remote: MakeRemote
) -> None:
    endpoint.script = many
    pieces, generation = await collected(make_remote(), asking(candidates=3, temperature=0.7))
    assert [text.text for text in generation.texts] == ["q2", "q1", "q0"]
    assert pieces == ["q2"]
    assert [body["n"] for body in endpoint.bodies] == [3]


async def test_an_endpoint_that_gives_one_is_asked_for_the_rest(
    endpoint: FakeEndpoint, make_remote: MakeRemote
) -> None:
    """And is known then."""
    endpoint.script = only_one
    engine = make_remote()
    generation = await engine.submit(asking(candidates=3, temperature=0.7, seed=5))
    assert sorted(text.text for text in generation.texts) == ["seed 5", "seed 6", "seed 7"]
    assert [body.get("n") for body in endpoint.bodies] == [3, None, None]
    await engine.submit(asking(candidates=2, temperature=0.7))
    assert [body.get("n") for body in endpoint.bodies[3:]] == [None, None]


async def test_an_endpoint_that_refuses_n_is_asked_one_by_one(
    endpoint: FakeEndpoint, make_remote: MakeRemote
) -> None:
    engine = make_remote({"candidates_in_one": False})
    endpoint.script = only_one
    generation = await engine.submit(asking(candidates=4, temperature=0.7, seed=1))
    assert len(generation.texts) == 4
    assert all("n" not in body for body in endpoint.bodies)


async def test_greedy_decoding_gives_one_text(endpoint: FakeEndpoint, make_remote: MakeRemote) -> None:
    generation = await make_remote().submit(asking(candidates=4))
    assert len(generation.texts) == len(endpoint.asked) == 1


async def test_one_failing_candidate_ends_the_others(endpoint: FakeEndpoint, make_remote: MakeRemote) -> None:
    async def script(body: dict[str, Any], say: Say) -> None:
        if body["seed"] == 2:
            await say(event("no json"))
        else:
            await silence(body, say)

    endpoint.script = script
    engine = make_remote({"candidates_in_one": False})
    with pytest.raises(GenerationFailed):
        await engine.submit(asking(candidates=3, temperature=0.7, seed=1))
    async with asyncio.timeout(5):
        await endpoint.left.wait()


# what goes wrong

GARBAGE = {
    "no json": event("{nonsense"),
    "a list": event("[1]"),
    "choices a number": event({"choices": 3}),
    "another index": event({"choices": [{"index": 9, "delta": {"content": "x"}}]}),
    "a negative index": event({"choices": [{"index": -1, "delta": {"content": "x"}}]}),
    "no number": event('{"choices": [{"logprobs": {"content": [{"logprob": NaN}]}}]}'),
    "an error": event({"error": {"message": "out of memory"}}),
    "deep": event("[" * 100_000),
    "nothing": "",
    "done at once": DONE,
    "broken off": chunk("SELECT * FROM expen"),
    "html": "<html>busy</html>",
}


@pytest.mark.parametrize("content", GARBAGE.values(), ids=GARBAGE.keys())
async def test_garbage_is_a_failed_generation(
    endpoint: FakeEndpoint, make_remote: MakeRemote, content: str
) -> None:
    endpoint.script = saying(content)
    engine = make_remote()
    with pytest.raises(GenerationFailed):
        await collected(engine, asking())
    endpoint.script = saying(chunk("SELECT 1", finish="stop"), DONE)
    assert (await engine.submit(asking())).texts[0].text == "SELECT 1"


async def test_an_answer_without_an_end_is_cut(
    endpoint: FakeEndpoint, make_remote: MakeRemote, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deployments.generator.remote.wire.MAX_RESPONSE_BYTES", 50_000)

    async def script(body: dict[str, Any], say: Say) -> None:
        while True:
            await say("data: " + "x" * 4096)

    endpoint.script = script
    with pytest.raises(GenerationFailed) as caught:
        await make_remote().submit(asking())
    assert "more than 50000 bytes" in str(caught.value.detail)


async def test_a_page_instead_of_a_stream_is_refused(endpoint: FakeEndpoint, make_remote: MakeRemote) -> None:
    endpoint.content_type = "text/html"
    with pytest.raises(GenerationFailed):
        await make_remote().submit(asking())


async def test_a_cut_connection_is_a_failed_generation(
    endpoint: FakeEndpoint, make_remote: MakeRemote, caplog: pytest.LogCaptureFixture
) -> None:
    async def script(body: dict[str, Any], say: Say) -> None:
        await say(chunk("SELECT"))
        raise ConnectionResetError("the server went away")

    endpoint.script = script
    with caplog.at_level(logging.CRITICAL, "aiohttp"), pytest.raises(GenerationFailed):
        await make_remote().submit(asking())


@pytest.mark.parametrize(
    ("status", "headers", "kind", "retry_after_s"),
    [
        (400, {}, InvalidRequest, None),
        (413, {}, InvalidRequest, None),
        (401, {}, ModelUnavailable, None),
        (403, {}, ModelUnavailable, None),
        (404, {}, ModelUnavailable, None),
        (408, {}, GenerationTimeout, None),
        (504, {}, GenerationTimeout, None),
        (429, {"Retry-After": "7"}, Overloaded, 7.0),
        (429, {"Retry-After": "-3"}, Overloaded, 0.0),
        (429, {"Retry-After": "99999999"}, Overloaded, 600.0),
        (503, {"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}, Overloaded, 5.0),
        (503, {}, Overloaded, 5.0),
        (500, {}, GenerationFailed, None),
        (502, {}, GenerationFailed, None),
        (302, {"Location": "http://127.0.0.1:1/"}, GenerationFailed, None),
    ],
)
async def test_statuses_are_our_errors(
    endpoint: FakeEndpoint,
    make_remote: MakeRemote,
    status: int,
    headers: dict[str, str],
    kind: type[PlumblineError],
    retry_after_s: float | None,
) -> None:
    endpoint.status, endpoint.headers = status, headers
    endpoint.body = f"your key {KEY} and " + "a long story " * 2000
    engine = make_remote({"api_key_variable": "THE_KEY"}, environ={"THE_KEY": KEY})
    with pytest.raises(PlumblineError) as caught:
        await engine.submit(asking())
    error = caught.value
    assert type(error) is kind
    assert error.retry_after_s == retry_after_s
    assert KEY not in f"{error.message}{error.detail}{error!r}"
    assert "story" not in error.message
    assert len(error.detail or "") < 1000


async def test_a_wrong_model_name_is_told(endpoint: FakeEndpoint, make_remote: MakeRemote) -> None:
    endpoint.status, endpoint.body = 404, '{"error": "model not found"}'
    with pytest.raises(ModelUnavailable, match=f"has no model {MODEL}"):
        await make_remote().submit(asking())


async def test_an_endpoint_that_is_not_there_is_unavailable(make_remote: MakeRemote) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        engine = make_remote({"url": f"http://127.0.0.1:{free.getsockname()[1]}/v1"})
        with pytest.raises(ModelUnavailable, match="cannot be reached"):
            await engine.submit(asking())
        health = await engine.health()
    assert not health.ok
    assert engine.is_alive()


async def test_a_refusal_is_a_text_for_the_prompt_s_profile(
    endpoint: FakeEndpoint, make_remote: MakeRemote
) -> None:
    choice = {"index": 0, "delta": {"refusal": "I can't help with that."}, "finish_reason": "stop"}
    endpoint.script = saying(event({"choices": [choice]}), DONE)
    generation = await make_remote().submit(asking())
    assert generation.texts[0].text == "I can't help with that."


async def test_what_a_filter_cut_off_is_no_statement(endpoint: FakeEndpoint, make_remote: MakeRemote) -> None:
    endpoint.script = saying(chunk("DELETE FROM x", finish="content_filter"), DONE)
    generation = await make_remote().submit(asking())
    assert generation.texts[0].text == ""


# time


async def test_a_slow_answer_times_out_and_is_ended_there(
    endpoint: FakeEndpoint, make_remote: MakeRemote
) -> None:
    endpoint.script = silence
    with pytest.raises(GenerationTimeout, match=r"took more than 0\.3 s"):
        await make_remote().submit(asking(timeout_s=0.3))
    async with asyncio.timeout(5):
        await endpoint.left.wait()


async def test_silence_times_out(endpoint: FakeEndpoint, make_remote: MakeRemote) -> None:
    endpoint.script = silence
    with pytest.raises(GenerationTimeout):
        await make_remote({"idle_timeout_s": 0.2}).submit(asking(timeout_s=30))


async def test_leaving_the_stream_closes_the_connection(
    endpoint: FakeEndpoint, make_remote: MakeRemote
) -> None:
    endpoint.script = silence
    stream = make_remote().stream(asking())
    assert await anext(stream) == TokenChunk(text="SELECT")
    await stream.aclose()  # type: ignore[attr-defined]
    async with asyncio.timeout(5):
        await endpoint.left.wait()


async def test_cancelling_the_task_closes_the_connection(
    endpoint: FakeEndpoint, make_remote: MakeRemote
) -> None:
    endpoint.script = silence
    task = asyncio.create_task(make_remote().submit(asking()))
    while not endpoint.running:  # noqa: ASYNC110
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with asyncio.timeout(5):
        await endpoint.left.wait()


async def test_cancel_gives_what_there_was(endpoint: FakeEndpoint, make_remote: MakeRemote) -> None:
    endpoint.script = silence
    engine = make_remote()
    stream = engine.stream(asking(request_id="r7"))
    assert await anext(stream) == TokenChunk(text="SELECT")
    assert await engine.cancel("r7")
    generation = await anext(stream)
    assert isinstance(generation, Generation)
    assert (generation.texts[0].text, generation.texts[0].finish_reason) == ("SELECT", "cancelled")
    assert not await engine.cancel("r7")
    async with asyncio.timeout(5):
        await endpoint.left.wait()


async def test_requests_wait_for_their_turn_and_then_are_refused(
    endpoint: FakeEndpoint, make_remote: MakeRemote
) -> None:
    release = asyncio.Event()

    async def script(body: dict[str, Any], say: Say) -> None:
        await release.wait()
        await say(chunk("SELECT 1", finish="stop") + DONE)

    endpoint.script = script
    engine = make_remote()
    engine.reconfigure(max_batch_size=2, max_queued_requests=3)
    tasks = [asyncio.create_task(engine.submit(asking(request_id=str(n)))) for n in range(5)]
    while endpoint.running < 2:  # noqa: ASYNC110
        await asyncio.sleep(0)
    with pytest.raises(Overloaded):
        await engine.submit(asking())
    assert (await engine.health()).figures["queued_requests"] == 3
    tasks[3].cancel()
    assert await asyncio.wait_for(asyncio.gather(tasks[3], return_exceptions=True), 5)
    assert not await engine.cancel("3")
    release.set()
    generations = await asyncio.gather(*(task for n, task in enumerate(tasks) if n != 3))
    assert endpoint.most_running == 2
    assert max(generation.queue_ms for generation in generations) > 0
    assert engine.health
    with pytest.raises(ConfigurationError, match="max_batch_size"):
        engine.reconfigure(max_batch_size=0)


async def test_closing_fails_what_runs_and_refuses_the_rest(
    endpoint: FakeEndpoint, make_remote: MakeRemote
) -> None:
    endpoint.script = silence
    engine = make_remote()
    running = asyncio.create_task(engine.submit(asking()))
    while not endpoint.running:  # noqa: ASYNC110
        await asyncio.sleep(0)
    await engine.close()
    with pytest.raises(ModelUnavailable):
        await running
    with pytest.raises(ModelUnavailable):
        await engine.submit(asking())
    assert not engine.is_alive()


@pytest.mark.parametrize(
    "request_",
    [
        make_request("text", turns=TURNS),
        make_request(None),
        make_request("  "),
        asking(stop=("",)),
        asking(grammar="start: 'x'"),
    ],
)
async def test_impossible_requests_are_not_sent(
    endpoint: FakeEndpoint, make_remote: MakeRemote, request_: GenerationRequest
) -> None:
    with pytest.raises(InvalidRequest):
        await make_remote().submit(request_)
    assert not endpoint.asked


# keys


async def test_the_key_is_sent_and_never_told(
    endpoint: FakeEndpoint, make_remote: MakeRemote, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, "plumbline"):
        engine = make_remote({"api_key_variable": "THE_KEY"}, environ={"THE_KEY": f" {KEY}\n"})
        await engine.submit(asking())
        health = await engine.health()
    assert endpoint.keys == [f"Bearer {KEY}"] * 2
    assert KEY not in caplog.text + health.model_dump_json() + engine.info.model_dump_json()


async def test_without_a_variable_no_key_is_sent(endpoint: FakeEndpoint, make_remote: MakeRemote) -> None:
    await make_remote().submit(asking())
    assert endpoint.keys == [None]


@pytest.mark.parametrize("value", ["", "  ", "schlüssel", "two\nlines"])
def test_a_missing_key_is_told_at_the_start(value: str) -> None:
    made = profile("http://127.0.0.1:9/v1", {"api_key_variable": "THE_KEY"})
    assert made.remote is not None
    with pytest.raises(ConfigurationError, match="The variable THE_KEY") as caught:
        RemoteEngine(made, made.remote, environ={"THE_KEY": value})
    assert "lüssel" not in caught.value.message


# counting


async def test_tokens_are_counted_by_the_model_s_tokenizer(
    endpoint: FakeEndpoint, make_remote: MakeRemote
) -> None:
    engine = make_remote({"tokenizer": tiny_mistral_folder() / "tokenizer.json"})
    words, control, empty = await engine.count_tokens(("random weights", "[INST]", ""))
    assert 1 < words < len("random weights")
    assert control > 1
    assert empty == 0
    assert not endpoint.counted


async def test_tokens_are_counted_by_the_endpoint(endpoint: FakeEndpoint, make_remote: MakeRemote) -> None:
    endpoint.tokenize = lambda body: {"count": len(body["prompt"].split()), "max_model_len": 4096}
    assert await make_remote().count_tokens(("one two three", "four", "")) == (3, 1, 0)
    endpoint.tokenize = lambda body: {"tokens": list(range(len(body["content"].split())))}
    assert await make_remote().count_tokens(("one two three",)) == (3,)
    assert endpoint.counted == ["one two three", "four", "one two three"]


@pytest.mark.parametrize("answer", [{}, [], {"count": "many"}, {"count": 0}, {"count": -4}])
async def test_what_cannot_be_counted_is_never_counted_too_low(
    endpoint: FakeEndpoint, make_remote: MakeRemote, answer: Any
) -> None:
    endpoint.tokenize = lambda body: answer
    assert await make_remote().count_tokens(("größer",)) == (len("größer".encode()),)


async def test_an_endpoint_that_does_not_count_is_asked_once(
    endpoint: FakeEndpoint, make_remote: MakeRemote
) -> None:
    engine = make_remote()
    for _ in range(3):
        assert await engine.count_tokens(("größer",)) == (len("größer".encode()),)
    assert len(endpoint.counted) == 1


def test_a_tokenizer_that_is_not_there_is_told(tmp_path: Path) -> None:
    made = profile("http://127.0.0.1:9/v1", {"tokenizer": tmp_path / "nothing.json"})
    assert made.remote is not None
    with pytest.raises(ConfigurationError, match="cannot be read"):
        RemoteEngine(made, made.remote, environ={})


# health


@pytest.mark.parametrize(
    ("changes", "ok", "detail"),
    [
        ({}, True, "far is ready at its endpoint."),
        ({"models": ("another",)}, False, f"has no model {MODEL}"),
        ({"status": 404}, True, "lists no models"),
        ({"status": 401}, False, "refuses this server's credentials"),
        ({"status": 500}, False, "is not ready"),
    ],
)
async def test_health_is_that_of_the_endpoint(
    endpoint: FakeEndpoint, make_remote: MakeRemote, changes: dict[str, Any], ok: bool, detail: str
) -> None:
    for name, value in changes.items():
        setattr(endpoint, name, value)
    engine = make_remote()
    health = await engine.health()
    assert health.ok == ok
    assert detail in health.detail
    asked = len(endpoint.keys)
    await engine.health()
    assert len(endpoint.keys) == asked


# the profile


async def test_the_deployment_takes_the_engine_of_the_profile(endpoint: FakeEndpoint) -> None:
    """And a sick endpoint does not make Serve replace the replica."""
    generator = Generator(profile(endpoint.url), True, LoggingSettings())
    assert (await generator.generate(asking())).engine == "openai"
    endpoint.status = 500
    assert not (await generator.health()).ok
    await generator.check_health()
    await generator.__del__()
    with pytest.raises(RuntimeError):
        await generator.check_health()


def test_the_shipped_profile_loads() -> None:
    shipped = load_profile(SHIPPED)
    assert shipped.remote is not None
    assert shipped.remote.counting_url == "http://127.0.0.1:8001/tokenize"
    other = shipped.override("another", "4bit")
    assert other.remote is not None
    assert (other.name, other.source, other.folder) == ("another", "another", None)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"folder": "x"}, "exactly one of model_id, folder, remote, got folder and remote"),
        ({"prompt_profile": "house"}, "the house model runs on this machine"),
        ({"adapter": "x"}, "an adapter is loaded at the endpoint"),
    ],
)
def test_contradictions_are_told(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        profile("http://localhost/v1", **changes)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("ftp://user:hidden@host/v1", "must be an http"),
        ("localhost:8000", "must be an http"),
        ("http://user:hidden@host/v1", "must hold no credentials"),
        ("http://host/v1?key=hidden", "must hold no credentials"),
    ],
)
def test_addresses_with_secrets_are_refused_and_not_repeated(tmp_path: Path, url: str, reason: str) -> None:
    path = tmp_path / "far.yaml"
    path.write_text(SHIPPED.read_text().replace("http://127.0.0.1:8001/v1", url))
    with pytest.raises(ConfigurationError, match=reason) as caught:
        load_profile(path)
    assert "hidden" not in caught.value.message


def test_finetuned_weights_belong_to_the_endpoint(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="Load the weights there"):
        profile("http://localhost/v1").finetuned(tmp_path)
