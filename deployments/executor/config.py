"""What an operator can set about the execution of SQL and the reading of the schema."""

import json
from typing import Annotated
from zoneinfo import available_timezones

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

ORGANIZATION_PLACE = "{organization}"


def known_time_zone(name: str) -> str:
    if name not in available_timezones():
        raise ValueError(f"unknown time zone {name!r}; use a name like UTC or America/Denver")
    return name


def role_list(value: object) -> object:
    """A mapping from its JSON text, as the environment gives it; a template must have a place for the id."""
    if not isinstance(value, str):
        return value
    text = value.strip()
    if text.startswith("{") and not text.startswith(ORGANIZATION_PLACE):
        try:
            return json.loads(text)
        except ValueError:
            raise ValueError('allowed: a JSON object such as {"acme": "role_of_acme"}') from None
    if ORGANIZATION_PLACE not in text:
        raise ValueError(
            f"allowed: a role name with {ORGANIZATION_PLACE} in it, or a mapping of ids to roles"
        )
    return text


class IntrospectionConfig(BaseModel):
    """What is read of the database's schema, and how much of its values."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_name: str = Field(
        default="public", min_length=1, description="The one schema that questions are about"
    )
    schema_cache_ttl_s: float = Field(
        default=300.0,
        ge=0.0,
        description="Seconds for which a schema snapshot is used without reading it again",
    )
    small_table_rows: int = Field(
        default=5000,
        ge=0,
        description="Tables up to this many rows may be read for the values of their text columns",
    )
    small_table_value_cap: int = Field(
        default=2000, ge=1, description="Most values kept of a text column of a small table"
    )
    statistics_value_cap: int = Field(
        default=200,
        ge=1,
        description="Most values kept of a text column when they come from the planner statistics",
    )
    value_length_cap: int = Field(
        default=120, ge=1, description="Longer values, in characters, are not kept: they name nothing"
    )
    secured_table_rows: int = Field(
        default=50_000,
        ge=0,
        description="Rows read for the values of a text column under row-level security, which hides the "
        "planner's statistics",
    )
    statement_timeout_s: float = Field(
        default=10.0, gt=0.0, description="Time limit of each catalog query and value query"
    )


class ExecutorConfig(BaseModel):
    """Limits on every statement. The smallest of these and the request's own limits holds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_concurrent_queries: int = Field(
        default=8, ge=1, le=200, description="Statements that run at the same time; more wait in line"
    )
    max_waiting_queries: int = Field(
        default=32, ge=0, description="Statements that wait in line; more are refused"
    )
    connect_timeout_s: float = Field(
        default=5.0,
        gt=0.0,
        description="Time limit for opening a connection and beginning a transaction on it; one that is "
        "silent for half of it is replaced",
    )
    statement_timeout_s: float = Field(
        default=2.0,
        gt=0.0,
        description="Time limit of one statement with the counting of its rows, whatever the request allows",
    )
    max_wait_s: float = Field(
        default=10.0, gt=0.0, description="Longest wait in line; a statement that waits longer is refused"
    )
    max_plan_cost: float = Field(
        default=200_000.0,
        gt=0.0,
        description="Largest cost that the planner may estimate for a statement; 100,000 take about a second",
    )
    max_plan_rows: int = Field(
        default=5_000_000,
        ge=1,
        description="Most rows that the planner may expect in any step of a statement",
    )
    lock_timeout_s: float = Field(
        default=2.0, gt=0.0, description="Time limit for waiting on another session's lock"
    )
    idle_in_transaction_timeout_s: float = Field(
        default=10.0,
        gt=0.0,
        description="The server ends a transaction that this process left idle for so long",
    )
    display_rows: int = Field(
        default=1000, ge=1, le=100_000, description="Most rows returned for one question"
    )
    max_result_bytes: int = Field(
        default=4_194_304, ge=1024, description="Most bytes of rows returned for one question, as JSON"
    )
    count_bound: int = Field(
        default=100_000,
        ge=0,
        le=1_000_000_000,
        description="Rows beyond the returned ones are counted up to this total",
    )
    count_timeout_s: float = Field(default=2.0, gt=0.0, description="Time limit for counting them")
    trial_rows: int = Field(
        default=200,
        ge=1,
        le=100_000,
        description="Rows by which candidate statements are compared; a result within them is not read again",
    )
    trial_timeout_s: float = Field(
        default=1.0, gt=0.0, description="Time limit of one candidate statement while candidates are compared"
    )
    time_zone: Annotated[str, AfterValidator(known_time_zone)] = Field(
        default="UTC", description="Time zone of CURRENT_DATE and of instants shown"
    )
    organization_roles: Annotated[str | dict[str, str] | None, BeforeValidator(role_list)] = Field(
        default=None,
        description="Login role of each organization: a name with {organization} in it, or a mapping of ids "
        "to roles; unset: the embedded database's own, else one role for all",
    )
    organization_pools: int = Field(
        default=16,
        ge=1,
        le=1000,
        description="Organizations whose connections are kept open at the same time",
    )
    introspection: IntrospectionConfig = Field(
        default=IntrospectionConfig(), description="What is read of the schema and its values"
    )
