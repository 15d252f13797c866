from datetime import date
from pathlib import Path

import pytest

from deployments.prompt_builder.domain import DomainPack, load_domain
from deployments.prompt_builder.linking.linker import Linker
from serve_app.contracts import SchemaSnapshot

ROOT = Path(__file__).parents[3]
# A Friday in the middle of a month and a quarter.
TODAY = date(2026, 11, 20)


@pytest.fixture(scope="session")
def schema() -> SchemaSnapshot:
    text = (ROOT / "tests/data/linking/schema.json").read_text(encoding="utf-8")
    return SchemaSnapshot.model_validate_json(text)


@pytest.fixture(scope="session")
def pack() -> DomainPack:
    return load_domain(ROOT / "configs/domains/construction")


@pytest.fixture(scope="session")
def linker(schema: SchemaSnapshot, pack: DomainPack) -> Linker:
    return Linker(schema, pack)
