"""The commands, and how every failure ends: one line on standard error and an exit code."""

import sys
from collections.abc import Sequence

import typer
from typer.exceptions import Abort, TyperException

from serve_app.cli import (
    asking,
    audit,
    checking,
    domain,
    evaluating,
    feedback,
    keys,
    models,
    role,
    serving,
    training,
)
from serve_app.cli.output import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_USAGE, CliError, note
from serve_app.errors import ConfigurationError, PlumblineError

app = typer.Typer(
    name="plumbline",
    help="Ask a PostgreSQL database in plain English; get true rows and the SQL behind them.",
    epilog='Start with `plumbline up --detach`, then `plumbline ask "How much was spent last month?"`.',
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)

for module in (
    serving,
    asking,
    checking,
    evaluating,
    feedback,
    domain,
    training,
    models,
    role,
    keys,
    audit,
):
    module.register(app)


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    try:
        return int(app(args=given, prog_name="plumbline", standalone_mode=False) or 0)
    except CliError as error:
        return _ended(error.message, error.code)
    except TyperException as error:
        return _ended(error.format_message(), EXIT_USAGE)
    except ConfigurationError as error:
        return _ended(error.message, EXIT_USAGE)
    except PlumblineError as error:
        return _ended(error.message, EXIT_FAILED)
    except (KeyboardInterrupt, Abort):
        return _ended("interrupted", EXIT_INTERRUPTED)
    except BrokenPipeError:
        # The reader (head, less) has seen enough; nothing is left to say and nowhere to say it.
        sys.stderr.close()
        return EXIT_OK_ON_CLOSED_PIPE


EXIT_OK_ON_CLOSED_PIPE = 0


def _ended(message: str, code: int) -> int:
    note(f"plumbline: {message}")
    return code
