"""A whole evaluation as a file: what was asked, by whom it was answered, and every figure."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from pydantic import AwareDatetime, Field, ValidationError

from serve_app.evaluation.items import EvalModel, EvaluationFileError
from serve_app.evaluation.report import Report, make_report, overall


class SavedRun(EvalModel):
    """The reports of one evaluation. ``target`` is the server's address, or the folder of local weights."""

    target: str
    at: AwareDatetime
    files: tuple[Report, ...] = Field(min_length=1)

    @property
    def together(self) -> Report:
        return overall(self.files)


def make_run(target: str, reports: Sequence[Report]) -> SavedRun:
    return SavedRun(target=target, at=datetime.now(UTC).replace(microsecond=0), files=tuple(reports))


def without_text(run: SavedRun) -> SavedRun:
    """The run without questions, statements and details: figures and verdicts alone, by id."""
    blank = {"question": "", "sql": None, "detail": ""}
    return run.model_copy(
        update={
            "files": tuple(
                make_report(report.name, [result.model_copy(update=blank) for result in report.results])
                for report in run.files
            )
        }
    )


def save(run: SavedRun, path: Path) -> None:
    """Write it as JSON.

    Raises:
        EvaluationFileError: the file cannot be written.
    """
    try:
        path.write_text(run.model_dump_json(exclude_defaults=True) + "\n", encoding="utf-8")
    except OSError as error:
        raise EvaluationFileError(f"{path} cannot be written: {error.strerror}") from error


def load_run(path: Path) -> SavedRun:
    """Read a saved run.

    Raises:
        EvaluationFileError: it cannot be read, or is no saved run.
    """
    try:
        return SavedRun.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise EvaluationFileError(f"{path} cannot be read: {reason}") from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"])) or "file"
        raise EvaluationFileError(
            f"{path} is no run saved by `plumbline eval --out`: {place}: {first['msg']}"
        ) from error
