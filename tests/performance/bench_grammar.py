"""What output grammars cost and give: ``python -m tests.performance.bench_grammar [FILE.jsonl ...]``.

First the cost: texts and compiling for new and for known prompts, and the mask of a row. Then the model of a
house profile answers evaluation files with and without its grammar, in this process and over the embedded
database: right answers, candidates that compile, latencies. ``--model FOLDER`` measures other weights.
"""

import argparse
import asyncio
import random
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import torch
from tokenizers import Tokenizer

from deployments.executor.config import ExecutorConfig
from deployments.executor.embedded import EmbeddedPostgres
from deployments.executor.executor import SqlExecutor
from deployments.generator.grammar import GrammarCompiler, RowMatchers
from deployments.generator.model_profile import ModelProfile, load_profile
from deployments.generator.transformers_engine import TransformersEngine
from deployments.prompt_builder.budget import TokenCounter
from deployments.prompt_builder.builder import PromptProfile
from deployments.prompt_builder.domain import load_domain
from deployments.prompt_builder.house.profile import HouseConfig, HouseProfile
from deployments.prompt_builder.instruction.sql_grammar import sql_grammar
from deployments.prompt_builder.query_spec.context import SpecContext
from deployments.prompt_builder.query_spec.token_grammar import TokenGrammar
from deployments.prompt_builder.retrieval import load_examples
from deployments.sql_validator.validator import SqlValidatorCore
from serve_app.contracts import (
    BuiltPrompt,
    CannotAnswer,
    ConversationContext,
    Interpretation,
    Link,
    Prompt,
    Question,
    SchemaSnapshot,
)
from serve_app.evaluation.golds import GoldDatabase
from serve_app.evaluation.items import load_items
from serve_app.evaluation.local import LocalEndpoint
from serve_app.evaluation.report import make_report
from serve_app.evaluation.run import evaluate
from serve_app.paths import PROJECT_ROOT, named_config
from serve_app.pipeline import EnginePlan
from tests.performance.figures import heading, line, percentile

PACK = PROJECT_ROOT / "configs" / "domains" / "construction"
QUESTIONS = PROJECT_ROOT / "tests" / "data" / "eval" / "single.jsonl"
WALKS, WALK_TOKENS = 100, 40
TRIES = 10
END = 2  # the end token of `train_tokenizer`


class Counting:
    """A prompt profile that counts what the model's candidates came to."""

    def __init__(self, profile: PromptProfile) -> None:
        self._profile = profile
        self.candidates: Counter[str] = Counter()

    async def build(
        self,
        question: Question,
        context: ConversationContext,
        schema: SchemaSnapshot,
        repair: tuple[str, str] | None,
    ) -> BuiltPrompt:
        return await self._profile.build(question, context, schema, repair)

    async def interpret(self, prompt: Prompt, output: str, schema: SchemaSnapshot) -> Interpretation:
        meaning = await self._profile.interpret(prompt, output, schema)
        self.candidates[meaning.reason if isinstance(meaning, CannotAnswer) else "statement"] += 1
        return meaning


def timed(name: str, calls: Sequence[float], note: str = "") -> None:
    line(name, calls, sum(calls), note)


