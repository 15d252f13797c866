"""Latency and throughput of the engine, and of training, at the size of the house model.

    python -m tests.performance.bench_generator [--threads 1]

The engine is measured with random weights: the time of a pass depends on the shape alone, and a random model
does not end its output early.
"""

import argparse
import asyncio
import itertools
import random
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from deployments.generator.engine_config import EngineConfig
from deployments.generator.model_profile import ModelProfile
from deployments.generator.training.config import OptimizationConfig, TrainingConfig
from deployments.generator.training.export import export_model, new_model
from deployments.generator.training.tokenizer import train_tokenizer
from deployments.generator.training.trainer import train
from deployments.generator.transformers_engine import TransformersEngine
from serve_app.contracts import Generation, GenerationRequest, SamplingParams
from tests.performance.figures import heading, line

MODELS = Path(__file__).parents[2] / "configs" / "models"
WORDS = [
    f"{a}{b}" for a, b in itertools.product(("re", "con", "de", "per"), ("port", "form", "sign", "tain"))
]
ADDED_TOKENS = [f"<{word}>" for word in WORDS] + [f"<spare {number}>" for number in range(300)]
VOCABULARY_GROWTH = 2500  # a random model gets the house model's vocabulary size by added tokens
PROMPT_WORDS = 22
OUTPUT_TOKENS = 15
REPEATS = 40
TRAINING_S = 20.0


def pairs(seed: int, start: int) -> Iterator[tuple[str, str]]:
    """Questions of about 13 words, answers of about 8 tokens."""
    for number in itertools.count(start):
        source = random.Random(f"{seed}/{number}")
        words = source.choices(WORDS, k=source.randint(7, 19))
        yield " ".join(words), "".join(f"<{word}>" for word in words[: source.randint(4, 12)])


def house_training(seconds: float, threads: int) -> TrainingConfig:
    settings = TrainingConfig.load(MODELS / "house" / "training.yaml")
    optimization = OptimizationConfig(max_steps=None, time_budget_s=seconds)
    return settings.model_copy(update={"optimization": optimization, "threads": threads})


def measure_training(folder: Path, threads: int) -> None:
    run = train(house_training(TRAINING_S, threads), pairs, folder, added_tokens=ADDED_TOKENS)
    later = run.curve[1:] or run.curve
    speed = statistics.median(point.sequences_per_s for point in later)
    print(f"  training: {speed:.0f} sequences/s, {run.parameters / 1e6:.1f} M parameters")


def random_model(folder: Path, threads: int) -> None:
    """A model of the house model's shape and vocabulary, untrained."""
    settings = house_training(1.0, threads)
    spare = [f"<more {number}>" for number in range(VOCABULARY_GROWTH)]
    texts = (prompt for prompt, _ in itertools.islice(pairs(0, 0), 1000))
    tokenizer = train_tokenizer(texts, ADDED_TOKENS + spare, settings.tokenizer)
    torch.manual_seed(0)
    export_model(new_model(settings.shape, tokenizer), tokenizer, folder, settings)


def request(number: int, candidates: int) -> GenerationRequest:
    text = " ".join(random.Random(number).choices(WORDS, k=PROMPT_WORDS))
    params = SamplingParams(temperature=0.0, max_new_tokens=OUTPUT_TOKENS, candidates=candidates)
    return GenerationRequest(request_id=str(number), text=text, params=params)


def tokens_note(generations: Sequence[Generation]) -> str:
    tokens = statistics.mean(max(t.token_count for t in g.texts) for g in generations)
    return f"{generations[0].prompt_tokens} prompt tokens, {tokens:.1f} output tokens"


async def timed(engine: TransformersEngine, number: int, candidates: int = 1) -> tuple[float, Generation]:
    started = time.perf_counter()
    generation = await engine.submit(request(number, candidates))
    return time.perf_counter() - started, generation


async def one_by_one(engine: TransformersEngine, candidates: int) -> None:
    calls = [await timed(engine, number, candidates) for number in range(REPEATS)]
    seconds = [taken for taken, _ in calls]
    line(f"one by one, {candidates} candidates", seconds, sum(seconds), tokens_note([g for _, g in calls]))


async def together(engine: TransformersEngine, concurrency: int) -> None:
    started = time.perf_counter()
    calls = await asyncio.gather(*(timed(engine, number) for number in range(concurrency)))
    elapsed_s = time.perf_counter() - started
    tokens = sum(text.token_count for _, generation in calls for text in generation.texts)
    line(
        f"{concurrency} at once",
        [taken for taken, _ in calls],
        elapsed_s,
        f"{tokens / elapsed_s:.0f} tokens/s",
    )


async def serve(folder: Path, threads: int) -> None:
    profile = ModelProfile(
        name="house",
        folder=folder,
        prompt_profile="house",
        prompt_format="raw",
        quantization="none",
        device="cpu",
    )
    engine = TransformersEngine(profile, EngineConfig(cpu_threads=threads))
    try:
        await one_by_one(engine, 1)
        await one_by_one(engine, 8)
        for concurrency in (4, 16, 64):
            await together(engine, concurrency)
    finally:
        await engine.close()


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line of the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args(arguments)
    heading(f"Generator, shape of the house model, {options.threads} threads")
    with tempfile.TemporaryDirectory() as root:
        random_model(Path(root) / "random", options.threads)
        asyncio.run(serve(Path(root) / "random", options.threads))
        measure_training(Path(root) / "trained", options.threads)


if __name__ == "__main__":
    main()
