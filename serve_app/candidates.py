"""From a generation to one statement with its rows: read, check, try, choose; a stage call for each."""

from typing import NamedTuple

from serve_app.choosing import (
    Group,
    Readings,
    Refusal,
    Statement,
    Trial,
    accepted,
    distinct_texts,
    grouped,
    read,
    refusal_wins,
    told,
)
from serve_app.confidence import Features, features_of
from serve_app.contracts import (
    CannotAnswer,
    ExecutionRequest,
    ExecutionResult,
    Generation,
    Prompt,
    RejectedSql,
    SqlCandidate,
    TrialFailed,
    TrialRequest,
    Tried,
    ValidSql,
)
from serve_app.errors import (
    DatabaseUnavailable,
    ExecutionFailed,
    PermissionDenied,
    SchemaChanged,
    ValidationFailed,
)
from serve_app.steps import EnginePlan, Executed, Failure, Run, forget_schema

FAILED_TRIALS = {"denied": PermissionDenied, "outdated": SchemaChanged, "failed": ExecutionFailed}


class Attempt(NamedTuple):
    """One engine's generation for its prompt."""

    run: Run
    plan: EnginePlan
    prompt: Prompt
    generation: Generation


async def choose(attempt: Attempt) -> Executed | CannotAnswer | Failure:
    """The statement whose rows most of the generation's probability agrees on; else the best one's failure.

    Raises:
        PlumblineError: the database is away, too slow, or does not let the caller see this.
    """
    run = attempt.run
    readings = await _readings(attempt)
    run.trace.verdict, run.trace.candidates = None, told(readings, (), len(attempt.generation.texts))
    refusal = refusal_wins(readings)
    if refusal is not None or not readings.statements:
        return refusal or _unread(readings)
    best = readings.statements[0].candidate
    run.trace.sql, run.trace.query_spec = best.sql, best.query_spec
    trials, failures = await _checked(run, readings)
    trials = await _tried(run, trials)
    outdated = next((trial for trial in trials if _is(trial, "outdated")), None)
    if outdated is not None:
        # What the others mean under the new schema is not known either.
        await forget_schema(run.stages)
        return _failure(outdated)
    failures |= {trial.statement.rank: _failure(trial) for trial in trials if _has_failed(trial)}
    groups = grouped(trials)
    run.trace.candidates = told(readings, groups, len(attempt.generation.texts))
    refusal = refusal_wins(readings, groups)
    if refusal is not None:
        return refusal
    for group in groups:
        rows = await _rows(run, group.best)
        if isinstance(rows, ExecutionResult):
            return _executed(attempt, features_of(attempt.prompt, readings, groups, group, rows), group, rows)
        failures[group.best.statement.rank] = rows
    return await _ended(run, failures | {said.rank: _unread_as(said) for said in readings.refusals})


async def run_directly(run: Run, candidate: SqlCandidate) -> Executed | Failure:
    """Check and run a statement that nobody generated."""
    run.trace.sql, run.trace.query_spec = candidate.sql, candidate.query_spec
    await run.begin("validate")
    with run.trace.timed("validate"):
        verdict = await run.stages.validator.validate(candidate.sql, run.question.caller)
    if isinstance(verdict, RejectedSql):
        return _rejected(run, candidate.sql, verdict)
    run.trace.verdict = "accepted"
    await run.begin("execute")
    result = await _run(run, candidate.sql, verdict)
    return result if isinstance(result, Failure) else Executed(candidate, verdict, result)


def rejection(verdict: RejectedSql) -> ValidationFailed:
    """The error that a rejected statement ends in, told in the rule's own words."""
    violation = verdict.first
    return ValidationFailed(violation.message, detail=violation.reason, rule=violation.rule)


async def _readings(attempt: Attempt) -> Readings:
    weighted = distinct_texts(attempt.generation.texts)
    texts = tuple(text.text for text, _ in weighted)
    with attempt.run.trace.timed("interpret"):
        meanings = await attempt.run.stages.prompt_builder.interpret(attempt.prompt, texts)
    return read(weighted, meanings)


def _unread(readings: Readings) -> Failure:
    return _unread_as(min(readings.refusals, key=lambda refusal: refusal.rank))


def _unread_as(refusal: Refusal) -> Failure:
    return Failure(refusal.text.text, refusal.meaning.message, refusal.meaning)


