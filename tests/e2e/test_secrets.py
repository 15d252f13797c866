"""An instance that was given secrets of every kind, and every place where somebody could come across them."""

import asyncio
import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import psutil
import pytest

from tests.watched_instance import Watched, change_passwords, memory_of, watched_instance

pytestmark = [pytest.mark.e2e, pytest.mark.postgres]

LOOPBACK = {"127.0.0.1", "::1", "::ffff:127.0.0.1"}
ASK = {"query": "How many projects are there?", "user_id": "ann"}
CALLS: list[tuple[str, str, Any]] = [
    ("POST", "/api/chat", ASK),
    ("POST", "/api/chat/stream", ASK),
    ("POST", "/api/chat", {**ASK, "conversation_id": "unknown"}),
    ("POST", "/api/chat", {**ASK, "organization_id": "7"}),
    ("POST", "/api/chat", {"query": 5}),
    ("POST", "/api/sql/validate", {"sql": "SELECT passwd FROM pg_shadow"}),
    ("POST", "/api/sql/run", {"sql": "SELECT nothing FROM projects"}),
    ("POST", "/api/sql/run", {"sql": "SELECT name FROM projects"}),
    ("POST", "/api/sql/run", {"sql": "SELECT 1 / (count(*) - count(*)) FROM projects"}),
    ("POST", "/api/sql/run", {"sql": "SELECT current_setting('is_superuser')"}),
    ("GET", "/api/schema?refresh=true", None),
    *(("GET", path, None) for path in ("/health", "/ready", "/api/metrics", "/api/schema", "/nowhere")),
    *(("GET", path, None) for path in ("/docs", "/docs/start.js", "/openapi.json", "/-/routes")),
]
# Whose memory may hold which secret: the stage that works with it. The rest is for `/proc` of nobody.
HOLDERS = {"database": ("Executor",), "organizations": ("Executor",), "model": ("Generator",)}
AUTH_HOLDERS = ("Executor", "Ingress")


@pytest.fixture(scope="module")
def watched() -> Iterator[Watched]:
    with watched_instance() as made:
        yield made


@pytest.fixture(scope="module")
def said(watched: Watched) -> list[str]:
    """What the instance answered, while all is well, with wrong passwords, and without its database."""
    told = [watched.started, watched.operator.run("status").stdout, json.dumps(watched.operator.status())]
    told += watched.ask(CALLS)
    wrong = watched.secrets.keys[0][:-4] + "AAAA"
    told += watched.ask_as((wrong, None), CALLS)
    assert any('"projects":24' in text for text in told)
    asyncio.run(change_passwords(watched.database))
    refused = watched.ask(CALLS)
    watched.server.stop()
    away = watched.ask(CALLS)
    for texts in (refused, away):
        assert any(" 503 " in text and "execution_failed" in text for text in texts)
    told += [*refused, *away, watched.operator.run("status").stdout, json.dumps(watched.operator.status())]
    told.append(watched.operator.run("audit", "tail", "-n", "10000", "--json").stdout)
    return told


def told_secrets(watched: Watched, text: str) -> list[str]:
    return [name for name, secret in watched.secrets.all().items() if secret in text]


def test_no_answer_and_no_output_tells_a_secret(watched: Watched, said: list[str]) -> None:
    for text in said:
        assert told_secrets(watched, text) == []
        assert "postgresql://" not in text
        assert "Traceback" not in text


def test_no_process_list_and_no_environment_shows_a_secret(watched: Watched, said: list[str]) -> None:
    seen = 0
    for process in watched.processes():
        with process.oneshot():
            shown = " ".join([process.name(), *process.cmdline()])
            environment = process.environ()
        assert told_secrets(watched, shown) == []
        assert [name for name, text in environment.items() if told_secrets(watched, text)] == [], shown
        seen += 1
    assert seen > 8


