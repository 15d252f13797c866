"""What the load run reads of the instance's own files and faults."""

from pathlib import Path
from random import Random
from typing import Any, cast

import pytest

from serve_app.serve_config import DEPLOYMENTS
from tests.cli_support import Operator
from tests.performance.load_with_faults.faults import Faults, lines_of
from tests.performance.load_with_faults.instance import Instance, replica_of

pytestmark = pytest.mark.unit


@pytest.fixture
def instance(tmp_path: Path) -> Instance:
    unused = cast(Any, None)
    return Instance(Operator({"PLUMBLINE_DATA_DIR": str(tmp_path)}, 1), unused, unused, 0)


def test_a_torn_line_of_the_log_does_not_hide_the_others(instance: Instance) -> None:
    told = '{"level": "ERROR", "request_id": "ann-1", "question": "a\u2028b"}'
    lines = [told, '{"level": "INFO", "request_id": "ann-1"}', '{"level": "ERROR", "request_id": "ann-10"}']
    log = instance.folder / "logs" / "plumbline.jsonl"
    log.parent.mkdir()
    log.write_bytes("\n".join([*lines, '{"level": "ERR']).encode() + b"\xc3\n")
    assert instance.log_of("ann-1") == [told]


def test_every_stage_and_the_database_have_faults_of_their_own_names(instance: Instance) -> None:
    faults = Faults(instance, Random(1)).all()
    names = [fault.name for fault in faults]
    assert len(set(names)) == len(names)
    assert {f"{stage} replica killed" for stage in DEPLOYMENTS} < set(names)
    parts, database = lines_of(faults, overlap=True)
    assert len(database) == 6
    assert [*parts, *database] == lines_of(faults, overlap=False)[0]
    assert replica_of("Executor") == "ray::ServeReplica:plumbline:Executor"
