"""Schemathesis over the whole OpenAPI document of a real instance.

    python -m tests.openapi_run [EXAMPLES]

starts an instance of its own on the embedded default, asks every call with valid and invalid data, EXAMPLES
(100) times each on top of the boundary cases, and ends it. `make schemathesis` calls it.
"""

import os
import subprocess
import sys
from pathlib import Path

from tests.cli_support import fresh_operator

ROOT = Path(__file__).parents[1]
EXAMPLES = 100
# 5xx: the project's own check knows overload. Positive data: the validator may refuse what the schema takes.
EXCLUDED = "not_a_server_error,positive_data_acceptance"


def run(url: str, examples: int, phases: str, *more: str) -> "subprocess.CompletedProcess[str]":
    """One run; its exit code is 0 if every check held."""
    script = Path(sys.executable).with_name("schemathesis")
    arguments = [
        *(str(script), "run", f"{url}/openapi.json", "--exclude-checks", EXCLUDED),
        *("--phases", phases, "--max-examples", str(examples), "--mode", "all", "--no-color"),
        *("--continue-on-failure", "--request-timeout", "90", "--warnings", "off", *more),
    ]
    environment = os.environ | {"SCHEMATHESIS_HOOKS": "tests.openapi_checks", "PYTHONPATH": str(ROOT)}
    return subprocess.run(arguments, cwd=ROOT, env=environment, text=True, check=False, stdout=None)


def main(examples: int) -> int:
    with fresh_operator() as operator:
        started = operator.run("up", "--detach")
        if started.returncode:
            sys.stderr.write(started.stderr)
            return 1
        return run(operator.url, examples, "examples,coverage,fuzzing").returncode


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else EXAMPLES))
