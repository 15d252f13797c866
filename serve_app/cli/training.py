"""`train`: the house model from synthesized questions."""

from pathlib import Path
from typing import Annotated

import typer

from serve_app.cli.output import fail, note, result


def register(app: typer.Typer) -> None:
    app.command(epilog="Example: plumbline train --minutes 50 --eval tests/data/eval/single.jsonl")(train)


def train(
    config: Annotated[
        Path | None, typer.Option(help="Training config; default: configs/models/house/training.yaml.")
    ] = None,
    domain: Annotated[
        Path | None, typer.Option(help="Folder of the domain pack; default: PLUMBLINE_DOMAIN_PACK.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the finished model; default: `model` in the pack's folder, "
            "for the pack of the sample database configs/models/house/weights."
        ),
    ] = None,
    minutes: Annotated[
        float | None, typer.Option(min=0.1, help="Training time; overrides the config.")
    ] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Optimizer steps; overrides the config.")] = None,
    evaluation: Annotated[
        list[Path] | None,
        typer.Option("--eval", help="Evaluation file scored at checkpoints and in the model card."),
    ] = None,
    start_from: Annotated[Path | None, typer.Option(help="Folder of an earlier model to go on from.")] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Forget the checkpoint of an interrupted run.")
    ] = False,
) -> None:
    """Train the house model for the domain pack and write it with its model card.

    An interrupted run continues where it stopped when the command is given again.
    """
    for path in (config, *(evaluation or ())):
        if path is not None and not path.is_file():
            fail(f"{str(path)!r} does not exist")
    if domain is not None and not domain.is_dir():
        fail(f"{str(domain)!r} is not a folder")
    from serve_app.evaluation.items import EvaluationFileError
    from serve_app.settings import load_settings
    from serve_app.training import TrainingRequest, train_house_model

    request = TrainingRequest(
        config=config,
        domain=domain,
        out=out,
        minutes=minutes,
        steps=steps,
        evaluation=tuple(evaluation or ()),
        start_from=start_from,
        resume=not fresh,
    )
    try:
        result(str(train_house_model(request, load_settings(), note)))
    except EvaluationFileError as error:
        fail(str(error))
