"""The engines in their order: each is asked only if those before were not sure enough or are down.

A direct engine comes first, if there is one. What the last engine that answers gets wrong goes back to it
with the reason, at most ``max_retries`` times: it is the strongest at hand.
"""

import asyncio
import logging
from dataclasses import dataclass, field, replace

from serve_app.candidates import Attempt, choose, run_directly
from serve_app.confidence import Thresholds
from serve_app.contracts import (
    CannotAnswer,
    Clarification,
    ConversationContext,
    Generation,
    GenerationRequest,
    Prompt,
    TokenChunk,
)
from serve_app.errors import (
    GenerationFailed,
    GenerationTimeout,
    ModelUnavailable,
    OutputTooLong,
    Overloaded,
    PlumblineError,
    SchemaChanged,
)
from serve_app.events import TokenEvent
from serve_app.steps import EnginePlan, Executed, Failure, Outcome, Run

_log = logging.getLogger("plumbline.pipeline")

# What may end one engine's part while another can still answer.
ENGINE_DOWN = (ModelUnavailable, GenerationFailed, GenerationTimeout, OutputTooLong, Overloaded)
SKIPPED = "The engine {name} did not answer and was left out: {message}"


@dataclass
class _Found:
    """What the engines asked so far have given."""

    unsure: list[Executed] = field(default_factory=list)
    refusal: CannotAnswer | None = None
    # The last engine's statement failed: what a repair needs.
    failure: tuple[EnginePlan, Prompt, Failure] | None = None

    @property
    def is_something(self) -> bool:
        return bool(self.unsure or self.refusal or self.failure)

    def surest(self) -> Executed | None:
        return max(self.unsure, key=lambda executed: executed.confidence or 0.0, default=None)


async def ask_engines(run: Run, context: ConversationContext) -> Outcome:
    """The first sure answer; else the surest one, a refusal, or what the repairs of the last engine end in.

    Raises:
        PlumblineError: no engine answers, or no statement may run.
    """
    run.trace.attempts = 1
    proposed = await _propose(run, context)
    if proposed is not None:
        return proposed
    found = _Found()
    plans = run.limits.engines
    for plan in plans:
        others = plan is not plans[-1] or found.is_something
        try:
            outcome = await _ask(run, context, plan, found, waits=not others)
        except ENGINE_DOWN as error:
            if not others:
                raise
            _skip(run, plan, error)
            continue
        if outcome is not None:
            return outcome
    return await _end(run, context, found)


async def _propose(run: Run, context: ConversationContext) -> Executed | None:
    """A direct engine's statement with its rows. That it has none, or fails, is the next engine's turn."""
    direct = run.stages.direct
    if direct is None:
        return None
    await run.begin("propose")
    try:
        with run.trace.timed("propose"):
            proposal = await direct.propose(run.question, context)
    except PlumblineError as error:
        _log.warning(
            "no proposal",
            extra={"request_id": run.question.request_id, "detail": error.detail or error.message},
        )
        return None
    if proposal is None or proposal.confidence < run.limits.direct_confidence:
        return None
    tried = await run_directly(run, proposal.candidate)
    if isinstance(tried, Failure):
        run.trace.sql = run.trace.query_spec = run.trace.verdict = None
        return None
    return replace(
        tried,
        engine=proposal.engine,
        source=proposal.source,
        confidence=proposal.confidence,
        # Sure enough to be taken is sure enough to stand for itself.
        thresholds=Thresholds(answer=min(run.limits.direct_confidence, 1.0), refuse=0.0),
    )


async def _ask(
    run: Run, context: ConversationContext, plan: EnginePlan, found: _Found, waits: bool
) -> Outcome | None:
    """One engine's answer if it ends the question; anything else is kept in ``found``."""
    built = await _build(run, context, plan, None)
    if not isinstance(built, Prompt):
        return built
    outcome = await choose(Attempt(run, plan, built, await _generate(run, plan, built, waits)))
    found.failure = None
    match outcome:
        case Executed():
            if outcome.is_sure:
                return outcome
            found.unsure.append(outcome)
        case CannotAnswer():
            found.refusal = outcome
        case Failure():
            found.failure = (plan, built, outcome)
    return None


