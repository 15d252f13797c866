"""`ask` and `schema`: the HTTP API from a terminal."""

import json
import sys
from decimal import Decimal
from typing import Annotated, Any

import typer

from serve_app.cli.credential import credential_headers
from serve_app.cli.output import EXIT_CLARIFICATION, EXIT_FAILED, EXIT_USAGE, fail, note, printable, result

URL_HELP = "Server to ask; default: the one that `plumbline up` started."
# Above the server's own deadline, which answers in words.
TIMEOUT_S = 120.0
# Outside of a terminal nothing says how wide a line may be.
PLAIN_WIDTH = 160
NUMERIC = ("currency", "percent", "count", "number")


def register(app: typer.Typer) -> None:
    app.command(
        epilog='Examples: plumbline ask "spend per project this year"; '
        'plumbline ask --conversation 4f1c "and last year?"'
    )(ask)
    app.command()(schema)


def ask(
    question: Annotated[
        str, typer.Argument(help="The question, in plain English; - reads it from standard input.")
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print the server's whole answer as JSON.")] = False,
    only_sql: Annotated[bool, typer.Option("--sql", help="Print the SQL only.")] = False,
    conversation: Annotated[str | None, typer.Option(help="Id of a conversation to go on with.")] = None,
    user: Annotated[str | None, typer.Option(help="Who asks; default: the login name.")] = None,
    url: Annotated[str | None, typer.Option(help=URL_HELP)] = None,
) -> None:
    """Ask one question.

    Exit code 0: answered; 1: refused or failed; 2: bad input; 3: a question was asked back.
    """
    if as_json and only_sql:
        fail("--json and --sql exclude each other")
    text = _given(question)
    if not text.strip():
        fail("the question is empty")
    body = {"query": text, "user_id": user or _login()}
    if conversation is not None:
        body["conversation_id"] = conversation
    answer = call("POST", url, "/api/chat", body)
    if as_json:
        result(json.dumps(answer, indent=1, ensure_ascii=False))
    elif only_sql:
        result(answer.get("sql") or "")
    else:
        _show(answer)
    if error := answer.get("error"):
        fail(str(error.get("message")), EXIT_USAGE if error.get("type") == "invalid_request" else EXIT_FAILED)
    if answer.get("clarification"):
        raise typer.Exit(EXIT_CLARIFICATION)
    if answer.get("data") is None:
        raise typer.Exit(EXIT_FAILED)


def schema(
    as_json: Annotated[bool, typer.Option("--json", help="Print the schema as JSON.")] = False,
    refresh: Annotated[
        bool, typer.Option("--refresh", help="Read it again from the database first.")
    ] = False,
    url: Annotated[str | None, typer.Option(help=URL_HELP)] = None,
) -> None:
    """Show the tables and columns that the assistant may see."""
    found = call("GET", url, f"/api/schema?refresh={str(refresh).lower()}")
    if found.get("error"):
        fail(str(found["error"].get("message")), EXIT_FAILED)
    if as_json:
        result(json.dumps(found, indent=1, ensure_ascii=False))
        return
    from deployments.prompt_builder.schema_text import table_text
    from serve_app.contracts import SchemaSnapshot

    for table in SchemaSnapshot.model_validate(found).tables:
        result(table_text(table))


def call(method: str, url: str | None, path: str, body: dict[str, str] | None = None) -> dict[str, Any]:
    """One call of the API; its JSON body whatever the status.

    Raises:
        CliError: nothing answers there, or not this API.
    """
    import httpx

    base = (url or running_url()).rstrip("/")
    try:
        # The instance on this machine is never asked through a proxy of the environment.
        proxied = url is not None
        response = httpx.request(
            method,
            f"{base}{path}",
            json=body,
            headers=credential_headers(),
            timeout=TIMEOUT_S,
            trust_env=proxied,
        )
    except (httpx.InvalidURL, httpx.UnsupportedProtocol):
        fail(f"{base!r} is not an HTTP address such as http://127.0.0.1:8000")
    except httpx.TimeoutException:
        fail(f"{base} did not answer within {TIMEOUT_S:g} s", EXIT_FAILED)
    except httpx.HTTPError:
        fail(f"nothing answers at {base}; start it with `plumbline up`", EXIT_FAILED)
    try:
        answer = response.json()
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        fail(f"{base} is no Plumbline server (HTTP status {response.status_code})", EXIT_FAILED)
    return answer


def _given(question: str) -> str:
    """The question, from standard input for ``-``.

    Raises:
        CliError: it is not UTF-8, for which Python puts halves of surrogate pairs.
    """
    try:
        text = sys.stdin.read() if question == "-" else question
        text.encode("utf-8")
    except UnicodeError:
        fail("the question is not UTF-8 text")
    return text


def running_url() -> str:
    """The running instance's address, or where one would be."""
    from serve_app.cli.state import StateFolder
    from serve_app.settings import load_settings

    settings = load_settings()
    running = StateFolder.of(settings).running()
    return running.url if running else f"http://127.0.0.1:{settings.server.port}"


def _login() -> str:
    import getpass

    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "cli"


def _show(answer: dict[str, Any]) -> None:
    """The rows as a table, the statement behind them, and how to go on."""
    from rich.console import Console
    from rich.syntax import Syntax
    from rich.text import Text

    console = Console() if sys.stdout.isatty() else Console(width=PLAIN_WIDTH)
    data = answer.get("data")
    if data is not None:
        console.print(_table(data, answer.get("metadata", {}).get("columns", [])))
    if answer.get("clarification") or answer.get("answer"):
        console.print(Text(printable(answer.get("clarification") or answer["answer"])))
    if answer.get("sql"):
        # Never wrapped: a statement that is copied from here must run.
        syntax = Syntax("", "postgresql", background_color="default")
        highlighted = syntax.highlight(printable(answer["sql"]))
        console.print(highlighted, soft_wrap=True, end="")
    if answer.get("conversation_id"):
        note(f"conversation {answer['conversation_id']}")


def _table(data: dict[str, Any], columns: list[dict[str, str]]) -> Any:
    from rich.table import Table
    from rich.text import Text

    meanings = {column["name"]: column.get("semantic_type") for column in columns}
    table = Table()
    for name in data["columns"]:
        table.add_column(Text(printable(name)), justify="right" if meanings.get(name) in NUMERIC else "left")
    for row in data["rows"]:
        # Text, not str: brackets in values are no markup.
        table.add_row(
            *(Text(printable(_cell(row.get(name), meanings.get(name)))) for name in data["columns"])
        )
    return table


def _cell(value: Any, meaning: str | None) -> str:
    if value is None:
        return ""
    if meaning == "currency":
        return f"{Decimal(str(value)):,.2f}"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else str(value)
