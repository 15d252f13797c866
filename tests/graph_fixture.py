"""One real Serve instance for the session: six deployments, the embedded PostgreSQL, a small random model."""

import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest

from deployments.executor.embedded import EmbeddedDatabase
from serve_app.cli.environment import PROXY_PATIENCE
from serve_app.proxy import CALLBACK, CALLBACK_VARIABLE
from serve_app.serve_config import DEPLOYMENTS
from tests.cli_support import free_port
from tests.serve_support import (
    CONCURRENT,
    HEADER_AND_BODY_S,
    HEALTH_CHECKS,
    QUEUED,
    STAGE_TIMEOUT_S,
    Graph,
    tiny_profile_file,
)

OBJECT_STORE_BYTES = 200 * 1024 * 1024
APP = "plumbline"


@pytest.fixture(scope="session")
def graph(sample_database: EmbeddedDatabase) -> Iterator[Graph]:
    # Imported late, so that collecting these tests does not cost seconds.
    import ray
    from ray import serve

    from serve_app import app
    from serve_app.app_args import AppArgs

    folder = Path(tempfile.mkdtemp(prefix="plumbline-serve-"))
    profile = tiny_profile_file(folder, "tiny")
    settings = {
        "DATABASE_URL": sample_database.dsn,
        "LOG_FILE": str(folder / "log.jsonl"),
        "MISTRAL_RETRY_DELAY": "0.1",
        "PLUMBLINE_DATA_DIR": str(folder / "data"),
        "PLUMBLINE_EDGE_BODY_TIMEOUT_S": str(HEADER_AND_BODY_S),
        "PLUMBLINE_EDGE_HEADER_TIMEOUT_S": str(HEADER_AND_BODY_S),
        "PLUMBLINE_EXECUTOR_STATEMENT_TIMEOUT_S": "10",
        # Statements without an end are to run until somebody ends them, and not be refused for their plan.
        "PLUMBLINE_EXECUTOR_MAX_PLAN_COST": "1e12",
        "PLUMBLINE_EXECUTOR_MAX_PLAN_ROWS": "1000000000000",
        "PLUMBLINE_LIMITS_MAX_CONCURRENT_QUESTIONS": str(CONCURRENT),
        "PLUMBLINE_LIMITS_MAX_QUEUED_QUESTIONS": str(QUEUED),
        "PLUMBLINE_LIMITS_STAGE_TIMEOUT_S": str(STAGE_TIMEOUT_S),
        "PLUMBLINE_MODEL_PROFILE": str(profile),
        # Workers inherit the driver's environment; tokens would only lock out a second local client.
        "RAY_AUTH_MODE": "disabled",
        CALLBACK_VARIABLE: CALLBACK,
        "OMP_NUM_THREADS": "1",
    } | PROXY_PATIENCE
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    ray.init(
        # For bookkeeping alone: the graph and, for a while, that of the cascade beside it.
        num_cpus=16,
        object_store_memory=OBJECT_STORE_BYTES,
        include_dashboard=False,
        # The file of logs has them, and nothing captures them in a worker of the tests.
        log_to_driver=False,
        _temp_dir=str(folder / "ray"),
    )
    try:
        port = free_port()
        serve.start(http_options={"host": "127.0.0.1", "port": port}, proxy_location="HeadOnly")
        with pytest.MonkeyPatch.context() as patch:
            for name in (f"{deployment}Deployment" for deployment in DEPLOYMENTS):
                patch.setattr(app, name, getattr(app, name).options(**HEALTH_CHECKS))
            serve.run(app.build_app(AppArgs()), name=APP)
        yield Graph(f"http://127.0.0.1:{port}", sample_database)
    finally:
        ray.shutdown()
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
async def http(graph: Graph) -> AsyncIterator[httpx.AsyncClient]:
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(base_url=graph.url, timeout=60, limits=limits) as client:
        yield client


@pytest.fixture
def log_file(graph: Graph) -> Path:
    return Path(os.environ["LOG_FILE"])
