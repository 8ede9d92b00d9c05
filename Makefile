# From a fresh checkout: Python >= 3.11 and make are all that is needed.
PYTHON ?= python3
UV_VERSION = 0.13.9
BIN = .venv/bin
SECONDS ?= 600
TEST_PROCESSES ?= 2

.PHONY: run test check bench simulate format
run: .venv            ## the whole of Millrace on this machine; ONCE=1 stops when the sample history has settled
	$(BIN)/millrace try $(if $(ONCE),--once)

test: .venv           ## every test; what is missing on this machine is named and counted as skipped
	$(BIN)/python -m pytest -n $(TEST_PROCESSES) --dist loadfile

check: .venv          ## format, lint, types, architecture
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_architecture.py

bench: .venv          ## one JSON line per figure
	$(BIN)/python -m bench

simulate: .venv       ## the long crash runs, for SECONDS seconds
	$(BIN)/python -m pytest -q tests/acceptance --simulate-seconds $(SECONDS)

format: .venv
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

.venv: pyproject.toml uv.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Millrace needs Python 3.11 or newer; set PYTHON=")'
	test -x $(BIN)/uv || { $(PYTHON) -m venv .venv && $(BIN)/python -m pip install --quiet uv==$(UV_VERSION); }
	VIRTUAL_ENV=$(CURDIR)/.venv $(BIN)/uv sync --quiet --active --frozen --inexact
	@touch .venv