def seconds_of(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def some_links(number: int) -> tuple[Link, ...]:
    """Placeholders of a question; another number, another grammar."""
    return tuple(Link(placeholder=f"{'ND'[i % 2]}{i // 2}", span=(0, 0), text="") for i in range(number))


def walk(matchers: RowMatchers, vocabulary: int, source: random.Random) -> list[float]:
    """Seconds that each mask of a random output took."""
    taken: list[float] = []
    for _ in range(WALK_TOKENS):
        logprobs = torch.zeros(1, vocabulary)
        started = time.perf_counter()
        matchers.forbid(logprobs)
        taken.append(time.perf_counter() - started)
        allowed = torch.nonzero(logprobs[0] == 0).flatten().tolist()
        token = source.choice(allowed)
        if token == END:
            break
        matchers.follow([(0, token)])
    return taken


def measure_cost(folder: Path, schema: SchemaSnapshot) -> None:
    heading("Grammar of the house model's tokens")
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    vocabulary = tokenizer.get_vocab_size(with_added_tokens=True)
    context = SpecContext(schema, load_domain(PACK))
    new, known, compiled, again = [], [], [], []
    for _ in range(TRIES):
        grammar = TokenGrammar(context)
        compiler = GrammarCompiler(tokenizer, vocabulary, frozenset({END}))
        compiler.matchers('start: "warm"')
        new.append(seconds_of(partial(grammar.of, some_links(4))))
        known.append(seconds_of(partial(grammar.of, some_links(5))))
        text = grammar.of(some_links(5))
        compiled.append(seconds_of(partial(compiler.matchers, text)))
        again.append(seconds_of(partial(compiler.matchers, text)))
    timed("text, links of new kinds", new, f"{len(text)} characters")
    timed("text, links of known kinds", known)
    timed("compiling", compiled)
    timed("state of a compiled one", again)
    select = sql_grammar(schema, (example.sql for example in load_examples(PACK / "examples.jsonl")))
    timed("compiling the grammar of SELECT", [seconds_of(partial(compiler.matchers, select))])
    source = random.Random(0)
    masks = [s for _ in range(WALKS) for s in walk(compiler.matchers(select), vocabulary, source)]
    timed("mask of a row of SQL", masks)
    timed(
        "mask of a row", [s for _ in range(WALKS) for s in walk(compiler.matchers(text), vocabulary, source)]
    )


async def answered(
    profile: ModelProfile, schema: SchemaSnapshot, dsn: str, files: Sequence[Path], grammar: bool
) -> None:
    engine = TransformersEngine(profile)
    counter = TokenCounter(engine.count_tokens)
    prompts = Counting(HouseProfile(load_domain(PACK), counter, HouseConfig(grammar=grammar)))
    # Without a calibration nothing is refused for being unsure.
    plan = EnginePlan(name=profile.name, sampling=profile.sampling)
    executor = SqlExecutor(dsn, ExecutorConfig(), {})
    validator = SqlValidatorCore(executor.schema)
    try:
        async with GoldDatabase(dsn) as database:
            for path in files:
                prompts.candidates.clear()
                endpoint = LocalEndpoint(prompts, engine, schema, plan, validator, executor)
                results = await evaluate(load_items(path), endpoint, database)
                report = make_report(path.stem, results)
                seconds = sorted(result.latency_ms / 1e3 for result in results)
                share = prompts.candidates["statement"] / max(1, prompts.candidates.total())
                line(
                    f"{path.stem}, {'with' if grammar else 'without'} grammar",
                    seconds,
                    sum(seconds),
                    f"{report.score.right} of {report.score.asked} right ({report.score.percent:.1f} %); "
                    f"{share:.1%} of candidates are statements, {dict(prompts.candidates)}; "
                    f"failures {report.failures}; p99 {percentile(seconds, 0.99) * 1e3:.0f} ms",
                )
    finally:
        await executor.close()
        await engine.close()


async def snapshot(dsn: str) -> SchemaSnapshot:
    executor = SqlExecutor(dsn, ExecutorConfig(), {})
    try:
        return await executor.schema()
    finally:
        await executor.close()


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line of the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("files", nargs="*", type=Path, default=[QUESTIONS])
    parser.add_argument("--profile", default="house", help="a model profile that asks the house model's way")
    parser.add_argument("--model", help="folder of other weights")
    options = parser.parse_args(arguments)
    profile = load_profile(named_config("models", options.profile)).override(options.model)
    assert profile.folder is not None, "a house model is a folder"
    with tempfile.TemporaryDirectory() as root:
        database = EmbeddedPostgres(Path(root) / "postgres")
        try:
            dsn = database.start().dsn
            schema = asyncio.run(snapshot(dsn))
            measure_cost(profile.folder, schema)
            heading(f"{profile.name}, {profile.sampling.candidates} candidates")
            for grammar in (False, True):
                asyncio.run(answered(profile, schema, dsn, options.files, grammar))
        finally:
            database.stop()
            shutil.rmtree(database.data_folder.parent, ignore_errors=True)  # may lie elsewhere


if __name__ == "__main__":
    main()
