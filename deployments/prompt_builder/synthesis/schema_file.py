"""A frozen schema beside the domain pack, so that synthesis needs no database."""

from datetime import UTC, datetime
from pathlib import Path

from serve_app.contracts import SchemaSnapshot

SCHEMA_FILE = "schema.json"
MAX_SAMPLES = 60


def load_schema(folder: Path) -> SchemaSnapshot:
    """The pack folder's schema.

    Raises:
        FileNotFoundError: the folder holds no schema.json.
        pydantic.ValidationError: the file is no schema snapshot.
    """
    return SchemaSnapshot.model_validate_json((folder / SCHEMA_FILE).read_text(encoding="utf-8"))


def save_schema(schema: SchemaSnapshot, folder: Path) -> Path:
    """Write the snapshot that `load_schema` reads. Long value lists are cut: synthesis needs examples, not
    all.
    """
    tables = tuple(
        table.model_copy(
            update={
                "columns": tuple(
                    c.model_copy(
                        update={
                            "sample_values": c.sample_values[:MAX_SAMPLES],
                            "values_complete": c.values_complete and len(c.sample_values) <= MAX_SAMPLES,
                        }
                    )
                    for c in table.columns
                )
            }
        )
        for table in schema.tables
    )
    # A fixed time keeps the file the same for the same schema.
    frozen = schema.model_copy(update={"tables": tables, "taken_at": datetime(2026, 1, 1, tzinfo=UTC)})
    path = folder / SCHEMA_FILE
    path.write_text(frozen.model_dump_json(indent=1) + "\n", encoding="utf-8")
    return path
