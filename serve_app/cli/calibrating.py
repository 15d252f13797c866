"""The confidence part of `eval`: the reliability table, and fitting a calibration."""

from pathlib import Path
from typing import TYPE_CHECKING

from serve_app.cli.output import EXIT_FAILED, fail, note

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from serve_app.evaluation.calibration import Reliability
    from serve_app.evaluation.report import Report


def write_calibration(path: Path, reports: "Sequence[Report]") -> None:
    """Fit on the answers of all reports and write the file."""
    from deployments.generator.checksums import renew_checksums
    from serve_app.evaluation.calibration import CalibrationError, fit

    results = [result for report in reports for result in report.results]
    models = sorted({result.model for result in results if result.answered and result.model})
    if len(models) > 1:
        fail(f"several models answered ({', '.join(models)}); calibrate each on its own", EXIT_FAILED)
    try:
        found = fit(results, models[0] if models else "unknown", [Path(r.name).name for r in reports])
    except CalibrationError as error:
        fail(str(error), EXIT_FAILED)
    try:
        path.write_text(found.model_dump_json(indent=1) + "\n", encoding="utf-8")
        renew_checksums(path.parent)
    except OSError as error:
        fail(f"{path} cannot be written: {error.strerror}")
    refused = sum(r.features is not None and not r.answered for r in results if r.kind != "clarify")
    if refused:
        note(
            f"{refused} questions were refused for too little confidence and are missing from the fit; for a "
            "whole one, remove the calibration in use and start the server again first"
        )
    note(f"confidence fitted on {found.questions} answers, {found.right} of them right: {path}")


def print_reliability(table: "Reliability | None") -> None:
    """The tables of one report, if its answers told their confidence."""
    if table is None:
        return
    from rich.console import Console
    from rich.text import Text

    console = Console()
    console.print(_bins(table), _selective(table))
    console.print(
        Text(
            f"confidence of {table.answers} answers: Brier score {table.brier:.3f}, "
            f"expected calibration error {table.expected_calibration_error:.3f}"
        )
    )


def _bins(reliability: "Reliability") -> "Table":
    table = _table("confidence", "answers", "mean confidence %", "right %")
    for found in reliability.bins:
        table.add_row(
            f"{found.low:g} to {found.high:g}",
            str(found.answers),
            f"{100 * found.mean_confidence:.1f}",
            f"{100 * found.right / found.answers:.1f}",
        )
    return table


def _selective(reliability: "Reliability") -> "Table":
    table = _table("answered from", "answers", "of all questions %", "right %")
    for chosen in reliability.selective:
        right = "–" if chosen.accuracy is None else f"{100 * chosen.accuracy:.1f}"
        table.add_row(f"{chosen.threshold:g}", str(chosen.answers), f"{100 * chosen.coverage:.1f}", right)
    return table


def _table(first: str, *figures: str) -> "Table":
    from rich.table import Table

    table = Table()
    table.add_column(first)
    for heading in figures:
        table.add_column(heading, justify="right")
    return table
