"""Fixtures for every test, each kind in a module of its own, and how tests are shared among workers."""

from typing import Any

import pytest
from hypothesis import HealthCheck, settings

# How long a busy machine takes to make or to run an example says nothing of what is tested.
settings.register_profile("plumbline", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("plumbline")

pytest_plugins = ["graph_fixture", "postgres_fixture"]

# They share one running instance after the other, so one worker runs them all, in their order.
OF_A_RUNNING_INSTANCE = ("tests/e2e/", "tests/serve/", "tests/faults/")
# These faults meet single stages, so that the other worker may have them.
OF_STAGES = tuple(
    f"tests/faults/test_{name}.py"
    for name in (
        "changing_schema",
        "database_restarts",
        "embedded_recovery",
        "log_faults",
        "silent_database",
        "store_faults",
    )
)
INSTANCE = "instance"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With workers (`make test` has two): those of a running instance first, since they take longest."""
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: group_of(item.nodeid) != INSTANCE)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    from xdist.scheduler import LoadScopeScheduling

    class Groups(LoadScopeScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            return group_of(nodeid)

    return Groups(config, log)


def group_of(nodeid: str) -> str:
    """What one worker runs: a file, whose tests share what is made once, or all tests of an instance."""
    file = nodeid.partition("::")[0]
    return INSTANCE if file.startswith(OF_A_RUNNING_INSTANCE) and file not in OF_STAGES else file
