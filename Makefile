# `make` prints the targets. Each target works in a fresh clone: it first installs what is missing.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
BIN := .venv/bin
PYTEST := $(BIN)/pytest
# More processes than cores where tests wait for daemons; see test/conftest.py.
PARALLEL := -n

.PHONY: bench big boot transitions help setup setup-run demo test test-fast test-unit test-e2e chaos reading fuzz lint format types contracts schemas check-schemas docs words lock clean

help:  ## Show this list
	@echo 'Cloud Builder: builds Debian packages from git and publishes them in apt repositories'
	@echo
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo 'Each target first installs what it needs and what is missing (Debian packages with root or sudo).'

setup:  ## Install what development needs: Debian packages, .venv (does nothing when all is installed)
	@.ci/setup dev

setup-run:  ## Install only what the daemons need (no Java, no test tools)
	@.ci/setup run

demo: setup-run  ## Build three packages from git, install one with apt, change a library, see what is rebuilt
	@sources-example/demo.sh

test: setup  ## Run all tests: unit, contract, end to end (real builds, real Kafka), and one short chaos run
	@PYTHONPATH=test $(BIN)/python -m support.fetch_kafka
	@$(PYTEST) $(PARALLEL) auto test/unit
	@$(PYTEST) $(PARALLEL) 4 test/contract test/e2e
	@PYTHONPATH=test $(BIN)/python -m chaos --short --jobs 8 --seconds 8

chaos: setup  ## Inject faults at random and check the results: SEEDS=50 JOBS=20 REAL=1 HA=1 DISPATCH=shared-queue; SEED=7 replays
	@PYTHONPATH=test $(BIN)/python -m chaos $(if $(SEED),--seed $(SEED),--seeds $(or $(SEEDS),3)) \
	    $(if $(REAL),--real) $(if $(HA),--ha) $(if $(DISPATCH),--dispatch $(DISPATCH)) \
	    --jobs $(or $(JOBS),$(if $(REAL),6,20)) --seconds $(or $(DURATION),$(if $(REAL),40,20))

big: setup  ## Test large cases: 500 units, 2 GB packages, 200 MB logs, long builds, 20 runners (10 minutes)
	@CB_BIG=1 $(PYTEST) -rP test/e2e/big

transitions: setup  ## Upgrade a machine by apt from each snapshot of a changing chain of libraries: PUSHES=30
	@CB_PUSHES=$(or $(PUSHES),30) $(PYTEST) -rP test/e2e/collector/test_apt_transitions.py

boot:  ## Boot a machine with systemd and cgroup v2 in QEMU, run the services there, build (half an hour)
	@.ci/setup boot
	@PYTHONPATH=test $(BIN)/python -m boot $(if $(PREPARE_INSIDE),--prepare-inside) $(if $(ONLY),--only '$(ONLY)')

test-fast: setup  ## Run the unit tests: no Kafka, no network, no build
	@$(PYTEST) $(PARALLEL) auto test/unit

reading: setup  ## Compare what is read of all 34,000 sources of Debian with what dpkg reads (minutes); STEP=60: each 60th
	@PYTHONPATH=test $(BIN)/python -m support.dpkg.reading $(STEP)

fuzz: setup  ## Fuzz all parsers of foreign input; SECONDS_EACH=10 (installs atheris)
	@$(BIN)/pip install --quiet 'atheris>=2.3'
	@for parser in $$(ls test/fuzz/corpus); do \
	    echo "== $$parser"; mkdir -p build/fuzz/$$parser; \
	    $(BIN)/python test/fuzz/fuzz_parsers.py $$parser build/fuzz/$$parser test/fuzz/corpus/$$parser \
	        -max_total_time=$(or $(SECONDS_EACH),10) -artifact_prefix=build/fuzz/ -verbosity=0 -print_final_stats=0; \
	done

lint: setup  ## Check style and format (ruff)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

format: setup  ## Format the code, and fix what ruff can fix
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

types: setup  ## Check types (mypy --strict)
	@$(BIN)/mypy

contracts: setup  ## Check which package imports which (import-linter)
	@$(BIN)/lint-imports

schemas: setup  ## Generate schemas/ and reference pages from the code
	@$(BIN)/python -m cloud_builder.wiring.schemas schemas --pages doc/reference

check-schemas: setup  ## Fail if the output of `make schemas` is stale
	@$(BIN)/python -m cloud_builder.wiring.schemas --check schemas --pages doc/reference

bench: setup  ## Run the benchmarks with their baselines (12 minutes); ONLY=dispatch: one part, SCALE=0.1: quick
	@PYTHONPATH=test $(BIN)/python -m bench $(ONLY) $(if $(SCALE),--scale $(SCALE))

words:  ## Report words that are out of use (.ci/words.toml has the list, and what to say instead)
	@.ci/words $(PATHS)

docs: setup  ## Build the documentation into build/docs
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

lock: setup  ## Pin the Python packages that are installed now in .ci/constraints.txt
	@.ci/lock

clean:  ## Remove build/ and caches; keep .venv
	@rm -rf build 2>/dev/null || unshare --map-auto --map-root-user rm -rf build  # files in build roots belong to subordinate ids
	@rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find . -path ./.venv -prune -o -name __pycache__ -type d -print0 | xargs -0r rm -rf
