"""`grant` and `doctor` as an administrator uses them."""

import json
from urllib.parse import quote, urlsplit

import pytest

from deployments.executor.embedded import EmbeddedDatabase
from tests.cli_support import Cli


def test_the_script_is_printed_with_the_columns_of_the_policy(cli: Cli) -> None:
    ended = cli("grant", "--role", "asker", "--policy", "restricted")
    assert ended.code == 0
    assert ended.out.startswith("BEGIN;\n")
    assert ended.out.endswith("COMMIT;\n")
    assert 'GRANT SELECT ("id", "project_id", "trade", "work_date", "hours") ON "public"."labor"' in ended.out
    assert "hourly_rate" not in ended.out
    assert "FROM PUBLIC" not in ended.out
    assert "FROM PUBLIC" in cli("grant", "--revoke-public").out


def test_a_password_is_printed_as_a_verifier(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_ROLE_PASSWORD", "correct horse")
    out = cli("grant").out
    assert "correct horse" not in out
    assert "PASSWORD 'SCRAM-SHA-256$" in out


BAD_INPUT = [
    (["grant", "--policy", "no_such"], "there is no policy"),
    (["grant", "--policy", "database"], "lists no tables; give --admin-url"),
    (["grant", "--apply"], "--apply needs --admin-url"),
    (["grant", "--role", ""], "is no name for PostgreSQL"),
    (["grant", "--admin-url", "nonsense"], "must look like postgresql://"),
    (["doctor", "--database-url", "mysql://host/db"], "must look like postgresql://"),
    (["doctor", "--policy", "no_such"], "there is no policy"),
]


@pytest.mark.parametrize(("arguments", "told"), BAD_INPUT, ids=[" ".join(b[0]) for b in BAD_INPUT])
def test_bad_input_is_one_line_and_exit_code_2(cli: Cli, arguments: list[str], told: str) -> None:
    ended = cli(*arguments)
    assert ended.code == 2
    assert told in ended.error_line


def test_a_password_that_cannot_be_used(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_ROLE_PASSWORD", "pässword")
    ended = cli("grant")
    assert (ended.code, "printable ASCII" in ended.error_line) == (2, True)


def test_a_database_that_does_not_answer(cli: Cli) -> None:
    for command in (["doctor", "--database-url"], ["grant", "--apply", "--admin-url"]):
        ended = cli(*command, "postgresql://someone:secret@127.0.0.1:1/none")
        assert ended.code == 1
        assert "cannot be reached" in ended.error_line
        assert "secret" not in ended.err


@pytest.mark.postgres
def test_grant_and_doctor_on_a_real_database(
    cli: Cli, testbed: EmbeddedDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_ADMIN_URL", testbed.admin_dsn)
    monkeypatch.setenv("DATABASE_ROLE_PASSWORD", "of the cli")
    ended = cli("grant", "--role", "cli_reader", "--policy", "restricted", "--apply")
    assert ended.code == 0
    assert ended.out == ""
    assert "may read 56 columns of 8 tables" in ended.error_line
    url = f"postgresql://cli_reader:{quote('of the cli')}@127.0.0.1:{testbed.port}/plumbline"
    careless = cli("doctor", "--database-url", url, "--policy", "restricted", "--json")
    findings = [json.loads(line) for line in careless.out.splitlines()]
    # The testbed lets everyone call functions with their owner's rights, and that is all that is wrong.
    assert careless.code == 1
    assert {f["subject"] for f in findings if f["severity"] == "error"} == {"functions"}
    assert all(set(f) == {"severity", "subject", "message", "advice"} for f in findings)
    wide = cli("doctor", "--database-url", testbed.admin_dsn)
    assert wide.code == 1
    assert wide.out.startswith("error   role: ")
    password = urlsplit(testbed.admin_dsn).password or ""
    assert password not in wide.out + wide.err + ended.err


@pytest.mark.postgres
def test_the_embedded_reader_passes(cli: Cli, sample_database: EmbeddedDatabase) -> None:
    ended = cli("doctor", "--database-url", sample_database.dsn)
    assert ended.code == 0
    assert "policy 'default': 0 errors, 0 warnings" in ended.error_line


@pytest.mark.postgres
def test_refusals_of_the_server_are_told(cli: Cli, testbed: EmbeddedDatabase) -> None:
    admin = testbed.admin_dsn
    ended = cli("grant", "--role", "nlq_broad", "--apply", "--admin-url", admin)
    assert (ended.code, "is a member of other roles; choose another name" in ended.error_line) == (1, True)
    reader = f"postgresql://nlq_ro:ro@127.0.0.1:{testbed.port}/plumbline"
    ended = cli("grant", "--role", "cli_new", "--apply", "--admin-url", reader)
    assert (ended.code, "permission denied" in ended.error_line) == (1, True)
    ended = cli("doctor", "--database-url", f"postgresql://nlq_ro:wrong@127.0.0.1:{testbed.port}/plumbline")
    assert (ended.code, "refused the login" in ended.error_line) == (1, True)


@pytest.mark.postgres
def test_a_policy_for_everything_reads_the_tables_that_are_there(cli: Cli, testbed: EmbeddedDatabase) -> None:
    out = cli("grant", "--policy", "database", "--admin-url", testbed.admin_dsn).out
    assert 'ON "public"."v_user_emails" TO "plumbline"' in out
    assert '"hourly_rate") ON "public"."labor"' in out
