"""What `plumbline eval` takes."""

from pathlib import Path
from typing import Annotated

import typer

Files = Annotated[
    list[Path] | None,
    typer.Argument(
        help="JSON lines of one-shot questions, conversations, clarification decisions or unanswerable "
        "questions."
    ),
]
Verified = Annotated[
    bool,
    typer.Option("--verified", help="Ask every verified example: the domain pack's and accepted feedback."),
]
Compare = Annotated[
    tuple[Path, Path] | None,
    typer.Option(help="Two saved runs, A and B: who is better, and could it be chance.", metavar="A B"),
]
Show = Annotated[Path | None, typer.Option(dir_okay=False, help="Report a saved run instead of asking.")]
Url = Annotated[str | None, typer.Option(help="Server to ask; default: the one that `plumbline up` started.")]
Local = Annotated[
    bool,
    typer.Option(
        "--local",
        help="Ask the house model in this process, without verified examples; no server is needed.",
    ),
]
Weights = Annotated[
    Path | None,
    typer.Option(file_okay=False, help="With --local: folder of other weights, e.g. a snapshot."),
]
DatabaseUrl = Annotated[
    str | None, typer.Option(help="Database of the gold statements; default: the one that is asked.")
]
Limit = Annotated[
    int | None, typer.Option(min=1, help="At most so many items of each file, evenly over the file.")
]
Concurrency = Annotated[int, typer.Option(min=1, max=64, help="Questions asked at the same time.")]
Timeout = Annotated[float, typer.Option(min=1, help="Seconds to wait for a server's answer.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print all figures and verdicts as JSON.")]
Markdown = Annotated[bool, typer.Option("--markdown", help="Print the README's tables.")]
Failures = Annotated[
    bool, typer.Option("--failures", help="List what went wrong, or what differs between two runs.")
]
Out = Annotated[
    Path | None,
    typer.Option(dir_okay=False, help="Save the run there as JSON, for --compare and --show."),
]
NoText = Annotated[
    bool, typer.Option("--no-text", help="Save no questions and statements: verdicts by id alone.")
]
AtLeast = Annotated[
    float | None,
    typer.Option(min=0, max=100, help="Exit code 1 if fewer percent are right over all files."),
]
Calibrate = Annotated[
    Path | None,
    typer.Option(
        dir_okay=False,
        help="Fit the confidence on these answers and write it there, e.g. beside the model's weights. "
        "Use questions that the model was not trained on.",
    ),
]
