"""What happened to one question on its way: what metadata, query log and metrics are made of."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from serve_app.confidence import Features
from serve_app.contracts import (
    CandidateGroups,
    ExecutionResult,
    Generation,
    MemoryUsage,
    Prompt,
    Question,
    SqlCandidate,
    ValidSql,
)
from serve_app.errors import PlumblineError

StageName = Literal[
    "context", "propose", "prompt", "generate", "interpret", "validate", "execute", "remember"
]

# Every group's specification is for a question back; the answer's own stands beside it.
_NOT_TOLD = {"groups": {"__all__": {"query_spec"}}}

_log = logging.getLogger("plumbline.pipeline")


@dataclass
class Trace:
    """Filled in as the pipeline goes, so that a question that fails half-way still tells how far it came."""

    question: Question
    conversation_id: str | None = None
    stage: StageName | None = None
    timings_ms: dict[str, float] = field(default_factory=dict)
    attempts: int = 0
    generation_retries: int = 0
    prompt_tokens: int = 0
    output_tokens: int = 0
    inference_ms: float = 0.0
    queue_ms: float = 0.0
    engines: list[str] = field(default_factory=list)
    engine: str | None = None
    model: str | None = None
    memory: MemoryUsage | None = None
    confidence: float | None = None
    source: str | None = None
    exchange: int | None = None
    context_used: int = 0
    context_length: int = 0
    truncation: tuple[str, ...] = ()
    schema_cached: bool | None = None
    sql: str | None = None
    query_spec: str | None = None
    verdict: str | None = None
    candidates: CandidateGroups | None = None
    features: Features | None = None
    row_count: int | None = None
    execution_ms: float | None = None
    warnings: list[str] = field(default_factory=list)
    outcome: str = "error"
    started: float = field(default_factory=time.monotonic)

    @contextmanager
    def timed(self, stage: StageName) -> Iterator[None]:
        """Add the block's time to the stage's, and log one line for it."""
        self.stage = stage
        start = time.monotonic()
        error: str | None = None
        try:
            yield
        except BaseException as raised:
            error = raised.type if isinstance(raised, PlumblineError) else type(raised).__name__
            raise
        finally:
            elapsed = (time.monotonic() - start) * 1000
            self.timings_ms[stage] = round(self.timings_ms.get(stage, 0.0) + elapsed, 3)
            _log.info(
                "stage",
                extra={
                    "request_id": self.question.request_id,
                    "stage": stage,
                    "duration_ms": round(elapsed, 3),
                    "attempt": self.attempts,
                    "error_type": error,
                },
            )

    def note_prompt(self, prompt: Prompt) -> None:
        self.context_used = prompt.context_used
        self.truncation = prompt.truncation
        if self.schema_cached is None:
            self.schema_cached = prompt.schema_cached

    def note_generation(self, generation: Generation) -> None:
        """Tokens and times add up over attempts; memory is the last one's."""
        self.prompt_tokens += generation.prompt_tokens
        self.output_tokens += sum(text.token_count for text in generation.texts)
        self.inference_ms += generation.inference_ms
        self.queue_ms += generation.queue_ms
        self.engine, self.model, self.memory = generation.engine, generation.model, generation.memory

    def note_executed(
        self,
        candidate: SqlCandidate,
        statement: ValidSql,
        result: ExecutionResult,
        engine: str | None,
        model: str | None,
    ) -> None:
        """What became the answer, whatever was tried after it."""
        self.sql, self.query_spec = statement.sql, candidate.query_spec
        self.verdict = "accepted"
        self.engine, self.model = engine, model
        self.note_result(result)

    def note_result(self, result: ExecutionResult) -> None:
        self.row_count = result.row_count
        self.execution_ms = result.execution_ms

    def total_ms(self) -> float:
        return round((time.monotonic() - self.started) * 1000, 3)

    def query_record(self) -> dict[str, Any]:
        """The line of the query log: everything needed to follow one question afterwards."""
        caller = self.question.caller
        return {
            "request_id": self.question.request_id,
            "user_id": caller.user_id,
            "organization_id": caller.organization_id,
            "conversation_id": self.conversation_id,
            "question": self.question.text,
            "sql": self.sql,
            "query_spec": self.query_spec,
            "verdict": self.verdict,
            "inference_ms": round(self.inference_ms, 3),
            "prompt_tokens": self.prompt_tokens,
            "output_tokens": self.output_tokens,
            "attempts": self.attempts,
            "execution_ms": self.execution_ms,
            "row_count": self.row_count,
            "engine": self.engine,
            "model": self.model,
            "confidence": self.confidence,
            "agreement": self.candidates.agreement if self.candidates else None,
            "outcome": self.outcome,
            "total_ms": self.total_ms(),
        }

    def metadata(self) -> dict[str, Any]:
        """The part that callers see; whoever has a result puts its columns in."""
        return {
            "request_id": self.question.request_id,
            "outcome": self.outcome,
            "timings_ms": {**self.timings_ms, "total": self.total_ms()},
            "inference_ms": round(self.inference_ms, 3),
            "tokens": {"prompt": self.prompt_tokens, "output": self.output_tokens},
            "attempts": self.attempts,
            "context_used": self.context_used,
            "context_length": self.context_length,
            "engine": self.engine,
            "source": self.source,
            "exchange": self.exchange,
            "model": self.model,
            "engines": list(self.engines),
            "confidence": round(self.confidence, 4) if self.confidence is not None else None,
            "features": self.features.model_dump() if self.features else None,
            "candidates": self.candidates.model_dump(exclude=_NOT_TOLD) if self.candidates else None,
            "truncation": list(self.truncation),
            "query_spec": self.query_spec,
            "gpu_memory": self.memory.model_dump() if self.memory else None,
            "warnings": list(self.warnings),
            "columns": [],
        }
