"""Where the house model of a domain pack lies: each pack has one of its own, which knows its words alone."""

import json
from pathlib import Path

from deployments.generator.model_profile import ModelProfile
from deployments.prompt_builder.domain import DomainPack
from deployments.prompt_builder.query_spec.token_words import table_token
from serve_app.errors import ConfigurationError
from serve_app.paths import resolve
from serve_app.settings.tree import DomainSettings

HOUSE_PROFILE = "house"
MODEL_FOLDER = "model"


def is_own_pack(pack: Path) -> bool:
    """Whether this is the pack of the sample database, whose weights the repository keeps."""
    return resolve(pack) == resolve(DomainSettings().pack)


def weights_folder(profile: ModelProfile, pack: Path) -> Path:
    """Where `plumbline train` puts the model of a pack and `plumbline up` finds it.

    Raises:
        ConfigurationError: the profile is not of a local model.
    """
    if not is_own_pack(pack):
        return resolve(pack) / MODEL_FOLDER
    if profile.folder is None:
        raise ConfigurationError(f"the model profile {profile.name!r} names no folder to write to")
    return profile.folder


def of_pack(profile: ModelProfile, folder: Path, pack: DomainPack) -> ModelProfile:
    """The house profile with the weights that were trained for the pack.

    Raises:
        ConfigurationError: there are none, and the profile's own do not know the pack's tables.
    """
    own = weights_folder(profile, folder)
    if own.is_dir():
        # A calibration that the profile names was fitted on its own weights; one beside these is found there.
        calibration = profile.calibration if own == profile.folder else None
        return profile.model_copy(update={"folder": own, "calibration": calibration})
    if profile.folder is not None and _knows(profile.folder, pack):
        return profile
    raise ConfigurationError(
        f"There is no house model for the domain pack {folder}. Train one with `plumbline train --domain "
        f"{folder}`, or set PLUMBLINE_MODEL_PROFILE to a model that reads the schema from its prompt."
    )


def _knows(weights: Path, pack: DomainPack) -> bool:
    """Whether the vocabulary holds the pack's tables, as that of a copied and edited pack does."""
    try:
        tokenizer = json.loads((weights / "tokenizer.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    known = {token["content"] for token in tokenizer.get("added_tokens", ())}
    return {table_token(table) for table in pack.tables} <= known
