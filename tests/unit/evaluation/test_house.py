"""The database behind an evaluation without an instance."""

import shutil
from pathlib import Path

import pytest

from deployments.executor.embedded import EmbeddedPostgres
from serve_app.errors import ConfigurationError
from serve_app.evaluation.house import target_database
from serve_app.paths import resolve
from serve_app.settings import load_settings
from tests.postgres_fixture import make_state_folder

PACK = resolve(Path("configs/domains/construction"))

pytestmark = pytest.mark.postgres


def test_a_given_database_is_taken_as_it_is() -> None:
    with target_database(load_settings({"DATABASE_URL": "postgresql://u:p@host/db"}), Path("any")) as dsn:
        assert dsn == "postgresql://u:p@host/db"


def test_a_pack_of_another_database_needs_one() -> None:
    with (
        pytest.raises(ConfigurationError, match="DATABASE_URL"),
        target_database(load_settings({}), Path("tests/data/library_pack")),
    ):
        pass


def test_the_embedded_database_runs_as_long_as_it_is_needed() -> None:
    folder = make_state_folder()
    server = EmbeddedPostgres(folder / "postgres")
    settings = load_settings({"PLUMBLINE_DATA_DIR": str(folder)})
    try:
        with target_database(settings, PACK) as dsn:
            assert server.is_running()
            assert "plumbline_reader" in dsn
            with target_database(settings, PACK):
                pass
            assert server.is_running(), "whoever did not start it does not stop it"
        assert not server.is_running()
    finally:
        server.stop()
        shutil.rmtree(folder)
