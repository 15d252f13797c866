"""`train`: the house model from synthesized questions, or an adapter for an instruction model."""

from pathlib import Path

import typer

from serve_app.cli import training_options as options
from serve_app.cli.output import fail, note, result


def register(app: typer.Typer) -> None:
    app.command(epilog="Example: plumbline train --minutes 50 --eval tests/data/eval/single.jsonl")(train)


def train(
    config: options.Config = None,
    domain: options.Domain = None,
    out: options.Out = None,
    minutes: options.Minutes = None,
    steps: options.Steps = None,
    evaluation: options.Evaluation = None,
    start_from: options.StartFrom = None,
    without_writer: options.WithoutWriter = None,
    fresh: options.Fresh = False,
    lora: options.Lora = False,
    data: options.Data = None,
    export: options.Export = None,
    pairs: options.Pairs = None,
    seed: options.Seed = None,
    merge: options.Merge = None,
) -> None:
    """Train the house model for the domain pack and write it with its model card.

    With --lora: an adapter for Mistral-7B, on data that --export-data writes. An interrupted run continues
    where it stopped when the command is given again.
    """
    given = {
        "--domain": domain,
        "--out": out,
        "--minutes": minutes,
        "--steps": steps,
        "--eval": evaluation,
        "--start-from": start_from,
        "--without-writer": without_writer,
        "--fresh": fresh or None,
        "--data": data,
        "--pairs": pairs,
        "--seed": seed,
    }
    _check(lora, export, merge, {name for name, value in given.items() if value is not None})
    for path in (config, data, *(evaluation or ())):
        if path is not None and not path.is_file():
            fail(f"{str(path)!r} does not exist")
    if domain is not None and not domain.is_dir():
        fail(f"{str(domain)!r} is not a folder")
    if export is not None:
        _export(export, pairs or options.DEFAULT_PAIRS, 1 if seed is None else seed, config)
    elif merge is not None:
        _merge(merge, config, out)
    elif lora:
        assert data is not None
        _train_adapter(data, config, out, minutes, steps, tuple(evaluation or ()), resume=not fresh)
    else:
        _train_house(
            config,
            domain,
            out,
            minutes,
            steps,
            tuple(evaluation or ()),
            start_from,
            frozenset(without_writer or ()),
            not fresh,
        )


# What each way of the command takes, --config apart.
TAKES = {
    "--lora": {"--data", "--out", "--minutes", "--steps", "--eval", "--fresh"},
    "--export-data": {"--pairs", "--seed"},
    "--merge": {"--out"},
    "": {
        "--domain",
        "--out",
        "--minutes",
        "--steps",
        "--eval",
        "--start-from",
        "--without-writer",
        "--fresh",
    },
}


def _check(lora: bool, export: Path | None, merge: Path | None, given: set[str]) -> None:
    """One way at a time, with its own options and no others."""
    asked = {"--lora": lora, "--export-data": export is not None, "--merge": merge is not None}
    ways = [name for name, wanted in asked.items() if wanted]
    if len(ways) > 1:
        fail(f"{' and '.join(ways)} do different things; give one of them")
    way = ways[0] if ways else ""
    if foreign := sorted(given - TAKES[way]):
        homes = [name for name in TAKES if foreign[0] in TAKES[name] and name]
        fail(f"{foreign[0]} " + (f"belongs to {homes[0]}" if homes else f"does not go with {way}"))
    if lora and "--data" not in given:
        fail("--lora needs --data; write such a file with: plumbline train --export-data FILE")


def _export(path: Path, pairs: int, seed: int, config: Path | None) -> None:
    from serve_app.finetuning import export_data
    from serve_app.settings import load_settings

    export_data(path, pairs, seed, config, load_settings(), note)
    result(str(path))


def _merge(adapter: Path, config: Path | None, out: Path | None) -> None:
    from serve_app.finetuning import merge
    from serve_app.settings import load_settings

    note("merging; this reads the whole base model into memory …")
    result(str(merge(adapter, config, out, load_settings())))


def _train_adapter(
    data: Path,
    config: Path | None,
    out: Path | None,
    minutes: float | None,
    steps: int | None,
    evaluation: tuple[Path, ...],
    resume: bool,
) -> None:
    from serve_app.evaluation.items import EvaluationFileError
    from serve_app.finetuning import AdapterRequest, train_lora
    from serve_app.settings import load_settings

    request = AdapterRequest(data, config, out, minutes, steps, evaluation, resume)
    try:
        result(str(train_lora(request, load_settings(), note)))
    except EvaluationFileError as error:
        fail(str(error))


def _train_house(
    config: Path | None,
    domain: Path | None,
    out: Path | None,
    minutes: float | None,
    steps: int | None,
    evaluation: tuple[Path, ...],
    start_from: Path | None,
    without_writers: frozenset[str],
    resume: bool,
) -> None:
    from serve_app.evaluation.items import EvaluationFileError
    from serve_app.settings import load_settings
    from serve_app.training import TrainingRequest, train_house_model

    request = TrainingRequest(
        config, domain, out, minutes, steps, evaluation, start_from, without_writers, resume
    )
    try:
        result(str(train_house_model(request, load_settings(), note)))
    except EvaluationFileError as error:
        fail(str(error))
