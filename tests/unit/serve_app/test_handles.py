"""Ray's errors become the error tree, and a lost replica costs one more call."""

import asyncio
from typing import Any

import pytest
from fakes import make_question
from ray.exceptions import ActorDiedError, ActorUnavailableError, RayTaskError, TaskCancelledError
from ray.serve.exceptions import BackPressureError

from serve_app import handles
from serve_app.contracts import Caller, Exchange, GenerationRequest
from serve_app.errors import (
    DatabaseUnavailable,
    ExecutionFailed,
    GenerationTimeout,
    ModelUnavailable,
    Overloaded,
    PlumblineError,
    ValidationFailed,
)
from serve_app.handles import ConversationsHandle, ExecutorHandle, GeneratorHandle, as_plumbline_error

TIMEOUT_S = 5.0


def remote(cause: Exception) -> Exception:
    """An error as it comes back from another process."""
    error: Exception = RayTaskError("f", "remote traceback with secrets", cause).as_instanceof_cause()
    return error


class Response:
    """Stands for a DeploymentResponse: awaits to a value, an exception, or never."""

    def __init__(self, outcome: Any) -> None:
        self._outcome = outcome
        self.cancelled = False

    def __await__(self) -> Any:
        if self._outcome is Ellipsis:
            yield from asyncio.get_running_loop().create_future()
        if isinstance(self._outcome, Exception):
            raise self._outcome
        return self._outcome
        yield

    def cancel(self) -> None:
        self.cancelled = True


class Handle:
    """Stands for a DeploymentHandle whose calls have the given outcomes, one after the other."""

    deployment_name = "Stage"

    def __init__(self, *outcomes: Any) -> None:
        self.responses = [Response(outcome) for outcome in outcomes]
        self.calls: list[tuple[Any, ...]] = []
        self.called = asyncio.Event()

    def __getattr__(self, name: str) -> "Handle":
        return self

    def remote(self, *args: Any) -> Response:
        self.calls.append(args)
        self.called.set()
        return self.responses[len(self.calls) - 1]


@pytest.mark.parametrize("lost", [ActorDiedError(), ActorUnavailableError("gone", None)])
async def test_a_lost_replica_is_replaced_by_one_more_call(lost: Exception) -> None:
    handle = Handle(lost, "snapshot")
    assert await ExecutorHandle(handle, TIMEOUT_S).schema() == "snapshot"  # type: ignore[arg-type]
    assert len(handle.calls) == 2


async def test_a_replica_lost_twice_is_the_stage_s_own_error() -> None:
    for stage, expected in ((ExecutorHandle, DatabaseUnavailable), (ConversationsHandle, Overloaded)):
        with pytest.raises(expected) as raised:
            await stage(Handle(ActorDiedError(), ActorDiedError()), TIMEOUT_S).health()  # type: ignore[arg-type]
        assert raised.value.retry_after_s
        assert raised.value.detail == "ActorDiedError"


async def test_remembering_is_repeated_under_the_same_key() -> None:
    handle = Handle(ActorDiedError(), 3)
    exchange = Exchange(question="q", at=make_question().asked_at)
    stage = ConversationsHandle(handle, TIMEOUT_S)  # type: ignore[arg-type]
    assert await stage.remember("c", Caller(user_id="u"), exchange) == 3
    (*_, first), (*_, second) = handle.calls
    assert first == second


async def test_a_replica_that_hangs_is_left_after_the_limit_and_told() -> None:
    for stage, expected in ((ExecutorHandle, DatabaseUnavailable), (ConversationsHandle, Overloaded)):
        handle = Handle(...)
        with pytest.raises(expected) as raised:
            await stage(handle, 0.01).health()  # type: ignore[arg-type]
        assert raised.value.retry_after_s
        assert raised.value.detail == "no reply of Stage.health in time"
        assert handle.responses[0].cancelled


