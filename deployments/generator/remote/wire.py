"""The OpenAI API's own shapes: a request's body, and a stream's events put together to texts."""

import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Literal

import httpx
from pydantic import BaseModel, FiniteFloat, ValidationError

from deployments.generator.prompt_text import plain_text
from deployments.generator.remote.config import RemoteModel
from deployments.generator.remote.failures import garbage
from serve_app.contracts import GeneratedText, GenerationRequest
from serve_app.errors import GenerationFailed

DONE = "[DONE]"
# A text of 8,192 tokens with log-probabilities takes about 2 MB; beyond this a server has gone wild.
MAX_RESPONSE_BYTES = 32 * 1024 * 1024


class _Delta(BaseModel):
    content: str | None = None
    refusal: str | None = None


class _TokenLogprob(BaseModel):
    logprob: FiniteFloat


class _Logprobs(BaseModel):
    content: list[_TokenLogprob] | None = None
    token_logprobs: list[FiniteFloat | None] | None = None

    def values(self) -> list[float]:
        """One per token. Completions give null where there is none."""
        if self.content is not None:
            return [token.logprob for token in self.content]
        return [value for value in self.token_logprobs or () if value is not None]


class _Choice(BaseModel):
    index: int = 0
    delta: _Delta | None = None
    text: str | None = None
    logprobs: _Logprobs | None = None
    finish_reason: str | None = None


class _Usage(BaseModel):
    prompt_tokens: int = 0
    completion_tokens: int = 0


class _Chunk(BaseModel):
    choices: list[_Choice] = []
    usage: _Usage | None = None
    error: Any = None


@dataclass(slots=True)
class Answer:
    """One text as far as it has come."""

    pieces: list[str] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    finish_reason: str | None = None

    @property
    def text(self) -> str:
        # A text that a content filter cut off may read as a whole statement.
        return "" if self.finish_reason == "content_filter" else "".join(self.pieces)

    def generated(self, counted: int) -> GeneratedText:
        """``counted``: tokens if the endpoint gave no log-probabilities to count by."""
        count = len(self.logprobs)
        reason: Literal["stop", "length", "cancelled"] = "stop"
        if self.finish_reason is None:
            reason = "cancelled"
        elif self.finish_reason == "length":
            reason = "length"
        return GeneratedText(
            text=self.text,
            token_count=count or counted,
            mean_logprob=sum(self.logprobs) / count if count else None,
            min_logprob=min(self.logprobs, default=None),
            finish_reason=reason,
        )


@dataclass(slots=True)
class Answers:
    """The texts of one HTTP request, and the tokens that the endpoint says they took."""

    texts: list[Answer]
    prompt_tokens: int | None = None
    completion_tokens: int | None = None

    def take(self, chunk: _Chunk) -> str:
        """Add a chunk; what the first text grew by."""
        if chunk.usage is not None:
            self.prompt_tokens = chunk.usage.prompt_tokens
            self.completion_tokens = chunk.usage.completion_tokens
        grown = ""
        for choice in chunk.choices:
            if not 0 <= choice.index < len(self.texts):
                raise garbage(f"a choice of index {choice.index}")
            answer = self.texts[choice.index]
            delta = choice.delta or _Delta()
            piece = _encodable(choice.text or delta.content or delta.refusal or "")
            answer.pieces.append(piece)
            answer.logprobs += choice.logprobs.values() if choice.logprobs else []
            answer.finish_reason = choice.finish_reason or answer.finish_reason
            grown += piece if choice.index == 0 else ""
        return grown

    def end(self, said_done: bool) -> None:
        """Close the texts.

        Raises:
            GenerationFailed: the stream broke off.
        """
        begun = [answer for answer in self.texts if answer.pieces]
        if not begun or not (said_done or all(answer.finish_reason for answer in begun)):
            raise GenerationFailed(detail="the endpoint's stream broke off")
        for answer in begun:
            answer.finish_reason = answer.finish_reason or "stop"
        self.texts = begun


def _encodable(text: str) -> str:
    """JSON can write half a surrogate pair, UTF-8 cannot."""
    return text.encode("utf-8", errors="replace").decode()


def path_and_body(
    request: GenerationRequest, remote: RemoteModel, chat: bool, count: int, nth: int
) -> tuple[str, dict[str, Any]]:
    """Where to post what, for ``count`` texts; ``nth`` request of several with seeds of their own."""
    params = request.params
    body: dict[str, Any] = {
        "model": remote.model,
        "stream": True,
        "temperature": params.temperature,
        "top_p": params.top_p,
        remote.max_tokens_field: params.max_new_tokens,
    }
    if count > 1:
        body["n"] = count
    if params.seed is not None:
        body["seed"] = params.seed + nth
    if params.stop:
        body["stop"] = list(params.stop)
    if remote.top_k and params.top_k:
        body["top_k"] = params.top_k
    if remote.usage:
        body["stream_options"] = {"include_usage": True}
    if chat and request.turns:
        if remote.logprobs:
            body["logprobs"] = True
        messages = [{"role": turn.role, "content": turn.content} for turn in request.turns]
        return "chat/completions", body | {"messages": messages}
    if remote.logprobs:
        body["logprobs"] = 0  # of the tokens themselves, without alternatives
    return "completions", body | {"prompt": plain_text(request)}


async def chunks(response: httpx.Response) -> AsyncGenerator[_Chunk | None]:
    """A stream's chunks; None where the endpoint says that it is done.

    Raises:
        GenerationFailed: it is no stream, or it holds something else.
    """
    kind = response.headers.get("content-type", "")
    if not kind.startswith("text/event-stream"):
        raise garbage(f"content type {kind!r} instead of text/event-stream")
    async with aclosing(_events(response)) as events:
        async for data in events:
            if data == DONE:
                yield None
                return
            yield _chunk(data)


def _chunk(data: str) -> _Chunk:
    try:
        chunk = _Chunk.model_validate(json.loads(data))
    except (json.JSONDecodeError, ValidationError, RecursionError) as error:
        raise garbage(f"{type(error).__name__} in an event of {len(data)} characters") from error
    if chunk.error is not None:
        raise GenerationFailed(detail=f"the endpoint says: {str(chunk.error)[:200]}")
    return chunk


async def _events(response: httpx.Response) -> AsyncGenerator[str]:
    """Data of server-sent events, one JSON document a line; comments and other fields are passed over."""
    size = 0
    rest = b""
    async with aclosing(response.aiter_bytes()) as blocks:  # type: ignore[type-var]  # a generator in fact
        async for block in blocks:
            size += len(block)
            if size > MAX_RESPONSE_BYTES:
                raise garbage(f"more than {MAX_RESPONSE_BYTES} bytes")
            *lines, rest = (rest + block).split(b"\n")
            for line in lines:
                if line.startswith(b"data:"):
                    yield _data(line)
    if rest.startswith(b"data:"):
        yield _data(rest)


def _data(line: bytes) -> str:
    return line[len(b"data:") :].decode("utf-8", errors="replace").strip()
