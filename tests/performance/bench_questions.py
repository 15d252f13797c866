"""The whole way of a question over HTTP: ``python -m tests.performance.bench_questions [--url URL]``.

Without a URL an instance of its own is started with the embedded defaults, and stopped again.
"""

import argparse
import asyncio
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import httpx

from serve_app.evaluation.client import Endpoint, Reply
from serve_app.evaluation.items import SingleItem, load_items
from tests.cli_support import fresh_operator
from tests.performance.figures import heading, line

QUESTIONS = Path(__file__).parents[1] / "data" / "eval" / "single.jsonl"
CONCURRENCY = (1, 4, 16)
TIMEOUT_S = 120.0


def questions(count: int) -> list[str]:
    """Spread evenly over the evaluation file, so that every kind is among them."""
    found = [item.question for item in load_items(QUESTIONS) if isinstance(item, SingleItem)]
    return found[:: max(1, len(found) // count)][:count]


async def ask_all(endpoint: Endpoint, asked: Sequence[str], concurrency: int) -> list[Reply]:
    slots = asyncio.Semaphore(concurrency)

    async def one(question: str) -> Reply:
        async with slots:
            return await endpoint.ask(question)

    return list(await asyncio.gather(*map(one, asked)))


async def measure(url: str, asked: Sequence[str]) -> None:
    heading(f"Questions to rows over HTTP, {url}")
    async with httpx.AsyncClient(timeout=TIMEOUT_S) as client:
        endpoint = Endpoint(client, url, user_id="plumbline-bench")
        # The first questions warm caches up and are not measured.
        await ask_all(endpoint, asked[:4], concurrency=1)
        for concurrency in CONCURRENCY:
            started = time.perf_counter()
            replies = await ask_all(endpoint, asked, concurrency)
            elapsed_s = time.perf_counter() - started
            kinds = Counter(reply.error_type or reply.kind for reply in replies)
            told = ", ".join(f"{number} {kind}" for kind, number in kinds.most_common())
            line(f"{concurrency} at once", [reply.latency_ms / 1e3 for reply in replies], elapsed_s, told)
            if kinds["unreachable"]:
                raise SystemExit(f"{kinds['unreachable']} questions got no answer from {url}")


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line of the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--url", help="address of a running instance")
    parser.add_argument("--questions", type=int, default=60)
    options = parser.parse_args(arguments)
    asked = questions(options.questions)
    if options.url is not None:
        asyncio.run(measure(options.url, asked))
        return
    with fresh_operator() as operator:
        started = operator.run("up", "--detach")
        if started.returncode:
            sys.exit(started.stderr)
        asyncio.run(measure(started.stdout.strip(), asked))


if __name__ == "__main__":
    main()
