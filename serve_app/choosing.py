"""Which candidate of a generation is the answer: the one whose rows the most probable candidates agree on.

A beam search (or several samples) gives texts that often differ and mean the same. Texts that stand for the
same statement are one; statements that give the same rows are one group; the group with the most probability
wins, and its likeliest statement is the answer. Voting by execution: "Self-consistency" (Wang et al., 2022)
and MBR-Exec (Shi et al., 2022), with sequence probabilities in place of counts.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from serve_app.contracts import (
    CandidateGroup,
    CandidateGroups,
    CannotAnswer,
    GeneratedText,
    Interpretation,
    SqlCandidate,
    TrialFailed,
    TrialOutcome,
    Tried,
    ValidSql,
)


@dataclass(frozen=True, slots=True)
class Statement:
    """A distinct statement. ``weight`` sums up its texts, ``rank`` is the place of the first."""

    candidate: SqlCandidate
    text: GeneratedText
    weight: float
    rank: int


@dataclass(frozen=True, slots=True)
class Refusal:
    """What the texts that give no statement say instead, by the first of them with that reason."""

    meaning: CannotAnswer
    text: GeneratedText
    weight: float
    rank: int


@dataclass(frozen=True, slots=True)
class Readings:
    """A generation read: statements and refusals, each kind best first, and the weight of all texts.

    ``scale`` is the log-probability of a weight of 1, None if the engine tells none.
    """

    statements: tuple[Statement, ...]
    refusals: tuple[Refusal, ...]
    total_weight: float
    scale: float | None = None


@dataclass(frozen=True, slots=True)
class Trial:
    """An accepted statement and what came of running it; None if it was not tried."""

    statement: Statement
    verdict: ValidSql
    outcome: TrialOutcome | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """Statements that give the same rows, likeliest first."""

    trials: tuple[Trial, ...]

    @property
    def best(self) -> Trial:
        return self.trials[0]

    @property
    def weight(self) -> float:
        return sum(trial.statement.weight for trial in self.trials)


def distinct_texts(texts: Sequence[GeneratedText]) -> tuple[tuple[GeneratedText, float], ...]:
    """The different texts in their order, each with its weight: its probability, in parts of the likeliest's.

    Where the engine tells no probabilities every text is one vote, and one said twice has two.
    """
    found: dict[str, tuple[GeneratedText, float]] = {}
    scale = _scale(texts)
    for text in texts:
        if scale is not None and text.logprob is not None:
            found.setdefault(text.text, (text, math.exp(text.logprob - scale)))
        else:
            first, votes = found.get(text.text, (text, 0.0))
            found[text.text] = (first, votes + 1.0)
    return tuple(found.values())


def _scale(texts: Sequence[GeneratedText]) -> float | None:
    known = [text.logprob for text in texts if text.logprob is not None]
    return max(known) if len(known) == len(texts) else None


def read(weighted: Sequence[tuple[GeneratedText, float]], meanings: Sequence[Interpretation]) -> Readings:
    """Sort texts by what they mean; those that compile to the same SQL count as one statement."""
    statements: dict[str, Statement] = {}
    refusals: dict[str, Refusal] = {}
    for rank, ((text, weight), meaning) in enumerate(zip(weighted, meanings, strict=True)):
        if isinstance(meaning, CannotAnswer):
            said = refusals.get(meaning.reason)
            refusals[meaning.reason] = (
                Refusal(meaning, text, weight, rank)
                if said is None
                else Refusal(said.meaning, said.text, said.weight + weight, said.rank)
            )
            continue
        same = statements.get(meaning.sql)
        statements[meaning.sql] = (
            Statement(meaning, text, weight, rank)
            if same is None
            else Statement(same.candidate, same.text, same.weight + weight, same.rank)
        )
    total = sum(weight for _, weight in weighted)
    scale = _scale([text for text, _ in weighted])
    return Readings(tuple(statements.values()), tuple(refusals.values()), total, scale)


def accepted(trials: Iterable[tuple[Statement, ValidSql]]) -> tuple[Trial, ...]:
    """Statements that may run; those whose checked text is the same are one."""
    found: dict[str, Trial] = {}
    for statement, verdict in trials:
        same = found.get(verdict.sql)
        if same is None:
            found[verdict.sql] = Trial(statement, verdict)
        else:
            first = same.statement
            weight = first.weight + statement.weight
            found[verdict.sql] = Trial(
                Statement(first.candidate, first.text, weight, first.rank), same.verdict
            )
    return tuple(found.values())


def grouped(trials: Sequence[Trial]) -> tuple[Group, ...]:
    """Groups of equal rows, the heaviest first; of equally heavy ones that of the likelier statement.

    A statement that failed is in none. One that took too long gives unknown rows: it stands alone.
    Where the order of the rows is part of the statement it must agree too; a statement that asks for no
    order joins the heaviest order of its rows.
    """
    groups: list[Group] = []
    same_rows: defaultdict[str, list[Trial]] = defaultdict(list)
    for trial in trials:
        match trial.outcome:
            case Tried(digest=digest):
                same_rows[digest].append(trial)
            case TrialFailed(kind="timeout") | None:
                groups.append(Group((trial,)))
    for members in same_rows.values():
        groups += _by_order(members)
    return tuple(sorted(groups, key=_place))


def _by_order(members: list[Trial]) -> list[Group]:
    orders: defaultdict[str | None, list[Trial]] = defaultdict(list)
    for trial in members:
        orders[trial.outcome.order_digest if isinstance(trial.outcome, Tried) else None].append(trial)
    anyhow = orders.pop(None, [])
    ranked = sorted((Group(tuple(ordered)) for ordered in orders.values()), key=_place)
    if not ranked:
        return [Group(tuple(anyhow))]
    joined = sorted([*ranked[0].trials, *anyhow], key=lambda trial: trial.statement.rank)
    return [Group(tuple(joined)), *ranked[1:]]


def _place(group: Group) -> tuple[float, int]:
    return -group.weight, group.best.statement.rank


def refusal_wins(readings: Readings, groups: Sequence[Group] | None = None) -> CannotAnswer | None:
    """The model's own "cannot answer", if no group of statements is as probable.

    Before there are groups: if not even all statements together are.
    """
    said = next((r for r in readings.refusals if r.meaning.reason == "out_of_scope"), None)
    if said is None:
        return None
    if groups is not None:
        rivals = [_place(group) for group in groups]
    else:
        weight = sum(statement.weight for statement in readings.statements)
        rivals = [(-weight, statement.rank) for statement in readings.statements[:1]]
    return said.meaning if all((-said.weight, said.rank) < rival for rival in rivals) else None


def told(readings: Readings, groups: Sequence[Group], texts: int) -> CandidateGroups:
    """The groups as the answer tells them; shares are parts of the weight of all texts."""
    return CandidateGroups(
        count=texts,
        statements=len(readings.statements),
        agreement=_share(groups[0], readings) if groups else 0.0,
        groups=tuple(
            CandidateGroup(
                sql=group.best.verdict.sql,
                query_spec=group.best.statement.candidate.query_spec,
                statements=len(group.trials),
                share=_share(group, readings),
                row_count=group.best.outcome.row_count if isinstance(group.best.outcome, Tried) else None,
            )
            for group in groups
        ),
    )


def _share(group: Group, readings: Readings) -> float:
    return round(min(group.weight / readings.total_weight, 1.0), 4) if readings.total_weight else 0.0
