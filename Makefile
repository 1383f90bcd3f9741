# `make demo` and `make test` set up what they need: a virtual environment with the locked packages.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin
LOCK := $(RUN)/uv pip compile --quiet pyproject.toml --universal --generate-hashes --no-header

.PHONY: help setup demo broker registry run-producer run-consumer test test-unit test-integration fuzz faults schemas lint format types lock clean

help: ## list the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 26

$(VENV)/.ready: requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "error: Python 3.11 or newer is needed, this is %s. Name one: make PYTHON=python3.12 ..." % sys.version.split()[0])'
	$(PYTHON) -m venv $(VENV)
	$(RUN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(RUN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps --editable .
	@touch $@

setup: $(VENV)/.ready ## the virtual environment, from the lock file

demo: setup ## the pair at work on an embedded broker; Ctrl+C drains it (DEMO_SECONDS=20 ends by itself)
	@$(RUN)/tandem demo

broker: setup ## a local Kafka broker on port 9092, in the foreground
	@$(RUN)/tandem broker

registry: setup ## a local schema registry on port 8081, in the foreground
	@$(RUN)/tandem registry

run-producer: setup ## the producer, with settings from the environment and .env
	@$(RUN)/python -m services.producer

run-consumer: setup ## the consumer, likewise
	@$(RUN)/python -m services.consumer

test: setup ## all tests; those on a real broker start one
	$(RUN)/pytest

test-unit: setup ## tests without I/O
	$(RUN)/pytest tests/unit

test-integration: setup ## tests on a real broker
	$(RUN)/pytest tests/integration

fuzz: setup ## 100,000 inputs for whatever reads bytes of others, and the models at length (FUZZ_INPUTS=1000000 FUZZ_SEED=...)
	FUZZ_INPUTS=$(or $(FUZZ_INPUTS),100000) $(RUN)/pytest --timeout 0 --hypothesis-profile fuzz tests/unit/test_*_fuzz.py tests/unit/test_*_model.py

faults: setup ## every fault at full length, about half an hour; writes docs/faults.md (ONLY=name, SEED=1)
	@$(if $(ONLY),,rm -f docs/faults.json)
	TANDEM_FAULTS=docs TANDEM_FAULTS_SEED=$(or $(SEED),1) $(RUN)/pytest tests/faults -m "" $(if $(ONLY),-k "$(ONLY)")

schemas: setup ## write the schemas of all events anew, unless that breaks what is out there
	$(RUN)/python -m tandem.formats

lint: setup ## ruff: rules and format
	$(RUN)/ruff check
	$(RUN)/ruff format --check

format: setup ## ruff: rewrite
	$(RUN)/ruff check --fix
	$(RUN)/ruff format

types: setup ## mypy, strict
	$(RUN)/mypy

lock: setup ## write both lock files anew (UPGRADE=--upgrade for the newest versions)
	$(LOCK) --all-extras $(UPGRADE) -o requirements.lock
	$(LOCK) --constraint requirements.lock --no-annotate -o requirements-runtime.lock

clean: ## remove what was built and what the embedded broker keeps
	rm -rf $(VENV) .tandem .hypothesis .mypy_cache .pytest_cache .ruff_cache build dist
