"""API keys: their text, their hashes, their file."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr
from starlette.datastructures import Headers

from serve_app.auth import keys
from serve_app.auth.api_key_authenticator import ApiKeyAuthenticator
from serve_app.auth.key_file import KeyFile, KeyList, read_pepper
from serve_app.auth.keys import ApiKey, new_id, new_secret, read_key
from serve_app.errors import ConfigurationError, Unauthenticated

NOW = datetime(2026, 5, 4, 9, 30, tzinfo=UTC)
PEPPER = b"p" * 32


def make_key(**fields: object) -> tuple[ApiKey, str]:
    key_id = new_id()
    secret, text = new_secret(key_id, PEPPER, NOW)
    values = {"user_id": "ann", "organizations": ("1",), "made_at": NOW, "secrets": (secret,), **fields}
    return ApiKey.model_validate({"id": key_id, **values}), text


def authenticator(path: Path, *keys: ApiKey, now: datetime = NOW) -> ApiKeyAuthenticator:
    file = KeyFile(path / "keys.json")
    with file.changing() as save:
        save(KeyList(keys=keys))
    return ApiKeyAuthenticator(file, PEPPER, lambda: now)


def bearer(text: str) -> Headers:
    return Headers({"authorization": f"Bearer {text}"})


async def test_a_key_stands_for_its_user_in_either_header(tmp_path: Path) -> None:
    key, text = make_key(policy="restricted", rate_per_minute=5)
    asked = authenticator(tmp_path, key)
    for headers in (bearer(text), Headers({"x-api-key": text}), Headers({"authorization": f"bearer {text}"})):
        found = await asked.identify(headers)
        assert (found.user_id, found.organizations, found.policy) == ("ann", ("1",), "restricted")
        assert (found.credential_id, found.rate_per_minute) == (key.id, 5)


async def test_what_is_no_valid_key_is_refused_in_the_same_words(tmp_path: Path) -> None:
    key, text = make_key()
    ended, ended_text = make_key(expires_at=NOW)
    revoked, revoked_text = make_key(revoked_at=NOW - timedelta(days=1))
    asked = authenticator(tmp_path, key, ended, revoked)
    last = "A" if text[-1] != "A" else "B"
    wrong = [
        text[:-1] + last,
        ended_text,
        revoked_text,
        make_key()[1],
        "plk_",
        "x",
        f"plk_{ended.id}_{text[17:]}",
    ]
    messages = set()
    for bad in wrong:
        with pytest.raises(Unauthenticated) as refused:
            await asked.identify(bearer(bad))
        messages.add(refused.value.message)
        assert bad not in str(refused.value.detail)
    assert len(messages) == 1


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("authorization", "Basic YW5uOng=")],
        [("authorization", "Bearer ")],
        [("authorization", "Bearer a b")],
        [("authorization", "Bearer {key}"), ("authorization", "Bearer {key}")],
        [("authorization", "Bearer {key}"), ("x-api-key", "another")],
    ],
)
async def test_no_or_several_credentials_are_refused(tmp_path: Path, headers: list[tuple[str, str]]) -> None:
    key, text = make_key()
    raw = [(name.encode(), value.format(key=text).encode()) for name, value in headers]
    with pytest.raises(Unauthenticated):
        await authenticator(tmp_path, key).identify(Headers(raw=raw))


@given(st.text(max_size=90) | st.from_regex(r"plk_[0-9a-f]{12}_[A-Za-z0-9_-]{43}", fullmatch=True))
def test_a_made_up_secret_never_holds(text: str) -> None:
    key, own = make_key()
    read = read_key(text)
    if read is not None and text != own:
        assert not key.holds(read.secret, PEPPER, NOW)


def test_the_hash_binds_secret_id_and_pepper() -> None:
    key, text = make_key()
    read = read_key(text)
    assert read is not None
    assert key.holds(read.secret, PEPPER, NOW)
    assert not key.holds(read.secret, b"q" * 32, NOW)
    assert not key.model_copy(update={"id": new_id()}).holds(read.secret, PEPPER, NOW)
    assert read.secret not in key.model_dump_json()


def test_a_rotated_key_holds_with_both_secrets_until_the_grace_ends() -> None:
    key, old = make_key()
    renewed, new = key.rotated(PEPPER, NOW, timedelta(hours=1))
    secrets = [read.secret for text in (old, new) if (read := read_key(text))]
    assert read_key(new).id == key.id  # type: ignore[union-attr]
    for later, expected in ((0, [True, True]), (59, [True, True]), (60, [False, True])):
        now = NOW + timedelta(minutes=later)
        assert [renewed.holds(secret, PEPPER, now) for secret in secrets] == expected
    at_once, _ = key.rotated(PEPPER, NOW, timedelta(0))
    assert not at_once.holds(secrets[0], PEPPER, NOW)
    # A second rotation does not prolong the first secret.
    again, _ = renewed.rotated(PEPPER, NOW + timedelta(minutes=30), timedelta(days=9))
    assert not again.holds(secrets[0], PEPPER, NOW + timedelta(minutes=61))


async def test_a_revoked_key_ends_within_a_second_and_a_broken_file_refuses_all(tmp_path: Path) -> None:
    key, text = make_key()
    clock = [0.0]
    file = KeyFile(tmp_path / "keys.json", lambda: clock[0])
    with file.changing() as save:
        save(KeyList(keys=(key,)))
    asked = ApiKeyAuthenticator(file, PEPPER, lambda: NOW)
    await asked.identify(bearer(text))
    with file.changing() as save:
        save(KeyList(keys=(key.model_copy(update={"revoked_at": NOW}),)))
    clock[0] += 1.0
    with pytest.raises(Unauthenticated):
        await asked.identify(bearer(text))
    (tmp_path / "keys.json").write_text("{")
    clock[0] += 1.0
    with pytest.raises(Unauthenticated):
        await asked.identify(bearer(text))


def test_the_file_and_the_pepper_are_private(tmp_path: Path) -> None:
    file = KeyFile(tmp_path / "k" / "keys.json")
    with file.changing() as save:
        save(KeyList(keys=(make_key()[0],)))
    pepper = read_pepper(None, tmp_path / "k" / "keys.json", create=True)
    assert read_pepper(None, tmp_path / "k" / "keys.json", create=False) == pepper
    for name in ("keys.json", "pepper"):
        assert (tmp_path / "k" / name).stat().st_mode & 0o077 == 0
    assert json.loads((tmp_path / "k" / "keys.json").read_text())["version"] == 1
    assert read_pepper(SecretStr("s" * 40), tmp_path / "x", create=False) == b"s" * 40
    with pytest.raises(ConfigurationError, match="plumbline keys create"):
        read_pepper(None, tmp_path / "none" / "keys.json", create=False)


async def test_an_unknown_id_is_refused_with_the_work_of_a_wrong_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, text = make_key()
    asked = authenticator(tmp_path, key)
    worked: list[str] = []
    real = keys.hashed
    monkeypatch.setattr(keys, "hashed", lambda *parts: worked.append(parts[0]) or real(*parts))
    for presented in (f"{text[:-3]}AAA", text.replace(key.id, "f" * 12)):
        with pytest.raises(Unauthenticated):
            await asked.identify(bearer(presented))
    assert len(worked) == 2
