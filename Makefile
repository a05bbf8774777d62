# Two commands are all: `make repro` runs the pipeline, `make test` runs the tests.
# Either sets up .venv from the pinned lock first. `make help` lists the others.
PYTHON ?= python3.11
export PATH := $(CURDIR)/.venv/bin:$(PATH)
export DVC_NO_ANALYTICS := 1
# The tests start many processes, which would all compile the same modules again.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup repro test test-cluster test-fast lint docs reference quality bench lock clean

help: ## List the commands.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

setup: .venv/.installed ## Create .venv from requirements.lock.

.venv/.installed: requirements.lock pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) not found: install Python 3.11, or name yours: make PYTHON=python3 ..."; exit 1; }
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
	touch $@

repro: setup ## Run what has changed of the pipeline, for every fleet of params.yaml.
	dvc repro
	@amad summary

# A process that dies is a failure and ends the tests: xdist waits for ever where it replaces one.
SHARED = --dist loadfile --max-worker-restart 0

test: setup lint ## Run the linters and the tests of one machine, with real Ray, MLflow and DVC.
	python -m pytest $(SHARED) -n 3 -m "not cluster"  # one more than cores: engines wait, too

test-cluster: setup ## Run the tests of a cluster: Ray nodes, their scripts, an object store, PostgreSQL, servers.
	python -m pytest $(SHARED) -n 2 -m cluster

test-fast: setup ## Run the unit tests: no Ray, MLflow or DVC, no real data, nothing slow.
	python -m pytest $(SHARED) -n 2 -m "not (engine or cluster or real_data or gpu or slow)"

lint: setup ## Check style, imports, spelling and types.
	ruff check .
	ruff format --check .
	lint-imports
	codespell
	mypy

docs: setup ## Build the documentation into site/.
	NO_MKDOCS_2_WARNING=1 mkdocs build --strict

reference: setup ## Write the pages of docs/reference that follow from the code.
	python -m tools.reference

# Any fleet through every method under one rule, for example:
#   make quality FLEETS="smd asd my/fleet.yaml" SEEDS=1 METHODS="linear amad"
FLEETS ?= demo
SEEDS ?= 3
quality: setup ## Compare all methods on FLEETS, under one rule.
	python -m bench.quality --fleet $(FLEETS) --seeds $(SEEDS) $(if $(METHODS),--methods $(METHODS)) \
		--out runs/quality/quality.json

bench: setup ## Measure the performance and write docs/performance, in about half an hour.
	for name in limits model metrics data_plane growth profile scale; do \
	   echo "bench.$$name"; python -m bench.$$name --out bench/results/$$name.json || exit 1; done
	python -m bench.performance
	python -m bench.tables

lock: ## Resolve pyproject.toml anew in an empty environment and pin what came out.
	rm -rf .venv-lock && $(PYTHON) -m venv .venv-lock
	.venv-lock/bin/python -m pip install --quiet -e '.[dev]'
	@{ echo "# Every package at the version that was tested together; made by 'make lock' from pyproject.toml."; \
	   .venv-lock/bin/python -m pip freeze --exclude-editable | sed 's/+cpu$$//' | sort -f; } > requirements.lock
	rm -rf .venv-lock

# Raw data of yours, .venv and what git keeps stay. The registry and the published scores cannot be
# made again, so it asks before it deletes them; `make clean SURE=yes` does not ask.
clean: ## Delete what the pipeline made; ask before deleting models and scores.
	@if [ "$(SURE)" != yes ] && { [ -e mlflow.db ] || [ -e runs ]; }; then \
	   printf 'This deletes the models (mlflow.db, mlartifacts) and all scores (runs). Type yes: '; \
	   read -r answer; [ "$$answer" = yes ] || { echo "nothing was deleted"; exit 1; }; fi
	rm -rf runs mlartifacts mlflow.db mlflow.db.lock .dvc/cache .dvc/tmp site
	[ ! -d data ] || find data -mindepth 2 -maxdepth 2 ! -name metrics.json -exec rm -rf {} +
