"""The engine that asks an OpenAI-compatible endpoint over HTTP."""

import asyncio
import logging
import os
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import aclosing
from typing import Any

import httpx
from pydantic import BaseModel, ValidationError

from deployments.generator.engine import EngineInfo
from deployments.generator.engine_config import EngineConfig, changed_config
from deployments.generator.model_profile import ModelProfile
from deployments.generator.prompt_text import check_prompt, plain_text
from deployments.generator.remote.config import RemoteModel
from deployments.generator.remote.counting import RemoteCounter, most_tokens
from deployments.generator.remote.failures import failure_of_status, told_as_ours
from deployments.generator.remote.slots import Slots
from deployments.generator.remote.wire import Answer, Answers, chunks, path_and_body
from serve_app.contracts import (
    GeneratedText,
    Generation,
    GenerationRequest,
    MemoryUsage,
    StageHealth,
    TokenChunk,
)
from serve_app.errors import (
    ConfigurationError,
    GenerationTimeout,
    InvalidRequest,
    ModelUnavailable,
    PlumblineError,
)
from serve_app.secret_files import read_secret

ENGINE_NAME = "openai"
HEALTH_TIMEOUT_S = 3.0
# Load balancers ask every second or so, and every replica asks for itself.
HEALTH_REUSE_S = 5.0
ERROR_BODY_BYTES = 4096

logger = logging.getLogger("plumbline.generator")
# Says every request; the pipeline's own log has them.
logging.getLogger("httpx").setLevel(logging.WARNING)

Emit = Callable[[str], None]


class _Model(BaseModel):
    id: str


class _Models(BaseModel):
    data: list[_Model]


class _Run:
    """A request on its way: what has come of it, and the task that reads more."""

    def __init__(self) -> None:
        self.answers: list[Answers] = []
        self.started_at = time.perf_counter()
        self.asked_at: float | None = None
        self.reader: asyncio.Task[None] | None = None
        self.cancelled = False


