"""Schemathesis over the whole OpenAPI document of a real instance.

    python -m tests.openapi_run [EXAMPLES]

starts instances of its own on the embedded default, one that asks nobody and one that asks for API keys, and
ends them. It makes every call with valid and invalid data, with a key that holds and without, EXAMPLES (100)
times each on top of the boundary cases. `make schemathesis` calls it.
"""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

from tests.cli_support import Operator, fresh_operator

ROOT = Path(__file__).parents[1]
EXAMPLES = 100
MODES = ("none", "api_keys")
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


def new_key(operator: Operator) -> str:
    """A key that is limited only by the server's own capacity."""
    made = operator.run("keys", "create", "tester", "--organization", "1", "--rate-per-minute", "100000")
    return made.stdout.strip()


def run_mode(mode: str, examples: int) -> int:
    """A run over an instance of its own in one mode of ``auth.mode``; 0 if every check held."""
    with fresh_operator() as operator:
        operator.environment["PLUMBLINE_AUTH_MODE"] = mode
        credential = () if mode == "none" else ("--header", f"Authorization: Bearer {new_key(operator)}")
        started = operator.run("up", "--detach")
        if started.returncode:
            sys.stderr.write(started.stderr)
            return 1
        print(f"PLUMBLINE_AUTH_MODE={mode}", flush=True)
        code = run(operator.url, examples, "examples,coverage,fuzzing", *credential).returncode
        worked = events(operator)
        print(f"audit log: {dict(worked)}", flush=True)
        # A key that opened nothing would make every call look well refused.
        return code or int(not (worked["question"] and worked["sql"]))


def events(operator: Operator) -> Counter[str]:
    """How many lines of each kind the audit log has."""
    tail = operator.run("audit", "tail", "--json", "-n", "10000").stdout
    return Counter(json.loads(line)["event"] for line in tail.splitlines())


def main(examples: int) -> int:
    return max(run_mode(mode, examples) for mode in MODES)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else EXAMPLES))
