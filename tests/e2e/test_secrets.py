"""An instance with a password of its own, and every place where somebody could come across it."""

import json
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import grpc
import httpx
import psutil
import pytest

from deployments.executor.embedded import EmbeddedDatabase
from tests.cli_support import Operator, fresh_operator

pytestmark = [pytest.mark.e2e, pytest.mark.postgres]

LOOPBACK = {"127.0.0.1", "::1", "::ffff:127.0.0.1"}
ASK = {"query": "How many projects are there?", "user_id": "ann"}
CALLS: list[tuple[str, str, Any]] = [
    ("POST", "/api/chat", ASK),
    ("POST", "/api/chat/stream", ASK),
    ("POST", "/api/chat", {**ASK, "conversation_id": "unknown"}),
    ("POST", "/api/chat", {"query": 5}),
    ("POST", "/api/sql/run", {"sql": "SELECT nothing FROM projects"}),
    ("POST", "/api/sql/run", {"sql": "SELECT 1 / (count(*) - count(*)) FROM projects"}),
    ("POST", "/api/sql/run", {"sql": "SELECT current_setting('is_superuser')"}),
    *(("GET", path, None) for path in ("/health", "/ready", "/api/metrics", "/api/schema", "/nowhere")),
    *(("GET", path, None) for path in ("/docs", "/docs/start.js", "/openapi.json", "/-/routes")),
]


class Watched(NamedTuple):
    """A running instance after all calls: what it said, its folders and the secrets that it holds."""

    said: list[str]
    folders: tuple[Path, ...]
    processes: list[psutil.Process]
    password: str
    token_file: Path


@pytest.fixture(scope="module")
def watched(sample_database: EmbeddedDatabase) -> Iterator[Watched]:
    with fresh_operator() as made:
        more = {"DATABASE_URL": sample_database.dsn, "LOG_LEVEL": "DEBUG"}
        operator = Operator(made.environment | more, made.port)
        started = operator.run("up", "--detach")
        assert started.returncode == 0, started.stderr
        said = [started.stdout, started.stderr, operator.run("status").stdout]
        with httpx.Client(base_url=operator.url, timeout=60, trust_env=False) as http:
            for method, path, body in CALLS:
                response = http.request(method, path, json=body)
                said.append(f"{method} {path} {dict(response.headers)} {response.text}")
        status = operator.status()
        said.append(json.dumps(status))
        state = Path(status["data_dir"])
        supervisor = psutil.Process(status["pid"])
        family = [supervisor, *supervisor.children(recursive=True)]
        instance = state / "instance.json"
        ray_folder = Path(json.loads(instance.read_text())["ray_folder"])
        password = urlsplit(sample_database.dsn).password
        assert password is not None
        assert len(password) >= 16
        yield Watched(said, (state, ray_folder), family, password, state / "ray_token")


def test_no_answer_and_no_output_tells_a_secret(watched: Watched) -> None:
    token = watched.token_file.read_text()
    for text in watched.said:
        assert watched.password not in text
        assert token not in text
        assert "postgresql://" not in text


def test_no_process_list_shows_a_secret(watched: Watched) -> None:
    token = watched.token_file.read_text()
    shown = [" ".join(process.cmdline()) for process in watched.processes if process.is_running()]
    assert len(shown) > 5
    assert [line for line in shown if watched.password in line or token in line] == []


def test_no_log_and_no_file_holds_a_secret_but_the_tokens_own(watched: Watched) -> None:
    token = watched.token_file.read_text()
    assert stat.S_IMODE(watched.token_file.stat().st_mode) == 0o600
    holding: list[str] = []
    logs = 0
    for folder in watched.folders:
        for path in folder.rglob("*"):
            if not path.is_file() or path.is_symlink() or path == watched.token_file:
                continue
            content = path.read_bytes()
            logs += path.suffix in (".log", ".jsonl", ".err", ".out")
            if watched.password.encode() in content or token.encode() in content:
                holding.append(str(path))
    assert logs > 5
    assert holding == []


def listening(watched: Watched) -> set[tuple[str, int, str]]:
    """Address, port and process of everything that listens."""
    return {
        (connection.laddr.ip, connection.laddr.port, " ".join(process.cmdline()))
        for process in watched.processes
        if process.is_running()
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
