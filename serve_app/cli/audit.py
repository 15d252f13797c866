"""`audit`: the audit log is checked and read."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from serve_app.cli.output import EXIT_FAILED, fail, result

commands = typer.Typer(help="Check and read the audit log.", no_args_is_help=True)

TOLD_FIELDS = ("user_id", "organization_id", "credential_id", "outcome", "verdict", "row_count")


def register(app: typer.Typer) -> None:
    app.add_typer(commands, name="audit")


@commands.command(epilog="Example: plumbline audit verify --head 5f0c… && echo untouched")
def verify(
    files: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[FILE]...", help="Files of the log; default: all, and none may be missing."),
    ] = None,
    head: Annotated[
        list[str] | None,
        typer.Option(metavar="HASH", help="A last hash kept from an earlier check; its line must be there."),
    ] = None,
) -> None:
    """Check every line's hash. Exit code 0: whole; 1: broken, with the first broken line; 2: bad input.

    Each file's lines and its last hash are told. Whoever keeps these hashes elsewhere and gives them with
    --head, once for each, learns whether lines were cut off at the end since.
    """
    from serve_app.audit.chain import is_hash
    from serve_app.audit.log import audit_files
    from serve_app.audit.verify import missing_heads, verify_files

    for text in head or ():
        if not is_hash(text):
            fail(f"--head {text!r} is no hash; give the 64 digits that an earlier check told")

    paths = files or audit_files(_folder())
    try:
        verdicts = verify_files(paths, is_whole_log=not files)
    except OSError as error:
        fail(f"{error.filename} cannot be read: {error.strerror}")
    if not verdicts:
        fail(f"there is no audit log in {_folder()}")
    for verdict in verdicts:
        told = f"{verdict.lines} lines, last hash {verdict.head}"
        result(f"{verdict.path}: {told}" if verdict.fault is None else f"{verdict.path}: {verdict.fault}")
    broken = [verdict for verdict in verdicts if verdict.fault is not None]
    if broken:
        fail(f"the audit log is broken: {broken[0].path}, {broken[0].fault}", EXIT_FAILED)
    cut = missing_heads(verdicts, head or ())
    if cut:
        fail(f"the audit log was cut: no line has the hash {cut[0]}", EXIT_FAILED)


@commands.command(epilog="Example: plumbline audit tail -n 50 --json | jq .sql")
def tail(
    lines: Annotated[int, typer.Option("-n", "--lines", min=1, max=10_000, help="How many lines.")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="The lines as they are written.")] = False,
) -> None:
    """Show the last lines of all files together, the latest one last."""
    from serve_app.audit.log import audit_files, tail_lines

    events: list[tuple[str, str, dict[str, Any]]] = []
    for path in audit_files(_folder()):
        for raw in tail_lines(path)[-lines:]:
            try:
                fields = json.loads(raw)
                events.append((str(fields["at"]), raw.decode().rstrip("\n"), fields))
            except (ValueError, KeyError, TypeError):
                continue
    if not events:
        fail(f"there is no audit log in {_folder()}", EXIT_FAILED)
    events.sort(key=lambda event: event[0])
    for at, text, fields in events[-lines:]:
        result(text if as_json else f"{at}  {_sentence(fields)}")


def _sentence(fields: dict[str, Any]) -> str:
    told = [f"{name}={fields[name]}" for name in TOLD_FIELDS if fields.get(name) is not None]
    text = fields.get("question") or fields.get("given") or fields.get("sql") or ""
    parts = [str(fields.get("event")), *told, json.dumps(text, ensure_ascii=False) if text else ""]
    return " ".join(part for part in parts if part)


def _folder() -> Path:
    from serve_app.audit.log import log_folder
    from serve_app.paths import resolve
    from serve_app.settings import load_settings

    settings = load_settings()
    return log_folder(settings.audit, resolve(settings.server.data_dir))
