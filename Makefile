# stcsim: `make` alone lists what there is.
.DEFAULT_GOAL := help
SHELL := /bin/bash

PYTHON ?= python3
# What `make run` simulates.
TRACE ?= traces/resnet34.json
ARCH ?= a100
BATCH ?= 32
# Tests that capture networks or compare numerics need torch; `make test TORCH=` leaves it and them out.
TORCH ?= torch==2.13.0
# A process for each core; a module's tests stay together, since they share what is slow to set up.
PYTEST_ARGS ?= -q -n auto --dist loadscope --no-loadscope-reorder
# `make pins UPGRADE=--upgrade` takes the newest versions.
UPGRADE ?=
# Of `make docs`: pages, --figures, --measured DIR --silicon DIR.
DOCS_ARGS ?=

VENV ?= .venv
BIN := $(VENV)/bin
# All that is installed, with a hash for every file; made by `make pins`.
PINS := .ci/requirements
PINNED := $(PINS)/$(if $(TORCH),torch,test).txt
PIP := $(BIN)/python -m pip --disable-pip-version-check install -q
UV := $(VENV)-pins/bin/python -m uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-annotate \
	--custom-compile-command "make pins" $(UPGRADE)

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

quick: $(VENV)/.test  ## run what says in seconds whether the model is what it was
	$(BIN)/python -m pytest -q -p no:cacheprovider tests/golden tests/test_layers.py tests/unit/isa tests/unit/arch tests/unit/replay/test_sums.py

pins:  ## resolve the requirements again and write them to .ci/requirements, with hashes
	$(PYTHON) -m venv $(VENV)-pins
	$(VENV)-pins/bin/python -m pip --disable-pip-version-check install -q uv==0.13.9
	$(UV) -o $(PINS)/torch.txt pyproject.toml $(PINS)/build.in $(PINS)/torch.in --extra test --extra torch --extra workflow \
		--extra oracle --extra runtime --override $(PINS)/no-torch.in --no-emit-package torch
	$(UV) -o $(PINS)/networks.txt $(PINS)/networks.in --no-deps
	$(UV) -o $(PINS)/test.txt pyproject.toml $(PINS)/build.in --extra test -c $(PINS)/torch.txt
	$(UV) -o $(PINS)/base.txt pyproject.toml $(PINS)/build.in -c $(PINS)/torch.txt

clean:  ## remove everything that make and the tools made
	rm -rf .venv .venv-* build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Stamps: a folder is made and filled once, and again when a requirement changes.
$(VENV)/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "stcsim needs Python 3.11 or newer; try make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.base: pyproject.toml $(PINS)/base.txt | $(VENV)/.made
	$(PIP) --require-hashes --no-deps -r $(PINS)/base.txt
	$(PIP) --no-deps --no-build-isolation -e .
	@touch $@

# torch has no hash: its wheels differ from index to index. All that it needs but the libraries of CUDA is there already.
$(VENV)/.test: pyproject.toml $(PINNED) $(PINS)/networks.txt | $(VENV)/.made
	$(PIP) --require-hashes --no-deps -r $(PINNED)
	$(if $(TORCH),$(PIP) $(TORCH))
	$(if $(TORCH),$(PIP) --require-hashes --no-deps -r $(PINS)/networks.txt)
	$(PIP) --no-deps --no-build-isolation -e .
	@touch $@ $(VENV)/.base

.PHONY: help run test quick bench lint types format docs pins clean
