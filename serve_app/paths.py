"""Where files of the project lie, and where relative paths of settings are looked for.

`configs/` belongs to the repository, not to the packages: code and data are one checkout, installed editable,
in which an operator edits the data. A wheel alone brings no configuration.
"""

from pathlib import Path

PROJECT_ROOT = Path(__file__).resolve().parents[1]


def resolve(path: Path) -> Path:
    """``path`` made absolute. Ray workers do not run in the operator's folder, hence the second place."""
    if path.is_absolute() or path.exists():
        return path.resolve()
    return PROJECT_ROOT / path


def named_config(folder: str, name: str) -> Path:
    """``configs/<folder>/<name>.yaml`` for a bare name; a name with a suffix or a slash is a path already."""
    if "/" in name or name.endswith((".yaml", ".yml")):
        return resolve(Path(name))
    return resolve(Path("configs") / folder / f"{name}.yaml")
