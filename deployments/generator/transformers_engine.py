"""The engine that computes here, with `transformers`: Mistral-7B on a GPU, the house model on a CPU."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import torch

from deployments.generator.detokenizer import Detokenizer
from deployments.generator.engine import EngineInfo
from deployments.generator.engine_config import EngineConfig, changed_config
from deployments.generator.grammar import GrammarCompiler, RowMatchers
from deployments.generator.jobs import Job
from deployments.generator.loading import LoadedModel, load_model
from deployments.generator.memory import MemoryMeter, free_bytes, used_bytes
from deployments.generator.model_profile import ModelProfile
from deployments.generator.prompt_encoding import PromptEncoder
from deployments.generator.scheduler import Scheduler, SchedulerState
from serve_app.contracts import Generation, GenerationRequest, MemoryUsage, StageHealth, TokenChunk
from serve_app.errors import GenerationTimeout, InvalidRequest

ENGINE_NAME = "transformers"


class TransformersEngine:
    """An `Engine` over a local model. Loads it on construction, which takes seconds to minutes.

    Raises:
        ModelUnavailable, ConfigurationError: a start-up check failed; see `checks` and `loading`.
    """

    def __init__(
        self,
        profile: ModelProfile,
        config: EngineConfig | None = None,
        loaded: LoadedModel | None = None,
    ) -> None:
        """``loaded``: a model of this profile that is in memory already."""
        self._profile = profile
        self._config = config or EngineConfig()
        self._loaded = loaded or load_model(profile)
        self._prompts = PromptEncoder(
            self._loaded.tokenizer,
            self._loaded.backend,
            self._loaded.context_tokens,
            chat=profile.prompt_format == "chat",
        )
        self._grammars = GrammarCompiler(
            self._loaded.backend, self._loaded.model.config.vocab_size, self._loaded.end_tokens
        )
        skip = profile.skip_special_tokens
        backend = self._loaded.backend
        detokenizer = Detokenizer(
            lambda ids: backend.decode(ids, skip_special_tokens=skip), self._loaded.end_tokens
        )
        self._info = _info(profile, self._loaded)
        self._scheduler = Scheduler(self._loaded, detokenizer, ENGINE_NAME, self._config)
        self._scheduler.start()

    @property
    def info(self) -> EngineInfo:
        return self._info

    @property
    def config(self) -> EngineConfig:
        return self._config

    @property
    def profile(self) -> ModelProfile:
        return self._profile

    async def submit(self, request: GenerationRequest) -> Generation:
        """See `Engine.submit`."""
        job = self._job(request, await self._matchers(request), on_text=None)
        self._scheduler.enqueue(job)
        return await self._result(job, request.timeout_s)

    async def stream(self, request: GenerationRequest) -> AsyncIterator[TokenChunk | Generation]:
        """See `Engine.stream`. With several candidates the best one comes as a single chunk at the end."""
        loop = asyncio.get_running_loop()
        pieces: asyncio.Queue[str | None] = asyncio.Queue()

        def emit(text: str | None) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(pieces.put_nowait, text)

        job = self._job(request, await self._matchers(request), on_text=emit)
        job.future.add_done_callback(lambda _: emit(None))
        self._scheduler.enqueue(job)
        result = asyncio.ensure_future(self._result(job, request.timeout_s))
        try:
            while (piece := await pieces.get()) is not None:
                yield TokenChunk(text=piece)
            yield await result
        finally:
            result.cancel()

    async def cancel(self, request_id: str) -> bool:
        return self._scheduler.cancel(request_id)

    async def count_tokens(self, texts: tuple[str, ...]) -> tuple[int, ...]:
        return self._prompts.count(texts)

    def memory(self) -> MemoryUsage:
        return MemoryMeter(self._loaded.device).usage()

    async def health(self) -> StageHealth:
        state = self._scheduler.state()
        stalled = self._stalled(state)
        device = self._loaded.device
        if not state.alive:
            detail = "The generation thread has ended; the replica must be restarted."
        elif stalled:
            detail = f"A generation step has been running for {state.step_running_s:.0f} s."
        else:
            detail = f"{self._info.model} is ready on {self._info.device}."
        return StageHealth(
            stage="generator",
            ok=state.alive and not stalled,
            detail=detail,
            figures={
                "engine": ENGINE_NAME,
                "model": self._info.model,
                "device": self._info.device,
                "quantization": self._info.quantization,
                "queued_requests": state.queued,
                "active_requests": state.active,
                "active_sequences": state.rows,
                "memory_used_bytes": used_bytes(device),
                "memory_free_bytes": free_bytes(device),
            },
        )

    def is_alive(self) -> bool:
        """False if the thread has ended or a step hangs."""
        state = self._scheduler.state()
        return state.alive and not self._stalled(state)

    def _stalled(self, state: SchedulerState) -> bool:
        return state.step_running_s > self._config.stall_after_s

    def reconfigure(self, **changes: Any) -> None:
        """See `Engine.reconfigure`."""
        self._config = changed_config(self._config, changes)
        self._scheduler.configure(self._config)

    async def close(self) -> None:
        await asyncio.to_thread(self._scheduler.close)
        if self._loaded.device.type == "cuda":
            torch.cuda.empty_cache()

    async def _matchers(self, request: GenerationRequest) -> RowMatchers | None:
        """The request's grammar, compiled beside the event loop.

        Raises:
            InvalidRequest: the grammar is wrong.
        """
        if request.params.grammar is None:
            return None
        return await asyncio.to_thread(self._grammars.matchers, request.params.grammar)

    def _job(
        self,
        request: GenerationRequest,
        matchers: RowMatchers | None,
        on_text: Callable[[str], None] | None,
    ) -> Job:
        """The request, checked and encoded.

        Raises:
            InvalidRequest: the prompt or the parameters are not possible on this engine.
        """
        params = request.params
        if params.stop and matchers is not None:
            raise InvalidRequest("A grammar says itself where an output ends; leave params.stop empty.")
        if "" in params.stop:
            raise InvalidRequest("A stop text must not be empty; leave it out of params.stop.")
        if params.candidates > self._config.max_batch_size:
            raise InvalidRequest(
                f"candidates must be at most {self._config.max_batch_size}, got {params.candidates}."
            )
        prompt = self._prompts.encode(request)
        job = Job(
            request_id=request.request_id,
            prompt=prompt,
            params=params,
            max_new_tokens=min(params.max_new_tokens, self._loaded.context_tokens - len(prompt)),
            matchers=matchers,
            on_text=on_text,
        )
        if job.tokens > self._config.max_batch_tokens:
            raise InvalidRequest(
                f"The request may need {job.tokens} tokens but max_batch_tokens is "
                f"{self._config.max_batch_tokens}; ask for fewer candidates or new tokens."
            )
        return job

    async def _result(self, job: Job, timeout_s: float) -> Generation:
        """Wait for the answer; leaving in any way takes the job out of the batch."""
        try:
            async with asyncio.timeout(timeout_s):
                return await asyncio.wrap_future(job.future)
        except TimeoutError as error:
            raise GenerationTimeout(
                f"The language model took more than {timeout_s:g} s. Try a simpler question, or try again."
            ) from error
        finally:
            job.future.cancel()
            self._scheduler.nudge()


def _info(profile: ModelProfile, loaded: LoadedModel) -> EngineInfo:
    return EngineInfo(
        engine=ENGINE_NAME,
        model=profile.name,
        device=str(loaded.device),
        quantization=profile.quantization,
        dtype=str(loaded.dtype).removeprefix("torch."),
        context_tokens=loaded.context_tokens,
        parameters=loaded.model.num_parameters(),
        weights_bytes=loaded.model.get_memory_footprint(),
        load_s=loaded.load_s,
        supports_grammar=True,
    )
