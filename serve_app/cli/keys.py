"""`keys`: API keys of this server are made, listed, given new secrets and revoked."""

import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from serve_app.cli.output import EXIT_FAILED, fail, note, result

if TYPE_CHECKING:
    from serve_app.auth.key_file import KeyList
    from serve_app.auth.keys import ApiKey

commands = typer.Typer(
    help="Make, list, rotate and revoke API keys (PLUMBLINE_AUTH_MODE=api_keys).", no_args_is_help=True
)

KEY_ID = Annotated[str, typer.Argument(metavar="ID", help="The key's id: 12 letters and digits after plk_.")]
LONGEST_ID = 200
# Outside of a terminal nothing says how wide a line may be.
PLAIN_WIDTH = 160
TOLD_ONCE = "This is the only time the key is shown; keep it safe."


def register(app: typer.Typer) -> None:
    app.add_typer(commands, name="keys")


@commands.command(epilog="Example: plumbline keys create ann --organization 1 --expires-days 90")
def create(
    user: Annotated[str, typer.Argument(help="Whom the key stands for; conversations belong to this user.")],
    organization: Annotated[
        list[str] | None, typer.Option(help="An organization of the user; may be repeated.")
    ] = None,
    all_organizations: Annotated[
        bool, typer.Option("--all-organizations", help="The user sees the rows of every organization.")
    ] = False,
    policy: Annotated[
        str | None, typer.Option(help="A policy of configs/policies/; default: PLUMBLINE_POLICY.")
    ] = None,
    rate_per_minute: Annotated[
        int | None, typer.Option(min=1, help="Calls a minute; default: PLUMBLINE_AUTH_RATE_PER_MINUTE.")
    ] = None,
    daily_questions: Annotated[
        int | None,
        typer.Option(min=1, help="Questions a day (UTC); default: PLUMBLINE_AUTH_DAILY_QUESTIONS."),
    ] = None,
    expires_days: Annotated[
        float | None, typer.Option(min=0.001, max=36500, help="Days until it ends; default: never.")
    ] = None,
) -> None:
    """Make a key and print it, once, on standard output."""
    from serve_app.auth.keys import ApiKey, new_id, new_secret

    _check_ids([user], "the user")
    _check_ids(organization or [], "an organization")
    if bool(organization) == all_organizations:
        fail("give the user's organizations with --organization, or --all-organizations")
    _check_policy(policy)
    now = datetime.now(UTC)
    key_id = new_id()
    store = _Store()
    secret, text = new_secret(key_id, store.pepper(), now)
    key = ApiKey(
        id=key_id,
        user_id=user,
        organizations=tuple(dict.fromkeys(organization or ())),
        all_organizations=all_organizations,
        policy=policy,
        rate_per_minute=rate_per_minute,
        daily_questions=daily_questions,
        made_at=now,
        expires_at=None if expires_days is None else now + timedelta(days=expires_days),
        secrets=(secret,),
    )
    store.change("key created", lambda _: key)
    result(text)
    note(f"key {key_id} of {user}. {TOLD_ONCE}")


