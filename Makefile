# The first two targets are the README's two commands.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed

.PHONY: demo test check bench clean

demo: $(STAMP)            ## train within a budget on the bundled data, compare, recommend
	$(BIN)/resprout demo

test: $(STAMP)            ## all tests
	$(BIN)/python -m pytest

check: $(STAMP)           ## format, lint, types, import rule
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(STAMP)           ## speed and memory, each after its correctness check; needs RESPROUT_DATA
	$(BIN)/python -m benchmarks

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $(STAMP)

clean:                    ## what can be made again: environment, caches, compiled kernels
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
