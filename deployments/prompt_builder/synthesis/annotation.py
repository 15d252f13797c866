"""Checks questions annotated with query specifications: each must give the rows of a gold statement.

A line of an annotation file holds ``question``, ``spec`` (text form), ``gold`` (statements) and ``ordered``;
``links`` may say what placeholders stand for, else the linker is asked::

    {"question": "permits since May",
     "spec": "expenses show sum(amount) where category = 'permits' and date in D0",
     "links": {"D0": ["DATE '2026-05-01'", null], "V0": ["vendors.name", "Alamo Steel"], "N0": "100000"},
     "gold": ["SELECT …"], "ordered": false}

Run ``python -m deployments.prompt_builder.synthesis.annotation --help``; ``--links`` prints the linker's
placeholders of each question, to annotate with.
"""

import argparse
import asyncio
import json
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Any, Literal

import asyncpg
from pydantic import BaseModel, ConfigDict, ValidationError

from deployments.prompt_builder.domain import load_domain
from deployments.prompt_builder.linking.linker import Linker
from deployments.prompt_builder.query_spec.compiler import compile_spec
from deployments.prompt_builder.query_spec.context import SpecContext
from deployments.prompt_builder.query_spec.errors import CompileError, SpecError
from deployments.prompt_builder.query_spec.nodes import Cannot
from deployments.prompt_builder.query_spec.parser import parse
from deployments.prompt_builder.query_spec.tokens import decode, encode
from deployments.prompt_builder.synthesis.schema_file import load_schema
from serve_app.contracts import Candidate, DateRange, Link
from serve_app.evaluation.scoring import Rows, equal_rows, has_outer_limit, normalised, without_display_cap

STATEMENT_TIMEOUT_MS = 30_000
HEAD_ROWS = 4  # rows of each result printed with a mismatch

LinkValue = str | tuple[str | None, str | None]
Status = Literal["equal", "different", "invalid", "uncompilable", "failed", "cannot"]


class AnnotatedQuestion(BaseModel):
    """One line of an annotation file; fields of the question's own file (tags …) are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str = ""
    question: str
    spec: str
    gold: tuple[str, ...]
    ordered: bool = False
    difficulty: str = ""
    links: dict[str, LinkValue] | None = None


class Checked(BaseModel):
    """What came of one annotation; ``unsayable`` says why the model could not write it, if it could not."""

    model_config = ConfigDict(frozen=True)

    item: AnnotatedQuestion
    status: Status
    detail: str = ""
    sql: str = ""
    unsayable: str = ""


class AnnotationChecker:
    """Compiles annotations over one schema and compares their rows with the golds' on one connection."""

    def __init__(self, context: SpecContext, connection: "asyncpg.Connection | None", today: date) -> None:
        self.context = context
        self.connection = connection
        self.today = today
        self.linker = Linker(context.schema, context.domain)

    def links(self, item: AnnotatedQuestion) -> tuple[Link, ...]:
        """The links that the line gives, else those that the linker finds in the question."""
        if item.links is None:
            return self.linker.link(item.question, self.today).links
        return tuple(_link(name, value) for name, value in item.links.items())

    async def check(self, item: AnnotatedQuestion) -> Checked:
        try:
            spec = parse(item.spec, self.context)
        except SpecError as error:
            return Checked(item=item, status="invalid", detail=str(error))
        if isinstance(spec, Cannot):
            return Checked(item=item, status="cannot")
        unsayable = ""
        try:
            # What counts is what the model would write, so the rows of the token form are compared.
            written = decode(encode(spec, self.context), self.context)
            spec = written if not isinstance(written, Cannot) else spec
        except SpecError as error:
            unsayable = str(error)
        try:
            sql = compile_spec(spec, self.links(item), self.context)
        except CompileError as error:
            return Checked(item=item, status="uncompilable", detail=str(error), unsayable=unsayable)
        status, detail = await self.compare(sql, item)
        return Checked(item=item, status=status, detail=detail, sql=sql, unsayable=unsayable)

    async def compare(self, sql: str, item: AnnotatedQuestion) -> tuple[Status, str]:
        try:
            answer = await self.rows(sql)
        except asyncpg.PostgresError as error:
            return "failed", str(error)
        details = []
        if not any(has_outer_limit(gold) for gold in item.gold):
            answer = await self.rows(without_display_cap(sql))
        for gold_sql in item.gold:
            gold = await self.rows(gold_sql)
            if equal_rows(answer, gold, item.ordered, gold_sql):
                return "equal", ""
            details.append(f"gold {_head(gold)}")
        return "different", "\n".join([f"ours {_head(answer)}", *details])

    async def rows(self, sql: str) -> Rows:
        if self.connection is None:
            raise RuntimeError("rows are compared on a database, but none was given")
        statement = await self.connection.prepare(sql)
        records = await statement.fetch()
        return normalised(len(statement.get_attributes()), [tuple(record) for record in records])


def _link(name: str, value: LinkValue) -> Link:
    where: dict[str, Any] = {"placeholder": name, "span": (0, 0), "text": str(value)}
    if name.startswith("N"):
        return Link(**where, number=str(value))
    if isinstance(value, str):
        raise ValueError(f"{name} must be a pair, not {value!r}")
    if name.startswith("D"):
        return Link(**where, dates=DateRange(start_sql=value[0], end_sql=value[1]))
    table, _, column = (value[0] or "").partition(".")
    where["text"] = value[1] or ""
    return Link(**where, candidates=(Candidate(table=table, column=column, value=value[1] or "", score=1.0),))


def _head(rows: Rows) -> str:
    lines = "\n      ".join(str(row) for row in rows.rows[:HEAD_ROWS])
    return f"{len(rows.rows)} rows of {rows.width}:\n      {lines}"


def load_annotations(path: Path) -> Iterator[AnnotatedQuestion]:
    """The lines of a file.

    Raises:
        ValueError: a line that is no annotation, with its number.
    """
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if line.strip():
            try:
                yield AnnotatedQuestion.model_validate(json.loads(line))
            except (json.JSONDecodeError, ValidationError) as error:
                raise ValueError(f"{path}:{number} is no annotation: {error}") from error


def summary(checked: Sequence[Checked]) -> str:
    """Counts by status and by difficulty."""
    lines = []
    for difficulty in dict.fromkeys(c.item.difficulty for c in checked):
        counts = Counter(c.status for c in checked if c.item.difficulty == difficulty)
        told = ", ".join(f"{count} {status}" for status, count in counts.most_common())
        lines.append(f"{difficulty or 'all':<8} {counts['equal']}/{sum(counts.values())} equal ({told})")
    unsayable = sum(bool(c.unsayable) for c in checked)
    return "\n".join([*lines, f"{unsayable} hold a literal that the model cannot write"])


async def check_files(paths: Sequence[Path], checker: AnnotationChecker) -> list[Checked]:
    return [await checker.check(item) for path in paths for item in load_annotations(path)]


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Check annotated questions against their gold statements.")
    parser.add_argument("files", nargs="+", type=Path, help="JSONL files of annotations")
    parser.add_argument("--dsn", help="database with the data of the gold statements")
    parser.add_argument("--domain", type=Path, default=Path("configs/domains/construction"))
    parser.add_argument(
        "--links", action="store_true", help="print the linker's placeholders of every question"
    )
    parser.add_argument("--sql", action="store_true", help="print the SQL of mismatches")
    return parser.parse_args(argv)


async def _run(arguments: argparse.Namespace) -> int:
    context = SpecContext(load_schema(arguments.domain), load_domain(arguments.domain))
    if arguments.links:
        checker = AnnotationChecker(context, None, date.today())
        _print_links(arguments.files, checker)
        return 0
    settings = {"statement_timeout": str(STATEMENT_TIMEOUT_MS), "default_transaction_read_only": "on"}
    connection = await asyncpg.connect(arguments.dsn, server_settings=settings)
    try:
        checked = await check_files(arguments.files, AnnotationChecker(context, connection, date.today()))
    finally:
        await connection.close()
    for result in checked:
        if result.status != "equal" or result.unsayable:
            sys.stdout.write(_told(result, arguments.sql))
    sys.stdout.write(summary(checked) + "\n")
    return 0 if all(result.status == "equal" for result in checked) else 1


def _told(result: Checked, with_sql: bool) -> str:
    lines = [f"{result.item.id} {result.status}: {result.item.question}", f"  spec {result.item.spec}"]
    lines += [f"  {line}" for line in (result.detail, result.unsayable) if line]
    lines += [f"  {result.sql}"] if with_sql and result.sql else []
    if result.status == "different":
        lines += [f"  {gold}" for gold in result.item.gold]
    return "\n".join(lines) + "\n"


def _print_links(paths: Sequence[Path], checker: AnnotationChecker) -> None:
    for path in paths:
        for line in path.read_text(encoding="utf-8").splitlines():
            question = json.loads(line)["question"]
            linked = checker.linker.link(question, checker.today)
            told = [f"  {link.placeholder}: {_meaning(link)}" for link in linked.links]
            sys.stdout.write("\n".join([question, f"  {linked.text}", *told]) + "\n")


def _meaning(link: Link) -> str:
    if link.dates is not None:
        return f"from {link.dates.start_sql} to {link.dates.end_sql}"
    if link.number is not None:
        return link.number
    return " | ".join(f"{c.table}.{c.column} = {c.value!r}" for c in link.candidates)


if __name__ == "__main__":
    sys.exit(asyncio.run(_run(_arguments(None))))
