"""Prompts in, tokens out."""

from typing import Literal

from pydantic import Field

from serve_app.contracts.message import Message
from serve_app.contracts.prompts import ChatTurn


class SamplingParams(Message):
    """How tokens are chosen, and how many."""

    max_new_tokens: int = Field(default=512, ge=1, le=8192)
    temperature: float = Field(default=0.1, ge=0.0, le=2.0, description="0 is greedy")
    top_p: float = Field(default=0.95, gt=0.0, le=1.0)
    top_k: int = Field(default=50, ge=0)
    candidates: int = Field(default=1, ge=1, le=32, description="Sequences returned, best first")
    seed: int | None = None
    stop: tuple[str, ...] = ()
    grammar: str | None = Field(
        default=None, description="Output grammar (Lark syntax), if the engine supports one"
    )


class GenerationRequest(Message):
    """Prompts in; the generator knows nothing of SQL."""

    request_id: str
    engine: str = Field(default="", description="Engine of the cascade, its profile's name; empty: the first")
    turns: tuple[ChatTurn, ...] = ()
    text: str | None = None
    params: SamplingParams = SamplingParams()
    timeout_s: float = Field(default=30.0, gt=0)


class MemoryUsage(Message):
    """Device memory in bytes; on a CPU the process's resident set."""

    device: str
    before_bytes: int
    after_bytes: int
    peak_bytes: int


class GeneratedText(Message):
    """One output of the model."""

    text: str
    token_count: int
    mean_logprob: float | None = Field(default=None, description="Mean log-probability per generated token")
    min_logprob: float | None = Field(default=None, description="Log-probability of the least likely token")
    finish_reason: Literal["stop", "length", "cancelled"]

    @property
    def logprob(self) -> float | None:
        """Log-probability of the whole text; None if the engine does not tell."""
        return None if self.mean_logprob is None else self.mean_logprob * self.token_count


class Generation(Message):
    """The outputs for one prompt, best first, and what they cost."""

    texts: tuple[GeneratedText, ...] = Field(min_length=1)
    prompt_tokens: int
    engine: str
    model: str
    queue_ms: float
    inference_ms: float
    batch_size: int
    memory: MemoryUsage


class TokenChunk(Message):
    """A piece of streamed output."""

    text: str