def test_no_log_and_no_file_holds_a_secret_but_the_secrets_own(watched: Watched, said: list[str]) -> None:
    private = {watched.token_file, *(watched.state / "secrets").iterdir()}
    assert len(private) > 5
    assert {stat.S_IMODE(path.stat().st_mode) for path in private} == {0o600}
    assert stat.S_IMODE((watched.state / "secrets").stat().st_mode) == 0o700
    holding: list[tuple[str, list[str]]] = []
    logs = 0
    for folder in (watched.state, watched.ray_folder):
        for path in folder.rglob("*"):
            if not path.is_file() or path.is_symlink() or path in private:
                continue
            logs += path.suffix in (".log", ".jsonl", ".err", ".out")
            found = told_secrets(watched, path.read_bytes().decode("latin-1"))
            if found:
                holding.append((str(path), found))
    assert logs > 5
    assert holding == []


def test_ray_tells_no_secret(watched: Watched, said: list[str]) -> None:
    told = watched.state_of_ray()
    # Its tables, its store and its metrics were all there.
    assert all(word in told for word in ("SqlValidator", "CONTROLLER", "ray_mistral_queries_total"))
    assert told_secrets(watched, told) == []


def test_no_process_leaves_a_core_file(watched: Watched) -> None:
    assert {process.rlimit(psutil.RLIMIT_CORE) for process in watched.processes()} == {(0, 0)}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may look into the memory of every process")
def test_no_process_knows_a_secret_that_is_not_for_it(watched: Watched, said: list[str]) -> None:
    """Code that ran in the process of the model, or of the proxy, would find no password there."""
    wanted = {
        "database": (watched.secrets.database,),
        "organizations": watched.secrets.organizations[:1],
        "model": (watched.secrets.model,),
        "pepper": (watched.secrets.pepper,),
        "jwt": (watched.secrets.jwt,),
    }
    held: set[tuple[str, str]] = set()
    for process in watched.processes():
        title = " ".join(process.cmdline()).strip()
        for region in memory_of(process):
            held |= {(title, name) for name, texts in wanted.items() for t in texts if t.encode() in region}
    stages = {(title.rpartition(":")[2], name) for title, name in held}
    assert ("Executor", "database") in stages, stages
    assert stages <= {(stage, name) for name in wanted for stage in HOLDERS.get(name, AUTH_HOLDERS)}


def listening(watched: Watched) -> set[tuple[str, int, str]]:
    """Address, port and process of everything that listens."""
    return {
        (connection.laddr.ip, connection.laddr.port, " ".join(process.cmdline()))
        for process in watched.processes()
        for connection in process.net_connections(kind="inet")
        if connection.status == psutil.CONN_LISTEN
    }


def test_every_port_but_those_between_replicas_is_on_the_loopback_interface(watched: Watched) -> None:
    found = listening(watched)
    assert found
    beyond = {process for address, _, process in found if address not in LOOPBACK}
    assert all(process.startswith("ray::ServeReplica:") for process in beyond), beyond
    # Ray starts the dashboard's process for its usage statistics, which are off, even without a dashboard.
    dashboards = [process for _, _, process in found if "dashboard/dashboard.py" in process]
    assert all("--disable-frontend" in process for process in dashboards), dashboards


def test_ports_between_replicas_refuse_whoever_has_no_token(watched: Watched) -> None:
    """Serve binds them to every interface, and what they read is unpickled: the token is all there is."""
    ports = {port for address, port, _ in listening(watched) if address not in LOOPBACK}
    assert ports
    for port in ports:
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            call = channel.unary_unary("/ray.serve.ASGIService/HandleRequest")
            with pytest.raises(grpc.RpcError) as refused:
                call(b"", timeout=20)
        assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED


def test_down_leaves_no_secret_behind(watched: Watched) -> None:
    """The last one: it ends the instance."""
    assert watched.operator.run("down").returncode == 0
    assert not (watched.state / "secrets").exists()
    assert not Path(watched.ray_folder).exists()
