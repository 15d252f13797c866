"""What the restricted role may use of the server, whoever logs in with it.

Defence in depth: the executor sets its own, tighter limits in every transaction, except for temporary files
and memory, which are bounded here alone.
"""

from typing import Literal, NamedTuple


class RoleLimit(NamedTuple):
    """A server setting of the role.

    ``needs`` is what stands in the way on some servers: an older version does not know the setting
    (``version``), or only a superuser may set it (``superuser``).
    """

    name: str
    value: str
    needs: Literal["version", "superuser"] | None = None


ROLE_LIMITS: tuple[RoleLimit, ...] = (
    RoleLimit("default_transaction_read_only", "on"),
    RoleLimit("statement_timeout", "30s"),
    RoleLimit("lock_timeout", "2s"),
    RoleLimit("idle_in_transaction_session_timeout", "30s"),
    RoleLimit("transaction_timeout", "60s", needs="version"),
    RoleLimit("temp_file_limit", "64MB", needs="superuser"),
    RoleLimit("work_mem", "16MB"),
    RoleLimit("jit", "off"),
    RoleLimit("max_parallel_workers_per_gather", "0"),
    RoleLimit("standard_conforming_strings", "on"),
)
# Twice what one executor opens with its defaults, and a few for a person.
CONNECTION_LIMIT = 40
