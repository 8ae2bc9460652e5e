# stcsim: `make` alone lists what there is.
.DEFAULT_GOAL := help
SHELL := /bin/bash

PYTHON ?= python3
# What `make run` simulates.
TRACE ?= traces/resnet34.json
ARCH ?= a100
BATCH ?= 32
# Tests that capture networks or compare numerics need torch; `make test TORCH=` leaves it and them out.
TORCH ?= torch==2.13.0 transformers mmasim ninja
PYTEST_ARGS ?= -q
# Of `make docs`: pages, --figures, --measured DIR --silicon DIR.
DOCS_ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
PINS := .ci/constraints.txt
PIP := PIP_CONSTRAINT=$(CURDIR)/$(PINS) PIP_BUILD_CONSTRAINT=$(CURDIR)/$(PINS) $(BIN)/python -m pip --disable-pip-version-check install -q

help:  ## list what make can do
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | awk -F'\t' '{printf "  make %-9s %s\n", $$1, $$2}'

run: $(VENV)/.base  ## install, then simulate ResNet-34 on an A100 (TRACE=… ARCH=… BATCH=… for others)
	$(BIN)/stcsim run $(TRACE) --arch $(ARCH) --batch $(BATCH)

test: $(VENV)/.test  ## install with test tools, then run the whole suite
	$(BIN)/python -m pytest $(PYTEST_ARGS)

bench: $(VENV)/.test  ## measure speed
	$(BIN)/python -m pytest tests/bench -s

lint: $(VENV)/.test  ## check style and formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.test  ## check types
	$(BIN)/mypy

format: $(VENV)/.test  ## fix style and formatting
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(VENV)/.test  ## write what the documents show of the program's output anew
	$(BIN)/python -m tests.docs.write $(DOCS_ARGS)
	$(BIN)/python -m tests.unit.published

pins: $(VENV)/.test  ## write the installed versions to .ci/constraints.txt
	{ head -n 2 $(PINS); $(BIN)/python -m pip freeze --exclude-editable | sed -E 's/^torch==([^+]*).*/torch==\1/'; } > $(PINS).new
	mv $(PINS).new $(PINS)

clean:  ## remove everything that make and the tools made
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Stamps: a folder is made and filled once, and again when a requirement changes.
$(VENV)/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "stcsim needs Python 3.11 or newer; try make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.base: pyproject.toml $(PINS) | $(VENV)/.made
	$(PIP) -e .
	@touch $@

$(VENV)/.test: pyproject.toml $(PINS) | $(VENV)/.made
	$(PIP) -e '.[test]' $(TORCH)
	@touch $@ $(VENV)/.base

.PHONY: help run test bench lint types format docs pins clean
