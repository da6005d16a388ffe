# `make` alone explains itself. Everything below works on a fresh clone: it installs first what is missing.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
BIN := .venv/bin
PYTEST := $(BIN)/pytest

.PHONY: bench big boot help setup setup-run demo test test-fast test-unit test-e2e chaos fuzz lint format types contracts schemas check-schemas docs lock clean

help:  ## Show this
	@echo 'Cloud Builder: from a git commit to `apt install`'
	@echo
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo 'Each of them installs first what it needs and what is missing (Debian packages with root or sudo).'

setup:  ## Install what development needs: Debian packages, .venv; quick when all is there
	@.ci/setup dev

setup-run:  ## Install only what running needs (no Java, no test tools)
	@.ci/setup run

demo: setup-run  ## Build three packages from git, install the top one with apt, change the lowest, see it rebuilt
	@sources-example/demo.sh

test: setup  ## Run all tests: unit and contract, then end to end with real builds and a real Kafka, then under fire
	@PYTHONPATH=test $(BIN)/python -m support.fetch_kafka
	@$(PYTEST) test/unit test/contract
	@$(PYTEST) test/e2e
	@PYTHONPATH=test $(BIN)/python -m chaos --short --jobs 8 --seconds 8

chaos: setup  ## Kill, freeze and cut everything, and check: SEEDS=50 JOBS=20 REAL=1 HA=1 DISPATCH=shared-queue, or SEED=7 to replay
	@PYTHONPATH=test $(BIN)/python -m chaos $(if $(SEED),--seed $(SEED),--seeds $(or $(SEEDS),3)) \
	    $(if $(REAL),--real) $(if $(HA),--ha) $(if $(DISPATCH),--dispatch $(DISPATCH)) \
	    --jobs $(or $(JOBS),$(if $(REAL),6,20)) --seconds $(or $(DURATION),$(if $(REAL),40,20))

big: setup  ## Drive what is big and long: 500 units, 2 GB packages, 200 MB logs, long builds, 20 runners (10 minutes)
	@CB_BIG=1 $(PYTEST) -rP test/e2e/big

boot:  ## Boot a machine with systemd and cgroup v2, follow run-as-services.md there, build (half an hour, QEMU)
	@.ci/setup boot
	@PYTHONPATH=test $(BIN)/python -m boot $(if $(PREPARE_INSIDE),--prepare-inside) $(if $(ONLY),--only '$(ONLY)')

test-fast: setup  ## Run the tests that need no Kafka, no network and no build
	@$(PYTEST) test/unit

fuzz: setup  ## Fuzz every parser that reads what others wrote; SECONDS_EACH=10 (installs atheris)
	@$(BIN)/pip install --quiet 'atheris>=2.3'
	@for parser in $$(ls test/fuzz/corpus); do \
	    echo "== $$parser"; mkdir -p build/fuzz/$$parser; \
	    $(BIN)/python test/fuzz/fuzz_parsers.py $$parser build/fuzz/$$parser test/fuzz/corpus/$$parser \
	        -max_total_time=$(or $(SECONDS_EACH),10) -artifact_prefix=build/fuzz/ -verbosity=0 -print_final_stats=0; \
	done

lint: setup  ## Check style and format (ruff)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

format: setup  ## Put the code into its format, and mend what ruff can mend
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

types: setup  ## Check types (mypy --strict)
	@$(BIN)/mypy

contracts: setup  ## Check the architecture: who may import whom (import-linter)
	@$(BIN)/lint-imports

schemas: setup  ## Generate schemas/ and the reference pages from the model
	@$(BIN)/python -m cloud_builder.wiring.schemas schemas --pages doc/reference

check-schemas: setup  ## Fail when what `make schemas` generates is stale
	@$(BIN)/python -m cloud_builder.wiring.schemas --check schemas --pages doc/reference

bench: setup  ## Measure against baselines (12 minutes); ONLY=dispatch for one part, SCALE=0.1 for a try
	@PYTHONPATH=test $(BIN)/python -m bench $(ONLY) $(if $(SCALE),--scale $(SCALE))

docs: setup  ## Build the documentation into build/docs
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

lock: setup  ## Pin the Python packages that are installed now (.ci/constraints.txt)
	@.ci/lock

clean:  ## Remove build/ and caches; keep .venv
	@rm -rf build 2>/dev/null || unshare --map-auto --map-root-user rm -rf build  # build roots belong to subordinate ids
	@rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find . -path ./.venv -prune -o -name __pycache__ -type d -print0 | xargs -0r rm -rf