async def test_a_generation_has_its_own_time_before_it_counts_as_late(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(handles, "GENERATION_MARGIN_S", 0.05)
    request = REQUEST.model_copy(update={"timeout_s": 0.05})
    whole = GeneratorHandle(Handle(...), 0.001)  # type: ignore[arg-type]
    with pytest.raises(GenerationTimeout):
        await whole.generate(request)
    pieces = Pieces(["a"], ...)
    stream = GeneratorHandle(StreamHandle(pieces), 0.001).stream(request)  # type: ignore[arg-type]
    assert await anext(stream) == "a"  # type: ignore[comparison-overlap]
    with pytest.raises(GenerationTimeout):
        await anext(stream)
    assert pieces.cancelled


async def test_a_stage_s_error_arrives_as_itself_without_the_remote_traceback() -> None:
    error = ValidationFailed("No.", rule="r", detail="d")
    with pytest.raises(ValidationFailed) as raised:
        await ExecutorHandle(Handle(remote(error)), TIMEOUT_S).schema()  # type: ignore[arg-type]
    assert not isinstance(raised.value, RayTaskError)
    assert (raised.value.message, raised.value.rule, raised.value.detail) == ("No.", "r", "d")
    assert "remote" not in str(raised.value)


async def test_an_error_of_the_second_call_counts() -> None:
    with pytest.raises(ExecutionFailed):
        await ExecutorHandle(Handle(ActorDiedError(), remote(ExecutionFailed())), TIMEOUT_S).schema()  # type: ignore[arg-type]


def test_overload_bugs_and_foreign_cancellation_are_mapped() -> None:
    overloaded = as_plumbline_error(BackPressureError(5, 5, 503, 3.0), ModelUnavailable)
    assert isinstance(overloaded, Overloaded)
    assert overloaded.retry_after_s == 3.0
    assert isinstance(as_plumbline_error(TaskCancelledError(), ModelUnavailable), ModelUnavailable)
    bug = as_plumbline_error(remote(KeyError("x")), ModelUnavailable)
    assert type(bug) is PlumblineError
    assert "secrets" not in bug.message
    assert bug.detail == "remote traceback with secrets"
    own = ExecutionFailed()
    assert as_plumbline_error(own, ModelUnavailable) is own


async def test_cancelling_the_wait_tells_the_replica() -> None:
    handle = Handle(...)
    task = asyncio.create_task(ExecutorHandle(handle, TIMEOUT_S).schema())  # type: ignore[arg-type]
    await handle.called.wait()
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert handle.responses[0].cancelled


class Pieces:
    """Stands for a DeploymentResponseGenerator."""

    def __init__(self, *batches: Any) -> None:
        self._batches = list(batches)
        self.cancelled = False

    def __aiter__(self) -> "Pieces":
        return self

    async def __anext__(self) -> Any:
        if not self._batches:
            raise StopAsyncIteration
        batch = self._batches.pop(0)
        if batch is ...:
            await asyncio.get_running_loop().create_future()
        if isinstance(batch, Exception):
            raise batch
        return batch

    def cancel(self) -> None:
        self.cancelled = True


class StreamHandle(Handle):
    def __init__(self, pieces: Pieces) -> None:
        super().__init__()
        self._pieces = pieces

    def options(self, **_: Any) -> "StreamHandle":
        return self

    def remote(self, *args: Any) -> Any:
        return self._pieces


REQUEST = GenerationRequest(request_id="r", text="t")


async def test_a_stream_is_flattened_and_its_loss_is_the_model_s() -> None:
    pieces = Pieces(["a", "b"], ["c"])
    stream = GeneratorHandle(StreamHandle(pieces), TIMEOUT_S).stream(REQUEST)  # type: ignore[arg-type]
    assert [p async for p in stream] == ["a", "b", "c"]  # type: ignore[comparison-overlap]
    lost = GeneratorHandle(StreamHandle(Pieces(["a"], ActorDiedError())), TIMEOUT_S).stream(REQUEST)  # type: ignore[arg-type]
    with pytest.raises(ModelUnavailable):
        [p async for p in lost]


async def test_closing_a_stream_tells_the_replica() -> None:
    pieces = Pieces(["a"], ["b"])
    stream = GeneratorHandle(StreamHandle(pieces), TIMEOUT_S).stream(REQUEST)  # type: ignore[arg-type]
    await anext(stream)
    await stream.aclose()  # type: ignore[attr-defined]
    assert pieces.cancelled