async def _end(run: Run, context: ConversationContext, found: _Found) -> Outcome:
    repaired = await _repair(run, context, *found.failure) if found.failure else None
    if isinstance(repaired, Executed) and repaired.is_sure:
        return repaired
    if isinstance(repaired, Executed):
        found.unsure.append(repaired)
    surest = found.surest()
    if surest is not None:
        return surest
    if isinstance(repaired, Clarification | CannotAnswer):
        return repaired
    if found.refusal is not None:
        return found.refusal
    assert isinstance(repaired, Failure), "no engine gave anything"
    if isinstance(repaired.end, CannotAnswer):
        return repaired.end
    raise repaired.end


async def _repair(
    run: Run, context: ConversationContext, plan: EnginePlan, previous: Prompt, failure: Failure
) -> Outcome | Failure:
    """Prompt, generate and choose again, with the reason of the failure in the prompt."""
    for attempt in range(2, run.limits.max_retries + 2):
        built = await _build(run, context, plan, failure, attempt)
        if not isinstance(built, Prompt):
            return built
        is_renewed = isinstance(failure.end, SchemaChanged)
        if same_text(built, previous) and plan.sampling.temperature == 0 and not is_renewed:
            # A profile without repairs: the same prompt, greedily decoded, gives the same output.
            run.trace.attempts = attempt - 1
            break
        tried = await choose(Attempt(run, plan, built, await _generate(run, plan, built, waits=True)))
        if not isinstance(tried, Failure):
            return tried
        failure, previous = tried, built
    return failure


async def _build(
    run: Run, context: ConversationContext, plan: EnginePlan, failure: Failure | None, attempt: int = 1
) -> Prompt | Clarification | CannotAnswer:
    run.trace.attempts = attempt
    if plan.name not in run.trace.engines:
        run.trace.engines.append(plan.name)
    await run.begin("prompt")
    repair = (failure.sql, failure.reason) if failure else None
    with run.trace.timed("prompt"):
        built = await run.stages.prompt_builder.build(run.question, context, repair, plan.name)
    if isinstance(built, Prompt):
        run.trace.note_prompt(built)
    return built


def same_text(one: Prompt, other: Prompt) -> bool:
    """Whether a model reads the same in both."""
    return (one.turns, one.text) == (other.turns, other.text)


def _skip(run: Run, plan: EnginePlan, error: PlumblineError) -> None:
    _log.warning(
        "engine left out",
        extra={"request_id": run.question.request_id, "engine": plan.name, "detail": error.detail},
    )
    run.trace.warnings.append(SKIPPED.format(name=plan.name, message=error.message))


async def _generate(run: Run, plan: EnginePlan, prompt: Prompt, waits: bool) -> Generation:
    """Generate; if it ``waits``, again after a doubling wait where a retry can help and time allows."""
    delay_s = run.limits.retry_delay_s
    retries = run.limits.max_retries if waits else 0
    for retries_left in reversed(range(retries + 1)):
        await run.begin("generate")
        try:
            with run.trace.timed("generate"):
                generation = await _generate_once(run, plan, prompt)
        except (ModelUnavailable, GenerationFailed) as error:
            if not retries_left or delay_s >= run.remaining_s():
                raise
            run.trace.generation_retries += 1
            _log.warning(
                "generation retried", extra={"request_id": run.question.request_id, "detail": error.detail}
            )
            await asyncio.sleep(delay_s)
            delay_s *= 2
        else:
            run.trace.note_generation(generation)
            return generation
    raise AssertionError("the last try returns or raises")


async def _generate_once(run: Run, plan: EnginePlan, prompt: Prompt) -> Generation:
    request = GenerationRequest(
        # Engines know a request by its id: every try needs its own.
        request_id=f"{run.question.request_id}.{run.trace.attempts}.{run.trace.generation_retries}",
        engine=plan.name,
        turns=prompt.turns,
        text=prompt.text,
        params=plan.sampling.model_copy(update={"grammar": prompt.grammar}),
        timeout_s=run.at_most(run.limits.generation_timeout_s),
    )
    if not run.streams:
        return await run.stages.generator.generate(request)
    generation: Generation | None = None
    # Read to its end: a stream left before would be cancelled on the replica that has just finished it.
    async for piece in run.stages.generator.stream(request):
        if isinstance(piece, TokenChunk):
            await run.emit(TokenEvent(text=piece.text))
        else:
            generation = piece
    if generation is None:
        raise GenerationFailed(detail="the stream ended without a generation")
    return generation
