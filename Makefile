# Everything runs from here. `make` alone lists the targets.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.ONESHELL:
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
WORKERS ?= 3
BIN := .venv/bin
CACHE := $${AEGISPAY_CACHE:-$${XDG_CACHE_HOME:-$$HOME/.cache}/aegispay}
INSTALLED := .venv/installed
SEED ?= 1
REDOCLY := @redocly/cli@2.77.0

.PHONY: help
help: ## This list
	@grep -hE '^[a-z-]+:.*## ' Makefile | awk -F ':.*## ' '{ printf "  make %-12s %s\n", $$1, $$2 }'

# The wheels of the lock file are fetched once, checked against their hashes, and kept in the cache: after that
# an installation needs no network, in another clone either.
$(INSTALLED): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || {
		echo "AegisPay needs Python 3.11 or later; '$(PYTHON)' is $$($(PYTHON) --version 2>&1 || true). Try: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	[ -x $(BIN)/python ] || $(PYTHON) -m venv .venv || {
		echo "Python's venv module does not work here; on Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	wheels="$(CACHE)/wheels/$$($(BIN)/python -c 'import hashlib, pathlib, sys; print(sys.implementation.cache_tag, hashlib.sha256(pathlib.Path("requirements.lock").read_bytes()).hexdigest()[:16], sep="-")')"
	if [ ! -e "$$wheels/complete" ]; then
		{ mkdir -p "$$wheels" && [ -w "$$wheels" ]; } 2>/dev/null || {
			echo "The cache $$wheels cannot be written to. Choose another folder: AEGISPAY_CACHE=… make $(MAKECMDGOALS)" >&2; exit 1; }
		echo "Fetching the packages of requirements.lock (once; about 160 MB) ..."
		$(BIN)/pip --disable-pip-version-check wheel --quiet --require-hashes --no-deps -r requirements.lock -w "$$wheels" || {
			echo "The packages could not be fetched. The first run needs a network and pip's access to a package index; what was fetched so far is kept." >&2; exit 1; }
		touch "$$wheels/complete"
	fi
	echo "Installing into .venv ..."
	sed -E -e '/^ *(--hash|#)/d' -e 's/ *\\$$//' requirements.lock > .venv/locked.txt
	$(BIN)/pip --disable-pip-version-check install --quiet --no-index --no-deps --find-links "$$wheels" -r .venv/locked.txt
	$(BIN)/pip --disable-pip-version-check install --quiet --no-index --no-deps --no-build-isolation -e .
	touch $@

.PHONY: install
install: $(INSTALLED) ## The virtual environment, from the lock file

.PHONY: demo
demo: $(INSTALLED) ## Start everything, run payments end to end, print the verdict, stop
	@exec $(BIN)/aegispay demo

.PHONY: up
up: $(INSTALLED) ## Start everything and stay up; Ctrl-C stops it
	@exec $(BIN)/aegispay up

.PHONY: test
test: $(INSTALLED) ## Every test, with a third of the examples of property tests, by WORKERS=3 with a Kafka and a PostgreSQL each
	@unset PYTHONDONTWRITEBYTECODE  # else each of the hundreds of processes compiles every module anew
	$(BIN)/pytest -q -n $(WORKERS) --dist loadfile --no-loadscope-reorder

.PHONY: test-unit
test-unit: $(INSTALLED) ## The tests that need no Kafka, no PostgreSQL and no other program, with a tenth of the examples: a minute
	@$(BIN)/pytest --unit -q -n $(WORKERS) --dist worksteal -r fE

.PHONY: soak
soak: $(INSTALLED) ## The faults that take long, one by one, clients in Go, and every example of the property tests: 40 minutes
	@$(BIN)/pytest -q -m soak
	$(BIN)/pytest --unit --examples all -q -n $(WORKERS) --dist worksteal -r fE

.PHONY: chaos
chaos: $(INSTALLED) ## 5,000 payments under faults made up from a seed: make chaos SEED=7
	@$(BIN)/aegispay chaos --random $(SEED) --payments 5000

.PHONY: check
check: $(INSTALLED) ## Lint, types, dead code, import contracts, mirrored tests, docstrings, prose, generated documents; counts by folder
	@$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/vulture
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python tests/mirror.py
	$(BIN)/python tests/house.py
	$(BIN)/python -m infra.tools.docs --check
	if command -v npx >/dev/null; then
		REDOCLY_TELEMETRY=off npx --yes --loglevel=error $(REDOCLY) lint --config docs/redocly.yaml --format=stylish docs/openapi.json
	else
		echo "There is no Node.js here: docs/openapi.json was not linted."
	fi

.PHONY: fix
fix: $(INSTALLED) ## Mend what ruff can, and format
	@$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.PHONY: bench
bench: $(INSTALLED) ## The figures of docs/performance.md: 300 payments/s for 60 s, and 100/s for 30 s
	@$(BIN)/aegispay bench --rate 300 --seconds 60
	$(BIN)/aegispay bench --rate 100 --seconds 30

.PHONY: client
client: $(INSTALLED) ## The producers' client as a wheel, in dist/
	@$(BIN)/python -m build --wheel --no-isolation --outdir dist commands

.PHONY: docs
docs: $(INSTALLED) ## Write the generated documents anew: AsyncAPI, OpenAPI, the states, the PSPs, the architecture
	@$(BIN)/python -m infra.tools.docs

.PHONY: lock
lock: ## Resolve both lock files anew (needs uv)
	@options="--quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --no-annotate"
	uv pip compile $$options --all-extras pyproject.toml -o requirements.lock
	sed -E -e '/^ *--hash/d' -e 's/ *\\$$//' requirements.lock > .locked.txt
	uv pip compile $$options --extra build --constraint .locked.txt pyproject.toml -o infra/image.lock
	rm .locked.txt

.PHONY: clean
clean: ## Remove the environment, builds and caches of this checkout (not the data of `make up`)
	@rm -rf .venv dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -prune -exec rm -rf {} +
