"""Statistics of a stream of pairs: what it is made of, how long it is, what is dropped and why."""

import time
from collections import Counter
from itertools import islice
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from deployments.prompt_builder.query_spec.nodes import Cannot, QuerySpec
from deployments.prompt_builder.query_spec.walk import walk
from deployments.prompt_builder.synthesis.pairs import PairStream


class StreamReport(BaseModel):
    """Figures of one sample of a stream; shares are of the pairs kept."""

    model_config = ConfigDict(frozen=True)

    pairs: int
    pairs_per_second: float = Field(description="Per second of processor time, linking included")
    distinct_prompts: int
    distinct_targets: int
    shapes: dict[str, float] = Field(description="Share of each shape, source or follow-up")
    tables: dict[str, float] = Field(description="Share of each base table")
    conditions: dict[str, float] = Field(description="Share of specifications with this kind of condition")
    condition_counts: dict[int, float]
    prompt_words: float = Field(description="Mean words of a prompt")
    target_tokens: float = Field(description="Mean tokens of a target")
    longest_target_tokens: int
    drop_rate: float = Field(description="Share of drawn examples that the linker or the language refused")
    drops: dict[str, int] = Field(description="Commonest reasons with their class")
    phrasings_left_out: dict[str, int]


def stream_report(stream: PairStream, pairs: int = 5_000, seed: int = 0) -> StreamReport:
    """Draw ``pairs`` pairs and count."""
    tally = stream.synthesizer.tally
    tally.drawn.clear()
    tally.dropped.clear()
    started = time.process_time()
    sample = list(islice(stream.examples(seed, 0), pairs))
    elapsed = time.process_time() - started
    shapes: Counter[str] = Counter(example.kind for example, _, _ in sample)
    tables: Counter[str] = Counter()
    kinds: Counter[str] = Counter()
    counts: Counter[int] = Counter()
    for example, _, _ in sample:
        spec = example.spec
        if isinstance(spec, Cannot):
            tables["cannot"] += 1
            continue
        tables[spec.table] += 1
        counts[len(spec.where)] += 1
        kinds.update(_condition_kinds(spec))
    lengths = [target.count("<") for _, _, target in sample]
    dropped = sum(tally.dropped.values())
    left_out = stream.synthesizer.library.report.left_out
    return StreamReport(
        pairs=pairs,
        pairs_per_second=round(pairs / elapsed, 1),
        distinct_prompts=len({prompt for _, prompt, _ in sample}),
        distinct_targets=len({target for _, _, target in sample}),
        shapes=_shares(shapes, pairs),
        tables=_shares(tables, pairs),
        conditions=_shares(kinds, pairs),
        condition_counts=_shares(counts, pairs),
        prompt_words=round(sum(len(prompt.split()) for _, prompt, _ in sample) / pairs, 1),
        target_tokens=round(sum(lengths) / pairs, 1),
        longest_target_tokens=max(lengths),
        drop_rate=round(dropped / max(1, sum(tally.drawn.values())), 4),
        drops={f"{kind}: {reason}": n for (kind, reason), n in tally.dropped.most_common(25)},
        phrasings_left_out={f"{writer}: {reason}": n for (writer, reason), n in left_out.items()},
    )


def _condition_kinds(spec: QuerySpec) -> set[str]:
    return {type(node).__name__ for condition in spec.where for node in walk(condition)} & _KINDS


_KINDS = {
    "Compare", "InList", "InDates", "Between", "IsNull", "TextMatch", "Exists", "Predicate", "AnyOf",
    "Negation", "Subquery", "Aggregate",
}  # fmt: skip


def _shares(counter: Counter[Any], total: int) -> dict[Any, float]:
    return {key: round(n / total, 4) for key, n in counter.most_common()}
