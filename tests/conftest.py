"""Fixtures for every test, each kind in a module of its own, and how tests are shared among workers."""

from pathlib import Path

import pytest

pytest_plugins = ["graph_fixture", "postgres_fixture"]

TESTS = Path(__file__).parent
# They share one running instance after the other, so one worker runs them all, in their order.
OF_A_RUNNING_INSTANCE = ("e2e", "serve", "faults")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With workers (`make test` has two): those of a running instance first, since they take longest."""
    if not hasattr(config, "workerinput"):
        return
    for item in items:
        item.add_marker(pytest.mark.xdist_group(group_of(item.path)))
    items.sort(key=lambda item: group_of(item.path) != "instance")


def group_of(path: Path) -> str:
    """A file's tests stay together, as they share what is made once for the module."""
    folder, *rest = path.relative_to(TESTS).parts
    return "instance" if folder in OF_A_RUNNING_INSTANCE else "/".join((folder, *rest))
