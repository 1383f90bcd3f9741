# `make demo` and `make test` set up what they need: a virtual environment with the locked packages.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin
LOCK := $(RUN)/uv pip compile --quiet --universal --generate-hashes --no-header

# A release: its version, stated in pyproject.toml alone; its commit's name (`-dirty` when files differ from it) and time.
DIST := dist
VERSION = $(shell sed -n 's/^version = "\(.*\)"$$/\1/p' pyproject.toml)
REVISION = $(shell git describe --always --dirty --abbrev=40 --exclude='*')
COMMITTED = $(shell git log -1 --format=%ct)
CREATED = $(shell git log -1 --format=%cI)
# A package that the service doesn't know counts as not checked (--strict): a mirror without that service knows none.
PIP_AUDIT = $(RUN)/pip-audit --requirement requirements-runtime.lock --require-hashes --disable-pip --strict \
	--progress-spinner off --vulnerability-service $(or $(SERVICE),pypi)
NOT_CHECKED := error: not checked, the vulnerability service did not answer for all packages. Try SERVICE=osv, or a network that reaches it

.PHONY: help setup demo broker registry run-producer run-consumer test test-unit test-integration fuzz faults schemas lint format types lock sbom audit-packages dist image clean

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

# In several processes, each with a broker of its own. What shares more than that stays together: see tests/conftest.py.
TEST := $(RUN)/pytest --numprocesses $(or $(WORKERS),auto) --dist loadscope

test: setup ## all tests; those on a real broker start one (WORKERS=1)
	$(TEST) --ignore tests/docker
	$(RUN)/pytest tests/docker

test-unit: setup ## tests without I/O
	$(TEST) tests/unit

test-integration: setup ## tests on a real broker
	$(TEST) tests/integration

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

lock: setup ## write the lock files anew (UPGRADE=--upgrade for the newest versions)
	$(LOCK) pyproject.toml --all-extras $(UPGRADE) -o requirements.lock
	$(LOCK) pyproject.toml --constraint requirements.lock --no-annotate -o requirements-runtime.lock
	$(LOCK) --group build --constraint requirements.lock --no-annotate -o requirements-build.lock

sbom: setup ## bill of materials of requirements-runtime.lock: CycloneDX, with hashes, in dist/
	@mkdir -p $(DIST)
	SOURCE_DATE_EPOCH=$(COMMITTED) $(RUN)/python -W ignore::UserWarning -m cyclonedx_py requirements requirements-runtime.lock \
		--pyproject pyproject.toml --index-url pkg:pypi --output-reproducible --output-file $(DIST)/tandem-$(VERSION).cdx.json

audit-packages: setup ## known vulnerabilities of the same packages; fails when not all could be checked (SERVICE=osv asks another)
	@mkdir -p build
	@found=$$($(PIP_AUDIT) 2>build/pip-audit.log); status=$$?; tail -n 1 build/pip-audit.log; \
	[ $$status -eq 0 ] || echo "$${found:-$(NOT_CHECKED)}"; exit $$status

dist: setup ## wheel and sdist in dist/, the same bytes whenever the commit is the same
	SOURCE_DATE_EPOCH=$(COMMITTED) $(RUN)/hatchling build --directory $(DIST)

image: ## the container image, labelled with version and commit
	docker build --build-arg VERSION=$(VERSION) --build-arg REVISION=$(REVISION) --build-arg CREATED=$(CREATED) \
		--tag tandem:$(VERSION) --tag tandem:latest .

clean: ## remove what was built and what the embedded broker keeps
	rm -rf $(VENV) .tandem .hypothesis .mypy_cache .pytest_cache .ruff_cache build dist
