"""What `plumbline train` takes."""

from pathlib import Path
from typing import Annotated

import typer

DEFAULT_PAIRS = 10_000

Config = Annotated[
    Path | None,
    typer.Option(
        help="Training config; default: configs/models/house/training.yaml, "
        "for an adapter configs/models/mistral-7b/lora.yaml."
    ),
]
Domain = Annotated[
    Path | None, typer.Option(help="Folder of the domain pack; default: PLUMBLINE_DOMAIN_PACK.")
]
Out = Annotated[
    Path | None,
    typer.Option(
        help="Folder of the finished model; default: `model` in the pack's folder, for the pack of the "
        "sample database configs/models/house/weights, for an adapter under runs/lora."
    ),
]
Minutes = Annotated[float | None, typer.Option(min=0.1, help="Training time; overrides the config.")]
Steps = Annotated[int | None, typer.Option(min=1, help="Optimizer steps; overrides the config.")]
Evaluation = Annotated[
    list[Path] | None,
    typer.Option("--eval", help="Evaluation file scored at checkpoints and in the model card."),
]
StartFrom = Annotated[Path | None, typer.Option(help="Folder of an earlier model to go on from.")]
WithoutWriter = Annotated[
    list[str] | None,
    typer.Option(help="Leave this writer's phrasings out of training; may be given more than once."),
]
Fresh = Annotated[bool, typer.Option("--fresh", help="Forget the checkpoint of an interrupted run.")]
Lora = Annotated[
    bool, typer.Option("--lora", help="Train a LoRA adapter for an instruction model; needs --data.")
]
Data = Annotated[
    Path | None,
    typer.Option(help="JSON lines of instruction, input and output to train the adapter on."),
]
Export = Annotated[
    Path | None,
    typer.Option("--export-data", help="Write such a file from synthesized questions."),
]
Pairs = Annotated[int | None, typer.Option(min=1, help=f"Pairs to export; default: {DEFAULT_PAIRS}.")]
Seed = Annotated[int | None, typer.Option(min=0, help="Of the export; default: 1.")]
Merge = Annotated[
    Path | None, typer.Option(help="Merge the adapter in this folder into full weights at --out.")
]
