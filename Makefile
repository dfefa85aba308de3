# Each target sets up what it needs. `make help` lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help

PACKAGES := libs/common services/ingest services/resizer services/publisher services/migrator deploy/standalone
COMPOSE := docker-compose.yml deploy/compose-s3.yml tests/containers/compose-ceph.yml tests/containers/compose-prometheus.yml
RUN := .venv/run
TEST := .venv/test
export PYTHON ?= python3
# What hundreds of processes load is compiled once.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help run demo unit check servers test e2e explore containers bench fuzz soak lint format lock clean

help: ## list the targets
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

run: $(RUN)/.ready ## run ingest, resizer and publisher in one process, on SERVICE_PORT (8080), with data in ./data
	@exec $(RUN)/bin/python -m standalone

demo: $(RUN)/.ready ## run the same in ./data/demo, with a dozen photos going through it, and print the page to watch them on
	@exec $(RUN)/bin/python -m deploy.demo

unit: $(TEST)/.ready ## run the unit tests: no server, no network, some seconds; ARGS='-k name' selects
	@$(TEST)/bin/python -m pytest tests/unit $(ARGS)

check: lint unit ## lint and unit

servers: $(TEST)/.ready ## install the servers and tools of the tests (Debian, as root), where Docker and the environment have none
	@$(TEST)/bin/python -m tests.support.install

test: servers ## run the tests of parts, protocol and clients, after `servers`; ARGS='-k name' selects
	@$(TEST)/bin/python -m pytest -n 4 --dist loadgroup $(addprefix tests/,unit contract integration simulation client) $(ARGS)

e2e: servers ## run the tests of whole deployments, outages and kills, after `servers`; ARGS='-k name' selects
	@$(TEST)/bin/python -m pytest -n 4 --dist loadgroup tests/e2e $(ARGS)

explore: servers ## go further in the tests that search, after `servers`; EXPLORE_SEED=N repeats a run
	@EXPLORE_SEED=$${EXPLORE_SEED:-$$RANDOM} bash -c 'echo "EXPLORE_SEED=$$EXPLORE_SEED"; \
	  exec $(TEST)/bin/python -m pytest -n 2 --dist loadgroup -m explores -o timeout=3000 --hypothesis-seed="$$EXPLORE_SEED" $(ARGS)'

containers: servers ## build the images and test them with Docker, after `servers`; leaves no container
	@$(TEST)/bin/python -m pytest -v -s tests/containers $(ARGS)

bench: servers ## measure renderer and pipeline beside their peers, after `servers`; ARGS='jpeg formats' selects
	@VIPS_CONCURRENCY=1 $(TEST)/bin/python -m tests.benchmarks $(ARGS)

fuzz: $(TEST)/.ready ## render thousands of damaged files, in the sandbox and, to compare, without it; FUZZ_SEED=N repeats a run
	@FUZZ_SEED=$${FUZZ_SEED:-$$RANDOM} FUZZ_FLIPS=$${FUZZ_FLIPS:-300} bash -c 'echo "FUZZ_SEED=$$FUZZ_SEED"; \
	  exec $(TEST)/bin/python -m pytest -q -s -o timeout=3000 tests/integration/test_hostile.py tests/integration/test_walls_pictures.py'

soak: servers ## have servers, services and disks fail in turn under load, as root; SOAK_MINUTES, SOAK_SEED, SOAK_STORE=s3|local
	@$(TEST)/bin/python -m tests.soak

lint: $(TEST)/.ready ## check format, types and imports
	@$(TEST)/bin/ruff check .
	@$(TEST)/bin/ruff format --check .
	@$(TEST)/bin/mypy libs services deploy tests
	@$(TEST)/bin/lint-imports
	@$(TEST)/bin/check-jsonschema --quiet --builtin-schema vendor.compose-spec $(COMPOSE)
	@$(TEST)/bin/check-jsonschema --quiet --builtin-schema vendor.github-workflows .github/workflows/*.yml
	@$(TEST)/bin/check-jsonschema --quiet --builtin-schema vendor.renovate .github/renovate.json
	@$(TEST)/bin/zizmor --quiet --offline --no-progress .github/workflows

format: $(TEST)/.ready ## format the code
	@$(TEST)/bin/ruff check --fix-only .
	@$(TEST)/bin/ruff format .

lock: $(TEST)/.ready ## write the lock files; UPGRADE=1 takes the newest versions
	@deploy/lock

clean: ## remove the environments and caches; data stays
	@rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(RUN)/.ready: deploy/standalone/requirements.lock deploy/venv $(addsuffix /pyproject.toml,$(PACKAGES))
	@echo "setting up $(RUN) (once)"
	@deploy/venv $(RUN) $< $(PACKAGES)

$(TEST)/.ready: tests/requirements.lock deploy/venv $(addsuffix /pyproject.toml,$(PACKAGES))
	@echo "setting up $(TEST) (once)"
	@deploy/venv $(TEST) $< $(PACKAGES)
