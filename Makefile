# Two commands are enough on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
TARGET ?= sagemaker
READY := $(VENV)/.ready

FUZZ_SECONDS ?= 60

.PHONY: help setup demo test faults fuzz check lint types layers bench lock clean

help:
	@echo "make demo    deploy a real model to the embedded cloud, get predictions, tear down"
	@echo "             (TARGET=lambda, cloud-functions or cloud-run: there instead of on SageMaker)"
	@echo "make test    lint, types, layers and all tests"
	@echo "make faults  every sweep of injected faults and every demo, also what takes many minutes"
	@echo "make fuzz    fuzz all that reads clients' bytes, and a running server (FUZZ_SECONDS each)"
	@echo "make setup   only create $(VENV) from requirements.lock"
	@echo "make bench   measure against the tools one would otherwise pick"
	@echo "make lock    resolve requirements.lock anew from pyproject.toml"
	@echo "make clean   remove $(VENV) and caches"

setup: $(READY)

# torch comes first and by its pinned version, so that pip takes a local CPU build where there is one;
# the rest is installed without resolving, because the lock is complete.
$(READY): requirements.lock pyproject.toml tools/osls/package-lock.json
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "clouddeploy needs Python 3.11 or newer; this is " + sys.version.split()[0] + ". Name one: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/pip install --quiet --constraint requirements.lock torch==2.13.0
	$(BIN)/pip install --quiet --no-deps --requirement requirements.lock
	$(BIN)/pip install --quiet --no-deps --no-build-isolation --editable .
	@# Node comes from PyPI. Without osls everything works but tests/serverless, which then says so.
	PATH="$(CURDIR)/$(BIN):$$PATH" npm ci --prefix tools/osls --silent --no-audit --no-fund || echo "osls could not be installed: tests/serverless will be skipped"
	@# What functions run in on the embedded Google Cloud; without it the first deploy there makes it.
	$(BIN)/python -m clouddeploy.emulator.google.prepare
	@touch $(READY)

demo: setup
	$(BIN)/python examples/digits/demo.py --target $(TARGET)

check: lint types layers

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup
	$(BIN)/mypy

layers: setup
	$(BIN)/lint-imports

test: check
	$(BIN)/python -m pytest

faults: setup
	CLOUDDEPLOY_ALL_FAULTS=1 $(BIN)/python -m pytest tests/faults tests/unit/aws_lambda_images tests/docs tests/conformance

fuzz: setup
	$(BIN)/python -m tools.fuzz --seconds $(FUZZ_SECONDS)

bench: setup
	$(BIN)/python -m benchmarks

lock: setup
	$(BIN)/python tools/lock.py

clean:
	rm -rf $(VENV) .fuzz .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist
