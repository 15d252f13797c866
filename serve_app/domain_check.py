"""`plumbline domain check`: the rules over a pack's folder, its examples and the live database, if given."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import yaml
from pydantic import ValidationError

from deployments.executor.executor import SqlExecutor
from deployments.prompt_builder.domain import DomainPack, load_domain
from deployments.prompt_builder.pack_check import check_pack
from deployments.prompt_builder.pack_check.derived import derived_place, derived_sql
from deployments.prompt_builder.pack_check.view import Finding, PackView, listed
from deployments.prompt_builder.query_spec.errors import CompileError, SpecError
from deployments.prompt_builder.query_spec.parser import parse
from deployments.prompt_builder.retrieval import Example, load_examples
from deployments.prompt_builder.synthesis.schema_file import SCHEMA_FILE, load_schema
from deployments.sql_validator.policy import POLICIES_FOLDER, Policies
from deployments.sql_validator.validator import Validator
from serve_app.contracts import Caller, ExecutionRequest, SchemaSnapshot, ValidSql
from serve_app.errors import PlumblineError
from serve_app.settings import Settings

# Whatever the login role may read: what callers may see of it is another matter.
POLICY = "database"
STATEMENT_TIMEOUT_S = 15.0
WRITE_ANEW = "write it anew with `plumbline domain init --schema-only`"


def check_domain(folder: Path, dsn: str | None, settings: Settings) -> tuple[Finding, ...]:
    """Everything that is missing or contradictory, errors first.

    ``dsn``: with it the live schema is compared and statements are run; without it the snapshot stands for
    the database.

    Raises:
        DatabaseUnavailable, ExecutionTimeout: the database cannot be read.
    """
    pack = _read_pack(folder)
    if isinstance(pack, list):
        return tuple(pack)
    snapshot = _read_snapshot(folder)
    examples = _read_examples(folder)
    found = [item for item in (snapshot, examples) if isinstance(item, Finding)]
    pairs = () if isinstance(examples, Finding) else examples
    if dsn is not None:
        return _sorted((*found, *asyncio.run(_against(dsn, folder, pack, snapshot, pairs, settings))))
    if isinstance(snapshot, Finding):
        return tuple(found)
    view = PackView(folder, pack, snapshot)
    refused = [finding for finding, _ in _judged(pairs, snapshot, settings) if finding is not None]
    return _sorted((*found, *check_pack(view), *refused, *_unread_specs(pairs, view)))


def _sorted(found: tuple[Finding, ...]) -> tuple[Finding, ...]:
    return tuple(sorted(found, key=lambda finding: ("error", "warning", "note").index(finding.severity)))


def _read_pack(folder: Path) -> DomainPack | list[Finding]:
    file = "domain.yaml"
    try:
        return load_domain(folder)
    except ValidationError as error:
        return [
            Finding("error", ".".join(map(str, fault["loc"])) or file, fault["msg"])
            for fault in error.errors(include_url=False)
        ]
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = error.strerror if isinstance(error, OSError) else " ".join(str(error).split())
        return [Finding("error", file, f"cannot be read: {reason}")]


def _read_snapshot(folder: Path) -> SchemaSnapshot | Finding:
    try:
        return load_schema(folder)
    except FileNotFoundError:
        problem = f"is missing, and training needs it; {WRITE_ANEW}"
    except (OSError, ValidationError, UnicodeDecodeError) as error:
        problem = f"is no schema snapshot ({type(error).__name__}); {WRITE_ANEW}"
    return Finding("error", SCHEMA_FILE, problem)


def _read_examples(folder: Path) -> tuple[Example, ...] | Finding:
    path = folder / "examples.jsonl"
    if not path.exists():
        return Finding("warning", path.name, "is missing; its pairs show a model what is meant")
    try:
        return load_examples(path)
    except (ValueError, OSError) as error:
        return Finding("error", path.name, " ".join(str(error).split()))


def _judged(
    examples: tuple[Example, ...], schema: SchemaSnapshot, settings: Settings
) -> Iterator[tuple[Finding | None, ValidSql | None]]:
    """The validator's word on each example: a finding, or the statement that may run."""
    validator = Validator(Policies.load(POLICIES_FOLDER), settings.validator)
    for number, example in enumerate(examples, start=1):
        verdict = validator.validate(example.sql, POLICY, schema)
        if isinstance(verdict, ValidSql):
            yield None, verdict
        else:
            first = verdict.violations[0]
            yield Finding("error", example_place(number, example), f"refused: {first.reason}"), None


def _unread_specs(examples: tuple[Example, ...], view: PackView) -> Iterator[Finding]:
    for number, example in enumerate(examples, start=1):
        try:
            if example.query_spec is not None:
                parse(example.query_spec, view.context)
        except SpecError as error:
            yield Finding("error", example_place(number, example), f"query_spec: {error}")


def example_place(number: int, example: Example) -> str:
    return f"examples.jsonl, pair {number} ({example.question[:40]!r})"


async def _against(
    dsn: str,
    folder: Path,
    pack: DomainPack,
    snapshot: SchemaSnapshot | Finding,
    examples: tuple[Example, ...],
    settings: Settings,
) -> list[Finding]:
    """The rules over the live schema, then every statement of the pack run once."""
    executor = SqlExecutor(dsn, settings.executor)
    try:
        live = await executor.schema()
        view = PackView(folder, pack, live)
        found = [*check_pack(view), *_unread_specs(examples, view)]
        if isinstance(snapshot, SchemaSnapshot):
            found += _drift(snapshot, live, pack)
        for number, (finding, statement) in enumerate(_judged(examples, live, settings), start=1):
            place = example_place(number, examples[number - 1])
            found += [finding] if finding else []
            found += await _run(executor, place, statement) if statement else []
        found += await _run_derived(executor, view, settings)
        return found
    finally:
        await executor.close()


async def _run_derived(executor: SqlExecutor, view: PackView, settings: Settings) -> list[Finding]:
    """What compiles but fails on the rows (a division by zero) or what the validator would refuse."""
    validator = Validator(Policies.load(POLICIES_FOLDER), settings.validator)
    found: list[Finding] = []
    for item in view.pack.derived:
        try:
            sql = derived_sql(item, view.context)
        except (SpecError, CompileError):
            continue  # the rule about derived names has said so
        verdict = validator.validate(sql, POLICY, view.schema)
        if isinstance(verdict, ValidSql):
            found += await _run(executor, derived_place(item), verdict)
        else:
            found.append(Finding("error", derived_place(item), f"refused: {verdict.violations[0].reason}"))
    return found


async def _run(executor: SqlExecutor, place: str, statement: ValidSql) -> list[Finding]:
    request = ExecutionRequest(
        request_id="domain-check",
        statement=statement,
        caller=Caller(user_id="domain-check", policy=POLICY),
        timeout_s=STATEMENT_TIMEOUT_S,
    )
    try:
        await executor.run(request)
    except PlumblineError as error:
        return [Finding("error", place, f"does not run: {error.message}")]
    return []


def _drift(snapshot: SchemaSnapshot, live: SchemaSnapshot, pack: DomainPack) -> list[Finding]:
    """What the snapshot that training reads says otherwise than the database."""
    changed = [
        f"{name}.{column.name}"
        for name in pack.tables
        if (table := live.table(name)) is not None
        for column in table.columns
        if (known := snapshot.table(name)) is None
        or (before := known.column(column.name)) is None
        or (before.type, before.enum_values) != (column.type, column.enum_values)
    ]
    if not changed:
        return []
    return [Finding("warning", SCHEMA_FILE, f"is older than {listed(changed)}; {WRITE_ANEW}")]
