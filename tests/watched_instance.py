"""An instance full of secrets, and every place where somebody could come across them."""

import asyncio
import json
import re
import resource
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

import asyncpg
import httpx
import psutil
import yaml

from deployments.executor.embedded import EmbeddedDatabase, EmbeddedPostgres
from serve_app.cli.server import LOOPBACK_ONLY
from tests.cli_support import Operator, fresh_operator
from tests.endpoint import DONE, MODEL, FakeEndpoint, chunk, saying, serving
from tests.postgres_fixture import make_state_folder

ROOT = Path(__file__).parents[1]
ROLE = "plumbline_org_{organization}"
SUPPLIED = "canary-{}-8f41c2d7e6b05a93408f41c2d7e6b05a9340"

# Prints what Ray knows of everything that runs in it: its tables, its store and its metrics.
STATE_OF_RAY = """
import sys, httpx, ray
from ray._private import ray_constants, state
from ray.experimental.internal_kv import _internal_kv_get, _internal_kv_list
ray.init(address=sys.argv[1], log_to_driver=False, namespace="serve")
from ray.serve.context import _get_global_client
client = _get_global_client()
print(client.get_serve_details(), client.get_serve_status())
print(ray.nodes(), state.state.actor_table(None), state.state.job_table(), ray.cluster_resources())
named = {getattr(ray_constants, n) for n in dir(ray_constants) if n.startswith("KV_NAMESPACE_")}
for space in named | {None, b"serve"}:
    for key in _internal_kv_list(b"", namespace=space):
        print(key, _internal_kv_get(key, namespace=space))
node = ray.nodes()[0]
print(httpx.get(f"http://127.0.0.1:{node['MetricsExportPort']}/metrics", trust_env=False, timeout=30).text)
"""


class Secrets(NamedTuple):
    """What nobody may come across, by what it is for."""

    database: str
    organizations: tuple[str, ...]
    keys: tuple[str, ...]
    model: str
    pepper: str
    jwt: str
    supabase: str
    administrator: str
    role: str
    token: str

    def all(self) -> dict[str, str]:
        """Name and text of each."""
        named: dict[str, str] = {}
        for name, value in self._asdict().items():
            parts = value if isinstance(value, tuple) else (value,)
            named |= {f"{name} {place}": text for place, text in enumerate(parts)}
        return named


class Watched(NamedTuple):
    """A running instance, its folders and the secrets that it was given."""

    operator: Operator
    database: EmbeddedDatabase
    server: EmbeddedPostgres
    secrets: Secrets
    state: Path
    ray_folder: Path
    supervisor: int
    started: str

    @property
    def token_file(self) -> Path:
        return self.state / "ray_token"

    def processes(self) -> list[psutil.Process]:
        supervisor = psutil.Process(self.supervisor)
        return [supervisor, *supervisor.children(recursive=True)]

    def ask(self, calls: list[tuple[str, str, Any]]) -> list[str]:
        """What every call answers to each key."""
        return self.ask_as(self.secrets.keys, calls)

    def ask_as(self, keys: tuple[str | None, ...], calls: list[tuple[str, str, Any]]) -> list[str]:
        said: list[str] = []
        for key in keys:
            headers = {} if key is None else {"authorization": f"Bearer {key}"}
            with httpx.Client(
                base_url=self.operator.url, headers=headers, timeout=60, trust_env=False
            ) as http:
                for method, path, body in calls:
                    answer = http.request(method, path, json=body)
                    said.append(f"{method} {path} {answer.status_code} {dict(answer.headers)} {answer.text}")
        return said

    def state_of_ray(self) -> str:
        lines = [argument for process in self.processes() for argument in process.cmdline()]
        address = next(line for line in lines if line.startswith("--gcs-address=")).partition("=")[2]
        token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(self.token_file)}
        told = subprocess.run(
            [sys.executable, "-c", STATE_OF_RAY, address],
            env=self.operator.environment | token | {LOOPBACK_ONLY: "0"},
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert told.returncode == 0, told.stderr
        return told.stdout


@contextmanager
def core_files_allowed() -> Iterator[None]:
    """What is started within must forbid them by itself."""
    before = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (before[1], before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_CORE, before)


def password_of(dsn: str) -> str:
    return unquote(urlsplit(dsn).password or "")


@contextmanager
def endpoint() -> Iterator[str]:
    """A model elsewhere, which answers every question with one statement; its URL."""
    ready, ended = threading.Event(), asyncio.Event()
    made = FakeEndpoint(
        saying(chunk("SELECT count(*) AS projects FROM projects"), chunk(finish="stop"), DONE)
    )
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        async with serving(made):
            ready.set()
            await ended.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),), daemon=True)
    thread.start()
    assert ready.wait(30)
    try:
        yield made.url
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join(30)
        loop.close()


