# The two commands are `make run` and `make test`; `make` alone lists the others.

PYTHON ?= python3
PY := .venv/bin/python
UV := $(or $(shell command -v uv 2>/dev/null),.venv/bin/uv)
SERVICES := $(PY) -m deploy.services run
LOCK := $(UV) pip compile --quiet --universal --generate-hashes --no-emit-index-url --python-version 3.11

# What a public server would be given; nothing is connected to, and the keys are made up.
PRODUCTION := STUDIO_URL=https://studio.example DATABASE_URL=sqlite:///:memory: REDIS_URL=redis://127.0.0.1:1/0 \
  SECRET_KEY=bWFrZSBjaGVjayBvbmx5OiBub3QgYSBzZWNyZXQgISE= \
  VAULT_KEY=bWFrZSBjaGVjayBvbmx5OiBub3QgYSBzZWNyZXQgISE= \
  KEY_PEPPER=bWFrZSBjaGVjayBvbmx5OiBub3QgYSBzZWNyZXQgISE=

.DEFAULT_GOAL := help
.PHONY: help run up test chaos check format bench lock clean

help: ## list these
	@awk -F':.*## ' '/^[a-z%-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: .venv/base ## Studio and a local agent on this computer, embedded; PORT=8080
	@exec $(PY) manage.py run

up: .venv/base .venv/services ## the same on PostgreSQL, Redis and Celery; PORT=8080
	@exec $(PY) manage.py up

test: .venv/dev ## all tests on PostgreSQL and Redis, a part on SQLite too; ARGS="-k telegram"
	@$(SERVICES) --fast -- $(PY) -m pytest $(ARGS)
	@set -e; folder=$$(mktemp -d); trap 'rm -rf "$$folder"' EXIT; status=0; \
	  DATABASE_URL="sqlite:///$$folder/studio.db" REDIS_URL= \
	  $(PY) -m pytest -m 'sqlite and not chaos and not bench' $(ARGS) || status=$$?; \
	  if [ $$status = 5 ] && [ -n '$(ARGS)' ]; then exit 0; fi; exit $$status

chaos: .venv/dev ## kill loops: nothing lost, nothing twice, nothing out of order
	@exec $(SERVICES) -- $(PY) -m pytest -m chaos $(ARGS)

check: .venv/dev ## style, import contracts, types, Django's own checks
	$(PY) -m ruff check
	$(PY) -m ruff format --check
	.venv/bin/lint-imports --no-logo
	$(PY) -m mypy
	$(PRODUCTION) $(PY) manage.py check --deploy --fail-level WARNING
	$(PRODUCTION) $(PY) manage.py makemigrations --check --dry-run
	$(PRODUCTION) $(PY) manage.py docs --check

format: .venv/dev ## what the formatter and the linter can mend by themselves
	@$(PY) -m ruff check --fix
	@$(PY) -m ruff format

bench: .venv/dev ## all benchmarks, as ratios; written to var/bench.json
	@exec $(SERVICES) -- $(PY) -m tests.benchmarks

bench-%: .venv/dev ## one of them
	@exec $(SERVICES) -- $(PY) -m tests.benchmarks $*

lock: .venv/base ## write requirements/*.txt from *.in, with hashes; ARGS=--upgrade for newer versions
	@for name in base services dev uv; do \
	  $(LOCK) $(ARGS) requirements/$$name.in -o requirements/$$name.txt >/dev/null || exit 1; done

clean: ## remove the environment and the caches; var/, with its data, stays
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/base: requirements/base.txt requirements/uv.txt local_agent/pyproject.toml
.venv/services .venv/dev: .venv/base
.venv/services: requirements/services.txt
.venv/dev: requirements/dev.txt

.venv/base .venv/services .venv/dev: deploy/environment.py
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) is not here. Install Python 3.11 or newer."; exit 1; }
	@$(PYTHON) deploy/environment.py $(@F)
	@touch $@
