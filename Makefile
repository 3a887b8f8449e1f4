# The first two targets are the README's two commands.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed

.PHONY: demo test check bench studies clean

demo: $(STAMP)            ## train within a budget on the bundled data, compare, recommend
	$(BIN)/resprout demo

test: $(STAMP)            ## all tests
	$(BIN)/python -m pytest --numprocesses auto --dist worksteal

check: $(STAMP)           ## format, lint, types, import rule
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(STAMP)           ## speed and memory, each after its correctness check; needs RESPROUT_DATA
	$(BIN)/python -m benchmarks

studies: $(STAMP)         ## the quick form of every study, and its page; needs RESPROUT_DATA
	for file in studies/*.toml studies/*/*.toml; do \
	    $(BIN)/resprout study run $$file --quick --jobs 2 || exit 1; \
	    $(BIN)/resprout report runs/studies/$$(basename $$file .toml)-quick || exit 1; \
	done

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $(STAMP)

clean:                    ## what can be made again: environment, caches, compiled kernels
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
