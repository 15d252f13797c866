"""A bounded run of Schemathesis; `make schemathesis` is the long one."""

import pytest

from tests.openapi_run import run
from tests.serve_support import Graph

pytestmark = pytest.mark.serve


def test_every_call_keeps_to_the_openapi_document(graph: Graph) -> None:
    # Deterministic, so that a failure comes again; the long run draws anew.
    ended = run(graph.url, 5, "examples,fuzzing", "--generation-deterministic")
    assert ended.returncode == 0
