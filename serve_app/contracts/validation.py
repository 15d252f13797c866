"""Verdicts on statements."""

from typing import Annotated, Literal

from pydantic import Field

from serve_app.contracts.message import Message


class Violation(Message):
    """One reason why a statement may not run."""

    rule: str
    reason: str = Field(description="For the repair prompt and the log: exact, with names")
    message: str = Field(description="For the user: one plain sentence")
    position: int | None = Field(default=None, description="Offset into the SQL text, in characters")


class ValidSql(Message):
    """The verdict on a statement that may run."""

    accepted: Literal[True] = True
    sql: str = Field(
        description="Regenerated from the checked tree, with the row cap applied; the only text to run"
    )
    tables: tuple[str, ...]
    row_cap: int
    cap_applied: bool = Field(description="True if the cap was added or lowered, so more rows may exist")
    ordered: bool = Field(default=False, description="The statement itself says in which order its rows come")


class RejectedSql(Message):
    """The verdict on a statement that may not run."""

    accepted: Literal[False] = False
    violations: tuple[Violation, ...] = Field(min_length=1)

    @property
    def first(self) -> Violation:
        return self.violations[0]


Verdict = Annotated[ValidSql | RejectedSql, Field(discriminator="accepted")]
