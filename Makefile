# From a fresh checkout: Python >= 3.11 and make are all that is needed.
PYTHON ?= python3
UV_VERSION = 0.13.9
BIN = .venv/bin
# The directory alone is also there after a set-up that failed or was interrupted.
SET_UP = .venv/.set-up
SECONDS ?= 600
TEST_PROCESSES ?= 2

.PHONY: run test check bench simulate format .venv
run: $(SET_UP)        ## the whole of Millrace on this machine; ONCE=1 stops when the sample history has settled
	$(BIN)/millrace try $(if $(ONCE),--once)

test: $(SET_UP)       ## every test; what is missing on this machine is named and counted as skipped
	$(BIN)/python -m pytest -n $(TEST_PROCESSES) --dist loadfile --no-loadscope-reorder  # the longest files first

check: $(SET_UP)      ## format, lint, types, architecture
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_architecture.py

bench: $(SET_UP)      ## one JSON line per figure
	$(BIN)/python -m bench

simulate: $(SET_UP)   ## the long crash runs, for SECONDS seconds
	$(BIN)/python -m pytest -q tests/acceptance --simulate-seconds $(SECONDS)

format: $(SET_UP)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

.venv: $(SET_UP)      ## only sets up

$(SET_UP): pyproject.toml uv.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Millrace needs Python 3.11 or newer; set PYTHON=")'
	test -x $(BIN)/uv || { $(PYTHON) -m venv .venv && $(BIN)/python -m pip install --quiet uv==$(UV_VERSION); }
	VIRTUAL_ENV=$(CURDIR)/.venv $(BIN)/uv sync --quiet --active --frozen --inexact
	@touch $@
