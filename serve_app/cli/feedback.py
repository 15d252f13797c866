"""`feedback`: an operator reads what users said of answers and decides which pairs are verified examples."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from serve_app.cli.output import EXIT_FAILED, fail, note, printable, result

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from deployments.conversations.conversations import ConversationMemory
    from serve_app.contracts import Feedback

Found = TypeVar("Found")

commands = typer.Typer(
    help="Decide which answers and corrections of users become verified examples.", no_args_is_help=True
)

# An id is told and taken by its beginning, as long as only one begins so.
SHORT_ID = 8
STATUSES = ("noted", "pending", "accepted", "rejected")


def register(app: typer.Typer) -> None:
    app.add_typer(commands, name="feedback")


@commands.command("list", epilog="Example: plumbline feedback list --status pending")
def list_feedback(
    status: Annotated[
        str | None, typer.Option(help="Only this one: noted, pending, accepted or rejected.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object a line, with every field.")
    ] = False,
) -> None:
    """Show what users said, oldest first."""
    if status is not None and status not in STATUSES:
        fail(f"there is no status {status!r}; there are: {', '.join(STATUSES)}")
    found = with_store(lambda store: store.list_feedback(status))  # type: ignore[arg-type]
    if as_json:
        for feedback in found:
            result(feedback.model_dump_json())
    elif found:
        _print(found)
    else:
        note("no feedback" if status is None else f"no feedback is {status}")


@commands.command(epilog='Example: plumbline feedback accept 3f2a91c0 --question "Permit fees in May 2026"')
def accept(
    feedback_id: Annotated[str, typer.Argument(metavar="ID", help="The id, or the beginning of it.")],
    question: Annotated[
        str | None,
        typer.Option(help="Another wording; needed where the question came after others."),
    ] = None,
    for_everyone: Annotated[
        bool, typer.Option("--for-everyone", help="Offer the pair to all organizations, not only its own.")
    ] = False,
    by: Annotated[str | None, typer.Option(help="Who decides; default: the login name.")] = None,
) -> None:
    """Make a pair of question and statement a verified example; running servers take it up by themselves."""
    if question is not None and not 3 <= len(question.strip()) <= 1000:
        fail("--question must have 3 to 1000 characters")
    _decide(feedback_id, True, by, question and question.strip(), for_everyone)


@commands.command()
def reject(
    feedback_id: Annotated[str, typer.Argument(metavar="ID", help="The id, or the beginning of it.")],
    by: Annotated[str | None, typer.Option(help="Who decides; default: the login name.")] = None,
) -> None:
    """Refuse a pair, or take an accepted one back."""
    _decide(feedback_id, False, by, None, False)


@commands.command(epilog="Example: plumbline feedback export --output examples.jsonl")
def export(
    output: Annotated[
        Path | None, typer.Option(help="File to write; it must not exist. Default: standard output.")
    ] = None,
) -> None:
    """Write the accepted pairs as lines of a domain pack's examples.jsonl."""
    from deployments.prompt_builder.verified.library import example_of

    accepted = with_store(lambda store: store.verified())
    examples = [example for pair in accepted if (example := example_of(pair)) is not None]
    lines = [json.dumps(_pack_line(example), ensure_ascii=False) for example in examples]
    if output is None:
        for line in lines:
            result(line)
        return
    try:
        with output.open("x", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in lines)
    except OSError as error:
        fail(f"{output} cannot be written: {error.strerror}")
    note(f"{len(lines)} pairs written to {output}")


def _pack_line(example: Any) -> dict[str, Any]:
    """What a pack holds of a pair: nothing of who asked."""
    line: dict[str, Any] = example.model_dump(mode="json", include={"question", "sql", "kind", "asked_on"})
    return line


def _decide(
    feedback_id: str, is_accepted: bool, by: str | None, question: str | None, for_everyone: bool
) -> None:
    import getpass
    from datetime import UTC, datetime

    from deployments.conversations.feedback import Decision
    from serve_app.errors import InvalidRequest

    decision = Decision(
        is_accepted, (by or getpass.getuser())[:200], datetime.now(UTC), question, for_everyone
    )

    async def decide(store: "ConversationMemory") -> "Feedback | None":
        known = [f.id for f in await store.list_feedback() if f.id.startswith(feedback_id)]
        if len(known) > 1:
            fail(f"{len(known)} ids begin with {feedback_id!r}; give more of it")
        return await store.decide_feedback(known[0], decision) if known else None

    try:
        decided = with_store(decide)
    except InvalidRequest as error:
        fail(error.message)
    if decided is None:
        fail(f"there is no feedback {feedback_id!r}; `plumbline feedback list` shows what there is")
    note(f"{decided.status}: {decided.question}")


def with_store(work: "Callable[[ConversationMemory], Awaitable[Found]]") -> Found:
    """Work on the conversation store that the settings name; a running server may use it at the same time."""
    import asyncio

    from deployments.conversations.conversations import ConversationMemory
    from deployments.conversations.store import store_url
    from serve_app.errors import StoreUnavailable
    from serve_app.paths import resolve
    from serve_app.settings import load_settings

    settings = load_settings()
    given = settings.store.url
    url = store_url(given.get_secret_value() if given else None, resolve(settings.server.data_dir))

    async def run() -> Found:
        memory = ConversationMemory(url, settings.conversations)
        try:
            return await work(memory)
        finally:
            await memory.close()

    try:
        return asyncio.run(run())
    except StoreUnavailable:
        fail("the conversation store cannot be reached; check PLUMBLINE_STORE_URL", EXIT_FAILED)


def _print(found: "tuple[Feedback, ...]") -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console()
    for feedback in found:
        owner = feedback.caller
        who = f"{owner.user_id} of {owner.organization_id}" if owner.organization_id else owner.user_id
        follow_up = ", a follow-up" if feedback.is_follow_up else ""
        decided = f", by {feedback.decided_by}" if feedback.decided_by else ""
        head = f"{feedback.id[:SHORT_ID]}  {feedback.status}{decided}  {feedback.verdict}  {who}{follow_up}"
        console.print(Text(printable(head), style="bold"), soft_wrap=True)
        for line in (feedback.question, feedback.sql, feedback.comment):
            if line:
                console.print(Text(f"    {printable(' '.join(line.split()))}"), soft_wrap=True)
