"""What the steps of a question share: stages, bounds, engines to ask, and what may come of a step."""

import asyncio
from dataclasses import dataclass, field
from typing import NamedTuple

from pydantic import Field

from serve_app.confidence import Calibration, Features, Thresholds
from serve_app.contracts import (
    CandidateGroups,
    CannotAnswer,
    Clarification,
    ExecutionResult,
    Message,
    Question,
    SamplingParams,
    SqlCandidate,
    ValidSql,
)
from serve_app.errors import PlumblineError
from serve_app.events import Emit, StageEvent
from serve_app.stages import (
    Conversations,
    DirectEngine,
    Executor,
    Generator,
    PromptBuilder,
    SqlValidator,
)
from serve_app.trace import StageName, Trace


class Stages(NamedTuple):
    """The five stages behind the ingress: Serve handles, plain cores or test fakes.

    ``direct`` answers some questions without generating; it stands before all engines of the cascade.
    """

    conversations: Conversations
    prompt_builder: PromptBuilder
    generator: Generator
    validator: SqlValidator
    executor: Executor
    direct: DirectEngine | None = None


async def forget_schema(stages: Stages) -> None:
    """Have every stage ask for the schema again: a statement met another one than it was checked by."""
    # First its source, so that nobody asks for the old one anew.
    await stages.executor.forget_schema()
    await asyncio.gather(stages.prompt_builder.forget_schema(), stages.validator.forget_schema())


class EnginePlan(Message):
    """One engine of the cascade: how it generates, and how sure it has to be."""

    name: str = Field(default="", description="Its model profile; empty for the only one")
    sampling: SamplingParams = Field(default=SamplingParams(), description="How the model profile generates")
    thresholds: Thresholds = Thresholds()
    calibration: Calibration | None = Field(
        default=None, description="Without one its answers have no confidence and count as sure"
    )


class PipelineLimits(Message):
    """Bounds of one question, and the engines that are asked in this order until one is sure enough."""

    max_retries: int = Field(
        default=3, ge=0, description="Repairs of a statement; retries of a failed generation"
    )
    retry_delay_s: float = Field(
        default=1.0, ge=0, description="Wait before the first generation retry; doubles"
    )
    generation_timeout_s: float = Field(default=30.0, gt=0, description="Time limit of one generation")
    execution_timeout_s: float = Field(default=15.0, gt=0, description="Time limit of one statement")
    request_timeout_s: float = Field(default=60.0, gt=0, description="Time limit of the whole question")
    max_history: int = Field(default=5, ge=0, description="Past exchanges asked of the conversation store")
    engines: tuple[EnginePlan, ...] = Field(default=(EnginePlan(),), min_length=1)
    direct_confidence: float = Field(
        default=0.7, ge=0, description="From which a direct engine's statement is taken"
    )


class Failure(NamedTuple):
    """Why an attempt gave no rows: what the repair prompt is told, and the end if no repair is left."""

    sql: str
    reason: str
    end: PlumblineError | CannotAnswer


@dataclass(frozen=True, slots=True)
class Executed:
    """A chosen statement with its rows, who gave it, and how sure it is (None: not known)."""

    candidate: SqlCandidate
    statement: ValidSql
    result: ExecutionResult
    engine: str | None = None
    model: str | None = None
    source: str | None = None
    candidates: CandidateGroups | None = None
    features: Features | None = None
    confidence: float | None = None
    thresholds: Thresholds = field(default_factory=Thresholds)

    @property
    def is_sure(self) -> bool:
        return self.confidence is None or self.confidence >= self.thresholds.answer

    @property
    def is_refused(self) -> bool:
        return self.confidence is not None and self.confidence < self.thresholds.refuse


Outcome = Executed | Clarification | CannotAnswer


@dataclass(frozen=True)
class Run:
    """What every step of one question needs."""

    question: Question
    stages: Stages
    limits: PipelineLimits
    trace: Trace
    emit: Emit
    streams: bool
    deadline: float

    async def begin(self, stage: StageName) -> None:
        await self.emit(StageEvent(stage=stage, attempt=max(self.trace.attempts, 1)))

    def remaining_s(self) -> float:
        return self.deadline - asyncio.get_running_loop().time()

    def at_most(self, limit_s: float) -> float:
        """The limit, or what is left of the whole question's time; above zero."""
        return max(min(limit_s, self.remaining_s()), 0.001)
