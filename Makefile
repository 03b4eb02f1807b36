# The two commands of the README are `make demo` and `make test`. Both set up what they need.
# ARGS are handed to the command: make demo ARGS=--exit, make test ARGS="-k settle".

SHELL := /bin/bash
.DEFAULT_GOAL := help
ARGS ?=
BIN := .venv/bin
PYTHON ?= python3.10

.PHONY: help demo up test check lint bench sdk chromium lock clean

help: ## say what can be made
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /make \1|/' | column -t -s '|'

demo: .venv/platform ## set up, start Tripoint, load a realistic workload, show who spends what
	@$(BIN)/tripoint demo $(ARGS)

up: .venv/platform ## set up and start Tripoint
	@$(BIN)/tripoint up $(ARGS)

test: .venv/dev chromium ## set up and run every test
	$(BIN)/python -m pytest -n 2 --dist loadgroup $(ARGS)

check: .venv/dev ## the quick loop: linters and the fast tests
	@$(MAKE) --no-print-directory lint
	$(BIN)/python -m pytest -q -n 2 --dist loadgroup -m "not slow and not browser" $(ARGS)

lint: .venv/dev ## ruff, mypy, import-linter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

bench: .venv/dev ## print the benchmarks
	$(BIN)/python -m benchmarks $(ARGS)

# On Pythons that the platform does not run on; three files of these tests need the platform.
sdk: ## the SDK's tests alone on another Python: make sdk PYTHON=python3.13
	@command -v $(PYTHON) >/dev/null || { echo "There is no $(PYTHON) here; name another one: make sdk PYTHON=…"; exit 1; }
	$(PYTHON) -m venv --clear .venv-sdk
	.venv-sdk/bin/pip install -q --disable-pip-version-check -e ./sdk -r requirements/sdk.in
	.venv-sdk/bin/python -m pytest -q --confcutdir=tests/sdk tests/sdk $(ARGS) \
		--ignore tests/sdk/test_content.py --ignore tests/sdk/test_instrument.py --ignore tests/sdk/test_spine.py

# The environments are made once a lock; a stamp says which lock they hold.
.venv/platform: requirements/platform.txt pyproject.toml
	@./setup.sh requirements/platform.txt
	@touch $@

.venv/dev: requirements/dev.txt pyproject.toml sdk/pyproject.toml
	@./setup.sh requirements/dev.txt
	@touch $@ .venv/platform

chromium:
	@./setup.sh --chromium

lock: .venv/dev ## write the locks anew from pyproject.toml and requirements/dev.in
	$(BIN)/pip install -q uv
	$(BIN)/uv pip compile pyproject.toml -o requirements/platform.txt --universal --python-version 3.11 \
		--generate-hashes --no-emit-index-url --custom-compile-command "make lock" -q $(ARGS)
	$(BIN)/uv pip compile pyproject.toml requirements/dev.in -o requirements/dev.txt --universal --python-version 3.11 \
		--generate-hashes --no-emit-index-url --custom-compile-command "make lock" -q $(ARGS)

clean: ## remove the environment and the caches
	rm -rf .venv .venv-sdk .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
