"""`plumbline keys` and `plumbline audit`."""

import json
from pathlib import Path
from typing import Any

import pytest
from starlette.datastructures import Headers

from serve_app.auth.api_key_authenticator import ApiKeyAuthenticator
from serve_app.auth.key_file import KeyFile, read_pepper
from serve_app.errors import Unauthenticated
from tests.cli_support import Cli, Server


def authenticator(state: Path) -> ApiKeyAuthenticator:
    path = state / "keys.json"
    return ApiKeyAuthenticator(KeyFile(path), read_pepper(None, path, create=False))


async def user_of(state: Path, key: str) -> str:
    return (await authenticator(state).identify(Headers({"x-api-key": key}))).user_id


async def test_a_key_is_made_listed_rotated_and_revoked(cli: Cli, tmp_path: Path) -> None:
    state = tmp_path / "state"
    made = cli(
        "keys", "create", "ann", "--organization", "1", "--daily-questions", "9", "--expires-days", "30"
    )
    assert made.code == 0
    key = made.out.strip()
    assert await user_of(state, key) == "ann"
    (listed,) = cli("keys", "list", "--json").out.splitlines()
    fields = json.loads(listed)
    assert (fields["user_id"], fields["organizations"], fields["state"]) == ("ann", ["1"], "active")
    assert "secrets" not in fields
    assert "ann" in cli("keys", "list").out
    rotated = cli("keys", "rotate", fields["id"], "--grace-hours", "0").out.strip()
    assert await user_of(state, rotated) == "ann"
    with pytest.raises(Unauthenticated):
        await user_of(state, key)
    assert cli("keys", "revoke", fields["id"]).code == 0
    with pytest.raises(Unauthenticated):
        await user_of(state, rotated)
    assert cli("keys", "rotate", fields["id"]).error_line.startswith(
        f"plumbline: key {fields['id']} is revoked"
    )
    kept = b"".join(path.read_bytes() for path in state.rglob("*") if path.is_file())
    assert key.split("_", 2)[2].encode() not in kept
    assert rotated.split("_", 2)[2].encode() not in kept


def test_every_change_of_a_key_is_in_the_audit_log(cli: Cli, tmp_path: Path) -> None:
    cli("keys", "create", "ann", "--all-organizations")
    (fields,) = [json.loads(line) for line in cli("keys", "list", "--json").out.splitlines()]
    cli("keys", "rotate", fields["id"])
    cli("keys", "revoke", fields["id"])
    events = [json.loads(line) for line in cli("audit", "tail", "--json").out.splitlines()]
    changes = [(e["event"], e["credential_id"]) for e in events if e["event"] != "opened"]
    assert changes == [(f"key {what}", fields["id"]) for what in ("created", "rotated", "revoked")]
    assert "hmac" not in json.dumps(events)
    assert "key revoked" in cli("audit", "tail", "-n", "1").out
    whole = cli("audit", "verify")
    assert (whole.code, whole.err) == (0, "")
    assert len(whole.out.splitlines()) == 3


def test_a_broken_log_ends_with_the_first_broken_line(cli: Cli, tmp_path: Path) -> None:
    cli("keys", "create", "ann", "--organization", "1")
    (path,) = (tmp_path / "state" / "audit").glob("*.jsonl")
    path.write_bytes(path.read_bytes().replace(b'"ann"', b'"bob"'))
    for arguments in ((), (str(path),)):
        broken = cli("audit", "verify", *arguments)
        assert broken.code == 1
        assert broken.error_line.endswith("line 2: its content does not give its hash")


def test_a_kept_head_shows_that_the_end_was_cut_off(cli: Cli, tmp_path: Path) -> None:
    cli("keys", "create", "ann", "--organization", "1")
    (path,) = (tmp_path / "state" / "audit").glob("*.jsonl")
    head = cli("audit", "verify").out.split()[-1]
    cli("keys", "create", "bob", "--organization", "1")
    assert cli("audit", "verify", "--head", head).code == 0
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))
    assert cli("audit", "verify", str(path)).code == 0
    cut = cli("audit", "verify", str(path), "--head", head)
    assert (cut.code, cut.error_line) == (1, f"plumbline: the audit log was cut: no line has the hash {head}")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("keys", "create", "ann"), "--organization"),
        (("keys", "create", "ann", "--organization", "1", "--all-organizations"), "--organization"),
        (("keys", "create", " ", "--organization", "1"), "the user"),
        (("keys", "create", "ann", "--organization", ""), "an organization"),
        (("keys", "create", "ann", "--organization", "1", "--policy", "x"), "no policy 'x'"),
        (("keys", "create", "ann", "--organization", "1", "--rate-per-minute", "0"), "rate-per-minute"),
        (("keys", "revoke", "abc"), "no key 'abc'"),
        (("audit", "verify"), "no audit log"),
        (("audit", "verify", "--head", "5f0c"), "'5f0c' is no hash"),
        (("audit", "verify", "none.jsonl"), "none.jsonl cannot be read"),
    ],
)
def test_bad_input_gets_one_line(cli: Cli, arguments: tuple[str, ...], told: str) -> None:
    ended = cli(*arguments)
    assert ended.code == 2
    assert told in ended.error_line


def test_a_question_brings_the_credential_of_the_environment(
    cli: Cli, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    import httpx

    sent: list[dict[str, str]] = []
    real = httpx.request

    def request(*arguments: Any, **more: Any) -> httpx.Response:
        sent.append(more.get("headers") or {})
        return real(*arguments, **more)

    monkeypatch.setattr(httpx, "request", request)
    server.body = {"success": True, "data": {"rows": [], "columns": []}, "answer": "None."}
    cli("ask", "anything", "--url", server.url)
    monkeypatch.setenv("PLUMBLINE_API_KEY", "plk_x")
    assert cli("ask", "anything", "--url", server.url).code == 0
    assert sent == [{}, {"authorization": "Bearer plk_x"}]