@contextmanager
def watched_instance() -> Iterator[Watched]:
    """An instance with a database, a model and keys of its own, and every secret in its environment."""
    folder = make_state_folder()
    server = EmbeddedPostgres(folder / "server")
    try:
        database = server.start()
        with endpoint() as url, fresh_operator() as operator:
            yield _started(operator, server, database, folder, url)
    finally:
        server.stop()
        shutil.rmtree(folder)


def _started(
    operator: Operator, server: EmbeddedPostgres, database: EmbeddedDatabase, folder: Path, url: str
) -> Watched:
    secrets = Secrets(
        database=password_of(database.dsn),
        organizations=tuple(password_of(dsn) for dsn in database.organization_dsns.values()),
        keys=(),
        **{
            name: SUPPLIED.format(name)
            for name in ("model", "pepper", "jwt", "supabase", "administrator", "role", "token")
        },
    )
    operator.environment.update(
        DATABASE_URL=database.dsn,
        PLUMBLINE_DATABASE_ORGANIZATION_PASSFILE=str(_passfile(folder, database)),
        PLUMBLINE_EXECUTOR_ORGANIZATION_ROLES=ROLE,
        PLUMBLINE_MODEL_PROFILE=str(_profile(folder, url)),
        SITE_MODEL_KEY=secrets.model,
        PLUMBLINE_AUTH_MODE="api_keys",
        PLUMBLINE_AUTH_PEPPER=secrets.pepper,
        PLUMBLINE_AUTH_JWT_SECRET=secrets.jwt,
        SUPABASE_KEY=secrets.supabase,
        DATABASE_ADMIN_URL=f"postgresql://owner:{secrets.administrator}@127.0.0.1/plumbline",
        DATABASE_ROLE_PASSWORD=secrets.role,
        LOG_LEVEL="DEBUG",
    )
    keys = tuple(_key(operator, choice) for choice in (("--organization", "1"), ("--all-organizations",)))
    operator.environment["PLUMBLINE_API_KEY"] = keys[0]
    with core_files_allowed():
        started = operator.run("up", "--detach")
    assert started.returncode == 0, started.stderr
    facts = operator.status()
    state = Path(facts["data_dir"])
    return Watched(
        operator,
        database,
        server,
        secrets._replace(keys=keys, token=(state / "ray_token").read_text()),
        state,
        Path(json.loads((state / "instance.json").read_text())["ray_folder"]),
        facts["pid"],
        started.stdout + started.stderr,
    )


def _key(operator: Operator, choice: tuple[str, ...]) -> str:
    made = operator.run("keys", "create", "ann", *choice, "--rate-per-minute", "100000")
    assert made.returncode == 0, made.stderr
    return made.stdout.strip()


def _passfile(folder: Path, database: EmbeddedDatabase) -> Path:
    path = folder / "organizations.pgpass"
    path.touch(0o600)
    parts = [urlsplit(dsn) for dsn in database.organization_dsns.values()]
    path.write_text("".join(f"*:*:*:{part.username}:{unquote(part.password or '')}\n" for part in parts))
    return path


def _profile(folder: Path, url: str) -> Path:
    values = yaml.safe_load((ROOT / "configs/models/remote.yaml").read_text(encoding="utf-8"))
    values["remote"] |= {"url": url, "model": MODEL, "api_key_variable": "SITE_MODEL_KEY"}
    path = folder / "site.yaml"
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    return path


async def change_passwords(database: EmbeddedDatabase) -> None:
    """As after a rotation that nobody told the instance of: new passwords, and no old connection."""
    connection = await asyncpg.connect(database.admin_dsn)
    try:
        roles = [urlsplit(dsn).username for dsn in (database.dsn, *database.organization_dsns.values())]
        for role in roles:
            await connection.execute(f"ALTER ROLE {role} PASSWORD 'another'")
        await connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = ANY($1)", roles
        )
    finally:
        await connection.close()


_REGION = re.compile(r"^([0-9a-f]+)-([0-9a-f]+) rw")


def memory_of(process: psutil.Process) -> Iterator[bytes]:
    """What a process holds in memory of its own, region by region.

    Raises:
        PermissionError: this user may not look.
    """
    folder = Path(f"/proc/{process.pid}")
    region: tuple[int, int] | None = None
    with (folder / "mem").open("rb", buffering=0) as memory:
        for line in (folder / "smaps").read_text().splitlines():
            if found := _REGION.match(line):
                region = int(found[1], 16), int(found[2], 16)
            # Stacks and arenas are mostly promised and not there.
            elif region is not None and line.startswith("Anonymous:") and int(line.split()[1]) > 0:
                start, end = region
                try:
                    memory.seek(start)
                    yield memory.read(end - start)
                except (OSError, ValueError, OverflowError):
                    continue