class RemoteEngine:
    """An `Engine` whose model runs elsewhere. Every answer is streamed, so that leaving ends it there too.

    At temperature 0 there is one text, however many candidates are asked for: the API has no beam search.

    Raises:
        ConfigurationError: the variable of the API key is not set, or the tokenizer cannot be read.
    """

    def __init__(
        self,
        profile: ModelProfile,
        remote: RemoteModel,
        config: EngineConfig | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self._profile = profile
        self._remote = remote
        self._key = _key(remote, os.environ if environ is None else environ)
        self._config = config or EngineConfig()
        self._slots = Slots(self._config)
        self._client = httpx.AsyncClient(
            base_url=remote.url,
            headers={"Authorization": f"Bearer {self._key}"} if self._key else {},
            timeout=httpx.Timeout(remote.idle_timeout_s, connect=remote.connect_timeout_s),
            limits=httpx.Limits(max_connections=None),
        )
        self._counter = RemoteCounter(remote, self._client)
        self._several_in_one = remote.candidates_in_one
        self._runs: defaultdict[str, list[_Run]] = defaultdict(list)
        self._closed = False
        self._health: tuple[float, bool, str] = (float("-inf"), True, "")
        logger.info("asking %s for %s", remote.url, remote.model)

    @property
    def info(self) -> EngineInfo:
        """Figures of the other machine are not known here and given as 0."""
        return EngineInfo(
            engine=ENGINE_NAME,
            model=self._profile.name,
            device="remote",
            quantization="unknown",
            dtype="unknown",
            context_tokens=self._profile.context_tokens,
            parameters=0,
            weights_bytes=0,
            load_s=0.0,
            supports_grammar=False,
        )

    async def submit(self, request: GenerationRequest) -> Generation:
        """See `Engine.submit`."""
        return await self._generate(request, None)

    async def stream(self, request: GenerationRequest) -> AsyncIterator[TokenChunk | Generation]:
        """See `Engine.stream`. With several candidates the best one comes as a single chunk at the end."""
        pieces: asyncio.Queue[str | None] = asyncio.Queue()
        result = asyncio.ensure_future(self._generate(request, pieces.put_nowait))
        result.add_done_callback(lambda _: pieces.put_nowait(None))
        try:
            while (piece := await pieces.get()) is not None:
                yield TokenChunk(text=piece)
            yield await result
        finally:
            result.cancel()
            await asyncio.wait([result])

    async def cancel(self, request_id: str) -> bool:
        runs = self._runs.get(request_id, [])
        for run in runs:
            run.cancelled = True
            if run.reader is not None:
                run.reader.cancel()
        return bool(runs)

    async def count_tokens(self, texts: tuple[str, ...]) -> tuple[int, ...]:
        """See `RemoteCounter`."""
        return await self._counter.counts(texts)

    def memory(self) -> MemoryUsage:
        """Nothing of the model lies in this process."""
        return MemoryUsage(device="remote", before_bytes=0, after_bytes=0, peak_bytes=0)

    async def health(self) -> StageHealth:
        """Whether the endpoint can be reached and knows the model; asked at most every few seconds."""
        asked_at, ok, detail = self._health
        if time.monotonic() - asked_at > HEALTH_REUSE_S:
            ok, detail = await self._asked_health()
            self._health = (time.monotonic(), ok, detail)
        return StageHealth(
            stage="generator",
            ok=ok and not self._closed,
            detail=detail,
            figures={
                "engine": ENGINE_NAME,
                "model": self._profile.name,
                "device": "remote",
                "queued_requests": self._slots.waiting,
                "active_requests": self._slots.running,
            },
        )

    def is_alive(self) -> bool:
        """A new process would find the same endpoint."""
        return not self._closed

    def reconfigure(self, **changes: Any) -> None:
        """See `Engine.reconfigure`; ``max_batch_size`` is how many requests run at once."""
        self._config = self._slots.config = changed_config(self._config, changes)
        self._slots.wake()

    async def close(self) -> None:
        self._closed = True
        for runs in list(self._runs.values()):
            for run in runs:
                if run.reader is not None:
                    run.reader.cancel()
        await self._client.aclose()

    async def _generate(self, request: GenerationRequest, emit: Emit | None) -> Generation:
        self._check(request)
        run = _Run()
        self._runs[request.request_id].append(run)
        try:
            async with asyncio.timeout(request.timeout_s):
                run.reader = asyncio.create_task(self._read(request, run, emit))
                await _ended(run.reader)
        except TimeoutError as error:
            raise GenerationTimeout(
                f"The language model took more than {request.timeout_s:g} s. "
                "Try a simpler question, or try again."
            ) from error
        except asyncio.CancelledError:
            if self._closed:
                raise _closed() from None
            task = asyncio.current_task()
            if not run.cancelled or (task is not None and task.cancelling()):
                raise
        finally:
            self._runs[request.request_id].remove(run)
            if not self._runs[request.request_id]:
                del self._runs[request.request_id]
        return await self._generation(request, run)

    async def _read(self, request: GenerationRequest, run: _Run, emit: Emit | None) -> None:
        """Read every text into ``run``; a single one is handed on as it comes."""
        params = request.params
        count = params.candidates if params.temperature > 0 else 1
        async with self._slots.one():
            run.asked_at = time.perf_counter()
            with told_as_ours():
                if count == 1:
                    await self._ask(request, run, 1, 0, emit)
                    return
                await self._ask_for_several(request, run, count)
        if emit is not None:
            best = _ranked(run)[0]
            emit(best.text)

    async def _ask_for_several(self, request: GenerationRequest, run: _Run, count: int) -> None:
        """By one request where the endpoint can; what it leaves out is asked for one by one."""
        if self._several_in_one is not False:
            try:
                await self._ask(request, run, count, 0, None)
            except InvalidRequest:
                if self._several_in_one:
                    raise
                run.answers.clear()
        missing = count - sum(len(answers.texts) for answers in run.answers)
        if missing:
            await _all([self._ask(request, run, 1, nth, None) for nth in range(count - missing, count)])
        if self._several_in_one is None:
            self._several_in_one = missing == 0

    async def _ask(
        self, request: GenerationRequest, run: _Run, count: int, nth: int, emit: Emit | None
    ) -> None:
        """One HTTP request; closing it, in whatever way, ends the generation over there."""
        chat = self._profile.prompt_format == "chat"
        path, body = path_and_body(request, self._remote, chat, count, nth)
        answers = Answers([Answer() for _ in range(count)])
        run.answers.append(answers)
        async with self._client.stream("POST", path, json=body) as response:
            if response.status_code != 200:
                raise failure_of_status(response, await _beginning(response), self._remote.model, self._key)
            done = False
            async with aclosing(chunks(response)) as stream:
                async for chunk in stream:
                    if chunk is None:
                        done = True
                        break
                    grown = answers.take(chunk)
                    if grown and emit is not None:
                        emit(grown)
        answers.end(done)

    def _check(self, request: GenerationRequest) -> None:
        if self._closed:
            raise _closed()
        check_prompt(request)
        if request.text is not None or self._profile.prompt_format == "raw":
            plain_text(request)
        if request.params.grammar is not None:
            raise InvalidRequest("This engine does not support output grammars; leave params.grammar empty.")
        if "" in request.params.stop:
            raise InvalidRequest("A stop text must not be empty; leave it out of params.stop.")

    async def _generation(self, request: GenerationRequest, run: _Run) -> Generation:
        now = time.perf_counter()
        asked_at = run.asked_at or now
        counted = next((a.prompt_tokens for a in run.answers if a.prompt_tokens), None)
        if counted is None:
            texts = (request.text,) if request.text is not None else tuple(t.content for t in request.turns)
            counted = sum(map(most_tokens, texts)) if run.cancelled else sum(await self.count_tokens(texts))
        return Generation(
            texts=tuple(_ranked(run)),
            prompt_tokens=counted,
            engine=ENGINE_NAME,
            model=self._profile.name,
            queue_ms=(asked_at - run.started_at) * 1e3,
            inference_ms=(now - asked_at) * 1e3,
            batch_size=max(self._slots.running, 1),
            memory=self.memory(),
        )

    async def _asked_health(self) -> tuple[bool, str]:
        name = self._profile.name
        try:
            with told_as_ours():
                response = await self._client.get("models", timeout=HEALTH_TIMEOUT_S)
        except PlumblineError as error:
            logger.warning("health of the endpoint: %s", error.detail)
            return False, f"The endpoint of {name} cannot be reached."
        if response.status_code in (401, 403):
            return False, f"The endpoint of {name} refuses this server's credentials."
        if response.status_code >= 500:
            return False, f"The endpoint of {name} is not ready."
        try:
            known = {model.id for model in _Models.model_validate_json(response.content).data}
        except ValidationError:
            return True, f"The endpoint of {name} answers; it lists no models."
        if self._remote.model not in known:
            return False, f"The endpoint of {name} has no model {self._remote.model}."
        return True, f"{name} is ready at its endpoint."


def _ranked(run: _Run) -> list[GeneratedText]:
    """The texts, best first where the endpoint gives log-probabilities, else as they came."""
    texts: list[GeneratedText] = []
    for answers in run.answers:
        share = (answers.completion_tokens or 0) // max(len(answers.texts), 1)
        texts += [answer.generated(share or len(answer.pieces)) for answer in answers.texts]
    if not texts:
        return [Answer().generated(0)]
    if any(text.mean_logprob is None for text in texts):
        return texts
    return sorted(texts, key=lambda text: -(text.mean_logprob or 0.0) * text.token_count)


def _key(remote: RemoteModel, environ: Mapping[str, str]) -> str | None:
    if remote.api_key_variable is None:
        return None
    key = (read_secret(remote.api_key_variable, environ) or "").strip()
    if not key:
        raise ConfigurationError(
            f"The variable {remote.api_key_variable}, which the model profile names for the API key of "
            f"{remote.url}, is not set."
        )
    if not key.isascii() or not key.isprintable():
        raise ConfigurationError(
            f"The variable {remote.api_key_variable} holds no API key: it is not plain text."
        )
    return key


def _closed() -> ModelUnavailable:
    return ModelUnavailable("The language model is shutting down. Please try again in a moment.")


async def _beginning(response: httpx.Response) -> str:
    found = b""
    async for block in response.aiter_bytes():
        found += block
        if len(found) >= ERROR_BODY_BYTES:
            break
    return found[:ERROR_BODY_BYTES].decode("utf-8", errors="replace")


async def _ended(task: "asyncio.Task[None]") -> None:
    """Wait for a task; whoever leaves takes it along and waits until its connection is closed."""
    try:
        await asyncio.shield(task)
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait([task])


async def _all(work: Sequence[Coroutine[Any, Any, None]]) -> None:
    """Run together; the first failure ends the others."""
    tasks = [asyncio.create_task(one) for one in work]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