async def _checked(run: Run, readings: Readings) -> tuple[tuple[Trial, ...], dict[int, Failure]]:
    """The statements that may run, and the failures of the others by rank."""
    await run.begin("validate")
    statements = tuple(statement.candidate.sql for statement in readings.statements)
    with run.trace.timed("validate"):
        verdicts = await run.stages.validator.validate_all(statements, run.question.caller)
    passed: list[tuple[Statement, ValidSql]] = []
    failures: dict[int, Failure] = {}
    for statement, verdict in zip(readings.statements, verdicts, strict=True):
        if isinstance(verdict, RejectedSql):
            failures[statement.rank] = _rejected(run, statement.candidate.sql, verdict)
        else:
            passed.append((statement, verdict))
    if passed:
        run.trace.verdict = "accepted"
    return accepted(passed), failures


def _rejected(run: Run, sql: str, verdict: RejectedSql) -> Failure:
    run.trace.verdict = run.trace.verdict or verdict.first.rule
    return Failure(sql, verdict.first.reason, rejection(verdict))


async def _tried(run: Run, trials: tuple[Trial, ...]) -> tuple[Trial, ...]:
    """Run the statements under the small limits; a single one needs no comparison."""
    if not trials:
        return trials
    await run.begin("execute")
    if len(trials) == 1:
        return trials
    request = TrialRequest(
        request_id=run.question.request_id,
        statements=tuple(trial.verdict for trial in trials),
        caller=run.question.caller,
        timeout_s=run.at_most(run.limits.execution_timeout_s),
    )
    with run.trace.timed("execute"):
        outcomes = await run.stages.executor.trial(request)
    return tuple(
        Trial(trial.statement, trial.verdict, outcome)
        for trial, outcome in zip(trials, outcomes, strict=True)
    )


def _has_failed(trial: Trial) -> bool:
    return isinstance(trial.outcome, TrialFailed) and trial.outcome.kind != "timeout"


def _is(trial: Trial, kind: str) -> bool:
    return isinstance(trial.outcome, TrialFailed) and trial.outcome.kind == kind


def _failure(trial: Trial) -> Failure:
    outcome = trial.outcome
    assert isinstance(outcome, TrialFailed), "asked of failed trials alone"
    kind = FAILED_TRIALS[outcome.kind]
    return Failure(
        trial.statement.candidate.sql, outcome.detail, kind(outcome.message, detail=outcome.detail)
    )


async def _rows(run: Run, trial: Trial) -> ExecutionResult | Failure:
    """The whole result: that of the trial if it was whole, else of a run under the full limits."""
    if isinstance(trial.outcome, Tried) and trial.outcome.result is not None:
        return trial.outcome.result
    return await _run(run, trial.statement.candidate.sql, trial.verdict)


async def _run(run: Run, sql: str, verdict: ValidSql) -> ExecutionResult | Failure:
    request = ExecutionRequest(
        request_id=run.question.request_id,
        statement=verdict,
        caller=run.question.caller,
        timeout_s=run.at_most(run.limits.execution_timeout_s),
    )
    try:
        with run.trace.timed("execute"):
            return await run.stages.executor.run(request)
    except DatabaseUnavailable:
        raise
    except (SchemaChanged, PermissionDenied) as error:
        await forget_schema(run.stages)
        if isinstance(error, PermissionDenied):
            raise
        return Failure(sql, error.detail or error.message, error)
    except ExecutionFailed as error:
        return Failure(sql, error.detail or error.message, error)


async def _ended(run: Run, failures: dict[int, Failure]) -> Failure:
    """The best candidate's failure; the model cannot repair what the caller may not see."""
    failure = failures[min(failures)]
    if isinstance(failure.end, PermissionDenied):
        # The schema shows it, so it was taken away since.
        await forget_schema(run.stages)
        raise failure.end
    return failure


def _executed(attempt: Attempt, features: Features, chosen: Group, result: ExecutionResult) -> Executed:
    calibration = attempt.plan.calibration
    return Executed(
        candidate=chosen.best.statement.candidate,
        statement=chosen.best.verdict,
        result=result,
        engine=attempt.generation.engine,
        model=attempt.generation.model,
        candidates=attempt.run.trace.candidates,
        features=features,
        confidence=calibration.probability(features) if calibration else None,
        thresholds=attempt.plan.thresholds,
    )
