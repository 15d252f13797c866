"""Which weights answer for which domain pack."""

import json
import shutil
from pathlib import Path

import pytest

from deployments.prompt_builder.domain import load_domain
from serve_app.errors import ConfigurationError
from serve_app.plan import make_plan
from serve_app.settings import load_settings

DATA = Path(__file__).parents[2] / "data"
CONSTRUCTION = Path(__file__).parents[3] / "configs" / "domains" / "construction"


def folder_for(pack: Path, **more: str) -> Path | None:
    return make_plan(load_settings({"PLUMBLINE_DOMAIN_PACK": str(pack), **more})).profile.folder


def test_the_packs_own_model_is_loaded(tmp_path: Path) -> None:
    pack = tmp_path / "pack"
    shutil.copytree(DATA / "library_pack", pack)
    (pack / "model").mkdir()

    assert folder_for(pack) == pack / "model"


def test_the_sample_databases_model_is_the_repositorys() -> None:
    folder = folder_for(CONSTRUCTION)

    assert folder is not None
    assert folder.parts[-2:] == ("house", "weights")


def test_a_copied_pack_is_answered_by_the_model_that_knows_its_tables(tmp_path: Path) -> None:
    pack = tmp_path / "copy"
    pack.mkdir()
    shutil.copy(CONSTRUCTION / "domain.yaml", pack)

    assert folder_for(pack) == folder_for(CONSTRUCTION)


def test_another_trades_model_never_answers() -> None:
    with pytest.raises(ConfigurationError, match="plumbline train --domain"):
        folder_for(DATA / "library_pack")


def test_a_model_named_by_the_operator_wins(tmp_path: Path) -> None:
    assert folder_for(DATA / "library_pack", MISTRAL_MODEL=str(tmp_path)) == tmp_path


def test_an_instruction_model_needs_no_training() -> None:
    settings = {"PLUMBLINE_DOMAIN_PACK": str(DATA / "library_pack")}

    assert make_plan(load_settings(settings), "mistral-7b-instruct").profile.model_id


def test_tables_are_looked_for_in_the_tokenizer(tmp_path: Path) -> None:
    pack = load_domain(DATA / "library_pack")
    known = {"added_tokens": [{"content": f"<{table}>"} for table in pack.tables]}
    (tmp_path / "tokenizer.json").write_text(json.dumps(known), encoding="utf-8")
    profile = tmp_path / "house.yaml"
    profile.write_text(f"{{name: h, folder: {tmp_path}, prompt_profile: house, prompt_format: raw}}")

    from deployments.generator.model_profile import load_profile
    from serve_app.house_model import of_pack

    assert of_pack(load_profile(profile), DATA / "library_pack", pack).folder == tmp_path
