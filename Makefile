# Two commands are all: `make repro` runs the pipeline, `make test` passes the tests.
# Either sets up .venv from the pinned lock first.
PYTHON ?= python3.11
export PATH := $(CURDIR)/.venv/bin:$(PATH)
export DVC_NO_ANALYTICS := 1

.PHONY: setup repro test lint docs quality lock clean

setup: .venv/.installed

.venv/.installed: requirements.lock pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) not found: install Python 3.11, or name yours: make PYTHON=python3 ..."; exit 1; }
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
	touch $@

repro: setup
	dvc repro
	@amad summary

test: setup lint
	python -m pytest

lint: setup
	ruff check .
	ruff format --check .
	lint-imports

docs: setup
	NO_MKDOCS_2_WARNING=1 mkdocs build --strict

# Any fleet through every method under one rule, for example:
#   make quality FLEETS="smd asd my/fleet.yaml" SEEDS=1 METHODS="linear amad"
FLEETS ?= demo
SEEDS ?= 3
quality: setup
	python -m bench.quality --fleet $(FLEETS) --seeds $(SEEDS) $(if $(METHODS),--methods $(METHODS)) \
		--out runs/quality/quality.json

# Resolve pyproject.toml anew in an empty environment and pin what came out.
lock:
	rm -rf .venv-lock && $(PYTHON) -m venv .venv-lock
	.venv-lock/bin/python -m pip install --quiet -e '.[dev]'
	@{ echo "# Every package at the version that was tested together; made by 'make lock' from pyproject.toml."; \
	   .venv-lock/bin/python -m pip freeze --exclude-editable | sed 's/+cpu$$//' | sort -f; } > requirements.lock
	rm -rf .venv-lock

# What the pipeline made; raw data of yours, .venv and what git keeps stay. The registry and the
# published scores cannot be made again, so it asks first; `make clean SURE=yes` does not.
clean:
	@if [ "$(SURE)" != yes ] && { [ -e mlflow.db ] || [ -e runs ]; }; then \
	   printf 'This deletes the models (mlflow.db, mlartifacts) and all scores (runs). Type yes: '; \
	   read -r answer; [ "$$answer" = yes ] || { echo "nothing was deleted"; exit 1; }; fi
	rm -rf runs mlartifacts mlflow.db mlflow.db.lock .dvc/cache .dvc/tmp
	[ ! -d data ] || find data -mindepth 2 -maxdepth 2 ! -name metrics.json -exec rm -rf {} +
