"""Checksums of a model's files, in the form of ``sha256sum``: weights that were changed would answer wrongly.

safetensors checks lengths and no content. A folder without the file is not checked: of weights of many
gigabytes the checksums would cost minutes of every start.
"""

import hashlib
import re
from pathlib import Path

from serve_app.errors import ModelUnavailable

CHECKSUMS_FILE = "SHA256SUMS"
# What a model is loaded from; not its card, nor the record of its training.
LOADED = ("*.safetensors", "config.json", "generation_config.json", "tokenizer*", "calibration.json")
REMEDY = "restore it or train the model again (`plumbline train`)"
_LINE = re.compile(r"([0-9a-f]{64})  ([^/\s]+)")


def write_checksums(folder: Path) -> None:
    """Record the files that the model is loaded from."""
    files = sorted({file for pattern in LOADED for file in folder.glob(pattern)})
    lines = [f"{_digest(file)}  {file.name}\n" for file in files]
    (folder / CHECKSUMS_FILE).write_text("".join(lines), encoding="ascii")


def renew_checksums(folder: Path) -> None:
    """Record the files again where they are recorded: one was changed on purpose."""
    if (folder / CHECKSUMS_FILE).is_file():
        write_checksums(folder)


def check_checksums(folder: Path) -> None:
    """Raises ModelUnavailable for a recorded file that is missing or changed, or a record that is damaged."""
    path = folder / CHECKSUMS_FILE
    if not path.is_file():
        return
    for line in path.read_text(encoding="ascii", errors="replace").splitlines():
        recorded = _LINE.fullmatch(line)
        if recorded is None:
            raise ModelUnavailable(f"{path} is damaged; {REMEDY}.")
        digest, name = recorded.groups()
        file = folder / name
        if not file.is_file():
            raise ModelUnavailable(f"The model file {file} is missing; {REMEDY}.")
        if _digest(file) != digest:
            raise ModelUnavailable(
                f"The model file {file} is damaged: {CHECKSUMS_FILE} records another content; {REMEDY}."
            )


def _digest(file: Path) -> str:
    with file.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
