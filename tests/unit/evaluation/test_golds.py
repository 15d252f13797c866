"""The golds of the development files, on the real sample database."""

from pathlib import Path

import pytest

from deployments.executor.embedded import EmbeddedDatabase
from serve_app.evaluation.golds import GoldDatabase, GoldError
from serve_app.evaluation.items import ConversationItem, SingleItem, Turn, load_items

pytestmark = pytest.mark.postgres

DEVELOPMENT = Path("tests/data/eval")


READ_FILES = ("single", "conversations", "validation-*")


def development_turns() -> list[Turn]:
    """Turns of the files whose questions people read; the blind test split is left alone."""
    paths = [path for name in READ_FILES for path in sorted(DEVELOPMENT.glob(f"{name}.jsonl"))]
    items = [item for path in paths for item in load_items(path)]
    singles = [item for item in items if isinstance(item, SingleItem)]
    return [*singles, *(turn for item in items if isinstance(item, ConversationItem) for turn in item.turns)]


async def test_every_gold_agrees_with_itself(sample_database: EmbeddedDatabase) -> None:
    async with GoldDatabase(sample_database.dsn) as database:
        for turn in development_turns():
            for gold in turn.gold:
                assert (await database.compare(gold, (gold,), turn.ordered)).equal, gold


async def test_a_display_cap_is_no_part_of_the_answer(sample_database: EmbeddedDatabase) -> None:
    async with GoldDatabase(sample_database.dsn) as database:
        everything = ("SELECT id FROM expenses",)
        assert (await database.compare("SELECT id FROM expenses LIMIT 100", everything, False)).equal
        short = await database.compare("SELECT id FROM expenses LIMIT 10", everything, False)
        assert not short.equal
        assert short.detail.startswith("10 rows of 1 columns instead of ")
        # A gold with a LIMIT of its own makes the answer's part of the meaning.
        capped = ("SELECT id FROM expenses ORDER BY id LIMIT 60",)
        assert not (
            await database.compare("SELECT id FROM expenses ORDER BY id LIMIT 100", capped, True)
        ).equal


async def test_an_answer_that_does_not_run_is_told_and_leaves_the_golds_usable(
    sample_database: EmbeddedDatabase,
) -> None:
    async with GoldDatabase(sample_database.dsn) as database:
        failed = await database.compare("SELECT nothing FROM projects", ("SELECT 1",), False)
        assert not failed.runnable
        assert "nothing" in failed.detail
        assert (await database.compare("SELECT 1", ("SELECT 2", "SELECT 1"), False)).equal


async def test_statements_cannot_write(sample_database: EmbeddedDatabase) -> None:
    async with GoldDatabase(sample_database.admin_dsn) as database:
        written = await database.compare("DELETE FROM expenses RETURNING id", ("SELECT 1",), False)
        assert not written.runnable
        assert "read-only" in written.detail


async def test_a_gold_that_does_not_run_ends_the_evaluation(sample_database: EmbeddedDatabase) -> None:
    async with GoldDatabase(sample_database.dsn) as database:
        with pytest.raises(GoldError, match="nowhere"):
            await database.compare("SELECT 1", ("SELECT a FROM nowhere",), False)


async def test_an_unreachable_database_is_told_without_its_password() -> None:
    with pytest.raises(GoldError) as caught:
        async with GoldDatabase("postgresql://reader:secret@127.0.0.1:1/none"):
            pass
    assert "secret" not in str(caught.value)
