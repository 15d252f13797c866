"""`validate`: the validator's verdict on SQL, without a server."""

import json
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from serve_app.cli.output import EXIT_FAILED, fail, result

if TYPE_CHECKING:
    from deployments.sql_validator.validator import Validator


def register(app: typer.Typer) -> None:
    app.command(epilog="Example: echo 'DROP TABLE projects' | plumbline validate")(validate)


def validate(
    json_lines: Annotated[
        bool, typer.Option("--json-lines", help='Read {"sql": …} lines, print one verdict as JSON for each.')
    ] = False,
    policy: Annotated[
        str | None,
        typer.Option(help="A policy of configs/policies/; default: PLUMBLINE_POLICY, else `default`."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the whole verdict as JSON.")] = False,
) -> None:
    """Check the SQL on standard input against a policy; nothing is run.

    Exit code 0: accepted; 1: rejected; 2: bad input. With --json-lines always 0: every line has its verdict.
    """
    from pathlib import Path

    from deployments.sql_validator.json_lines import verdict_lines
    from deployments.sql_validator.policy import Policies
    from deployments.sql_validator.validator import Validator
    from serve_app.paths import resolve
    from serve_app.settings import load_settings

    if json_lines and as_json:
        fail("--json-lines and --json exclude each other")
    settings = load_settings()
    policies = Policies.load(resolve(Path("configs/policies")))
    name = policy or settings.policy.name
    if name not in policies.names:
        fail(f"there is no policy {name!r}; there are: {', '.join(policies.names)}")
    validator = Validator(policies, settings.validator)
    if json_lines:
        for line in verdict_lines(sys.stdin.buffer, validator, name):
            result(line)
            sys.stdout.flush()
        return
    _one(validator, name, as_json)


def _one(validator: "Validator", policy: str, as_json: bool) -> None:
    from serve_app.contracts import ValidSql

    try:
        sql = sys.stdin.buffer.read().decode("utf-8")
    except UnicodeDecodeError as error:
        fail(f"standard input is not UTF-8 (byte {error.start})")
    if not sql.strip():
        fail("standard input holds no SQL")
    verdict = validator.validate(sql, policy)
    if as_json:
        result(json.dumps(verdict.model_dump(), indent=1))
    elif isinstance(verdict, ValidSql):
        result(f"accepted, as it would run:\n{verdict.sql}")
    else:
        for found in verdict.violations:
            result(f"rejected by {found.rule}: {found.reason}")
    if not verdict.accepted:
        raise typer.Exit(EXIT_FAILED)
