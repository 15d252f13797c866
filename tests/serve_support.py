"""What the fixture of the running graph tells its tests."""

from typing import NamedTuple

from deployments.executor.embedded import EmbeddedDatabase

CONCURRENT, QUEUED = 4, 8


class Graph(NamedTuple):
    """Where the running graph listens, and the database behind it."""

    url: str
    database: EmbeddedDatabase