@commands.command("list")
def list_keys(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Show the keys, oldest first; never their secrets."""
    keys = _Store().read().keys
    now = datetime.now(UTC)
    if as_json:
        for key in keys:
            fields = key.model_dump(mode="json", exclude={"secrets"})
            result(json.dumps({**fields, "state": key.state(now)}, ensure_ascii=False))
    elif keys:
        _print(keys, now)
    else:
        note("there is no key; make one with `plumbline keys create`")


@commands.command(epilog="Example: plumbline keys rotate 3f2a91c0be77 --grace-hours 1")
def rotate(
    key_id: KEY_ID,
    grace_hours: Annotated[
        float, typer.Option(min=0, max=8760, help="Hours for which the secret before still holds; 0: none.")
    ] = 24.0,
) -> None:
    """Give a key a new secret and print the new key, once, on standard output."""
    store, now = _Store(), datetime.now(UTC)
    pepper = store.pepper()
    texts: list[str] = []

    def renew(keys: "KeyList") -> "ApiKey":
        renewed, text = _active(keys, key_id, now).rotated(pepper, now, timedelta(hours=grace_hours))
        texts.append(text)
        return renewed

    store.change("key rotated", renew)
    result(texts[0])
    until = (
        f"the one before holds for {grace_hours:g} hours more" if grace_hours else "the one before is void"
    )
    note(f"key {key_id} has a new secret; {until}. {TOLD_ONCE}")


@commands.command()
def revoke(key_id: KEY_ID) -> None:
    """End a key for good; running servers refuse it within a second."""
    now = datetime.now(UTC)

    def end(keys: "KeyList") -> "ApiKey":
        key = keys.key(key_id) or _unknown(key_id)
        return key.model_copy(update={"revoked_at": key.revoked_at or now})

    key = _Store().change("key revoked", end)
    note(f"key {key_id} of {key.user_id} is revoked")


class _Store:
    """The file of keys that the settings name, with the audit log of its changes."""

    def __init__(self) -> None:
        from serve_app.auth.key_file import KeyFile
        from serve_app.auth.setup import keys_path
        from serve_app.paths import resolve
        from serve_app.settings import load_settings

        self._settings = load_settings()
        self._folder = resolve(self._settings.server.data_dir)
        self._path = keys_path(self._settings.auth, self._folder)
        self._file = KeyFile(self._path)

    def read(self) -> "KeyList":
        return self._file.read()

    def pepper(self) -> bytes:
        from serve_app.auth.key_file import read_pepper

        self._path.parent.mkdir(parents=True, exist_ok=True)
        return read_pepper(self._settings.auth.pepper, self._path, create=True)

    def change(self, event: str, change: "Callable[[KeyList], ApiKey]") -> "ApiKey":
        """Put the changed key in place. The audit line comes first: no key changes without one."""
        import getpass

        from serve_app.audit.log import open_log

        with self._file.changing() as save:
            keys = self._file.read()
            key = change(keys)
            log = open_log(self._settings.audit, self._folder, writer="keys")
            try:
                if log is not None:
                    fields = key.model_dump(mode="json", exclude={"secrets", "id"})
                    log.write(event, credential_id=key.id, key=fields, by=getpass.getuser())
                save(keys.with_key(key))
            except OSError as error:
                fail(f"the change was not made: {error.strerror} while it was recorded or saved", EXIT_FAILED)
            finally:
                if log is not None:
                    log.close()
        return key


def _active(keys: "KeyList", key_id: str, now: datetime) -> "ApiKey":
    key = keys.key(key_id) or _unknown(key_id)
    if key.state(now) != "active":
        fail(f"key {key_id} is {key.state(now)}; make a new one with `plumbline keys create`")
    return key


def _unknown(key_id: str) -> NoReturn:
    fail(f"there is no key {key_id!r}; `plumbline keys list` shows what there is")


def _check_ids(values: list[str], what: str) -> None:
    for value in values:
        if not 0 < len(value) <= LONGEST_ID or not value.isprintable() or value != value.strip():
            fail(f"{what} must have 1 to {LONGEST_ID} characters without blanks at the ends, not {value!r}")


def _check_policy(policy: str | None) -> None:
    from deployments.sql_validator.policy import POLICIES_FOLDER, Policies

    names = Policies.load(POLICIES_FOLDER).names
    if policy is not None and policy not in names:
        fail(f"there is no policy {policy!r}; there are: {', '.join(names)}")


def _print(keys: "tuple[ApiKey, ...]", now: datetime) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(*("id", "user", "organizations", "policy", "a minute", "a day", "expires", "state"))
    for key in keys:
        organizations = "all" if key.all_organizations else ", ".join(key.organizations)
        expires = f"{key.expires_at:%Y-%m-%d %H:%M} UTC" if key.expires_at else ""
        limits = (str(key.rate_per_minute or ""), str(key.daily_questions or ""))
        cells = (key.id, key.user_id, organizations, key.policy or "", *limits, expires, key.state(now))
        table.add_row(*map(Text, cells))
    Console(width=None if sys.stdout.isatty() else PLAIN_WIDTH).print(table)
