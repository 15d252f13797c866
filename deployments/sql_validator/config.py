"""Bounds of the SQL validator."""

from pydantic import BaseModel, ConfigDict, Field


class ValidatorConfig(BaseModel):
    """Limits that hold before and after parsing.

    The defaults leave several times the room that long analytical statements need (966 characters, 227
    tokens, bracket depth 4 in the study's corpus) and stay far below what slows or kills a parser.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_characters: int = Field(
        default=10_000, ge=100, le=50_000, description="Longest statement read at all, in characters"
    )
    max_tokens: int = Field(default=3_000, ge=50, le=10_000, description="Most tokens in a statement")
    max_depth: int = Field(
        default=24,
        ge=4,
        le=40,
        description="Deepest nesting of brackets and CASE; sqlglot recurses on each level",
    )
    max_type_call_depth: int = Field(
        default=3,
        ge=1,
        le=6,
        description="Deepest nesting of calls named like a type and of array brackets; each level doubles "
        "sqlglot's time",
    )
    max_chain: int = Field(
        default=40,
        ge=8,
        le=45,
        description="Most operators chained in one expression, or SELECTs in one chain of set operations; "
        "PostgreSQL's grammar builds one level of nesting for each",
    )
    max_relations: int = Field(
        default=32, ge=1, le=200, description="Most tables, subqueries and functions in FROM clauses"
    )
    max_grouping_sets: int = Field(
        default=128, ge=1, le=4096, description="Most grouping sets of one GROUP BY"
    )
    max_series_rows: int = Field(
        default=1_000_000, ge=1, description="Most rows that generate_series with literal bounds may give"
    )
    row_cap: int = Field(
        default=10_001,
        ge=1,
        le=1_000_001,
        description="LIMIT put on every statement; a policy may set a lower one",
    )
    schema_ttl_s: float = Field(
        default=300.0, gt=0, le=86_400, description="Seconds until the schema is asked for again"
    )
