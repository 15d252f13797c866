# Every target sets up what it needs in a fresh clone; a second run goes straight to work.

SHELL := /bin/sh
VENV := .venv
PY := $(VENV)/bin/python
PLUMBLINE := $(VENV)/bin/plumbline
# Touched when everything is installed; newer requirements install again.
STAMP := $(VENV)/.installed
# The CPU build, which pip takes by itself on machines without CUDA packages; the constraints say the same.
TORCH := torch==2.13.0
PIP := $(PY) -m pip --disable-pip-version-check --quiet --quiet install --constraint constraints.txt

QUESTION ?= What were total expenses by category this year?
# make fuzz STATEMENTS=1000000 MINUTES=600 FUZZ="--seed 1 --output figures.json"
STATEMENTS ?= 100000
MINUTES ?= 10
FUZZ ?=
# make load MINUTES=1 LOAD="--questions 20 --faults proxy"
LOAD ?=
# Further arguments of pytest: make test ARGS="--cov -x"
ARGS ?=
# Units run beside the tests of a running instance; make test WORKERS=0 runs them one after the other.
WORKERS ?= 2

.DEFAULT_GOAL := help
.PHONY: up down test faults check bench fuzz notebooks schemathesis load help

up: $(STAMP) ## Start everything in the background, ask one question, print the URL (PLUMBLINE_PORT moves the port)
	@echo "==> Starting Plumbline; the first start also makes and loads the sample database"
	@$(PLUMBLINE) up --detach >/dev/null
	@echo "==> Asking: $(QUESTION)"
	@$(PLUMBLINE) ask "$(QUESTION)"
	@echo "==> Plumbline answers at $$($(PLUMBLINE) status --json | $(PY) -c 'import json, sys; print(json.load(sys.stdin)["url"])')"
	@echo "    Ask more with: $(PLUMBLINE) ask \"...\"    Stop it with: make down"

down: $(STAMP) ## Stop what `make up` started
	@$(PLUMBLINE) down

test: $(STAMP) ## All tests: units, properties, the real Serve graph and database (ARGS="..." for pytest)
	@echo "==> Running the tests"
	@$(PY) -m pytest -n $(WORKERS) --no-loadscope-reorder -m "not performance and not gpu" $(ARGS)

faults: $(STAMP) ## The tests that kill, freeze and starve parts of a running system
	@echo "==> Running the tests of faults"
	@$(PY) -m pytest tests/faults $(ARGS)

check: $(STAMP) ## ruff, ruff format, mypy --strict, audit of packages, scan for secrets, unit tests
	@echo "==> ruff"
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .
	@echo "==> mypy"
	@$(VENV)/bin/mypy
	@echo "==> Known vulnerabilities of the pinned packages"
	@$(PY) .ci/audit.py constraints.txt
	@echo "==> Secrets in the repository (false finds: .secrets.baseline)"
	@git ls-files -z | xargs -0 $(VENV)/bin/detect-secrets-hook --baseline .secrets.baseline
	@echo "==> Unit tests"
	@$(PY) -m pytest -n $(WORKERS) --no-loadscope-reorder tests/unit $(ARGS)

bench: $(STAMP) ## Benchmarks of this machine: validator, limits, generator, questions over HTTP
	@echo "==> Running the benchmarks"
	@$(PY) -m tests.performance

notebooks: $(STAMP) ## Evaluate the house model in this process, then run the notebook of its figures again (10 minutes)
	@echo "==> Evaluating the house model on tests/data/eval/"
	@$(PLUMBLINE) eval tests/data/eval/*.jsonl --local --no-text --out tests/data/eval/house-run.json >/dev/null
	@echo "==> Running notebooks/evaluation.ipynb"
	@$(VENV)/bin/jupyter-execute --inplace notebooks/evaluation.ipynb
	@echo "==> For the README: $(PLUMBLINE) eval --show tests/data/eval/house-run.json --markdown"

fuzz: $(STAMP) ## Random and mutated statements against the validator, PostgreSQL as the judge (STATEMENTS=, MINUTES=)
	@echo "==> Fuzzing the validator"
	@$(PY) -m tests.fuzz --statements $(STATEMENTS) --minutes $(MINUTES) $(FUZZ)

load: $(STAMP) ## Mixed load with faults on an instance of its own: no wrong answer, no lost turn (MINUTES=)
	@echo "==> Asking while parts of the instance are killed, stopped and cut off"
	@$(PY) -m tests.performance.load_with_faults --minutes $(MINUTES) $(LOAD)

schemathesis: $(STAMP) ## Every call of the OpenAPI document with valid and invalid data, on an instance of its own
	@echo "==> Running Schemathesis"
	@$(PY) -m tests.openapi_run

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(STAMP): pyproject.toml constraints.txt
	@found=""; if [ ! -x $(PY) ]; then \
	  for candidate in $(PYTHON) python3.12 python3.13 python3.11 python3 python; do \
	    if "$$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then found="$$candidate"; break; fi; \
	  done; \
	  if [ -z "$$found" ]; then \
	    echo "Python 3.11 or newer was not found. Install it, or name it: make PYTHON=/path/to/python3.12 ..." >&2; exit 1; \
	  fi; \
	  echo "==> Making a virtual environment in $(VENV) with $$("$$found" --version)"; \
	  "$$found" -m venv $(VENV) || { \
	    echo "The venv module does not work here; on Debian and Ubuntu install python3-venv." >&2; rm -rf $(VENV); exit 1; }; \
	fi
	@echo "==> Installing $(TORCH), some 200 MB; this takes a few minutes the first time"
	@$(PIP) $(TORCH)
	@echo "==> Installing Plumbline and everything else it needs"
	@$(PIP) --editable '.[dev]'
	@touch $(STAMP)
