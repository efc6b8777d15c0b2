# `make run` and `make test` are all a newcomer needs; the rest is for who changes Parley.
PYTHON ?= python3
VENV := .venv/bin
JAVASCRIPT := tests/clients/javascript
# Tools that only read the code need settings, but no running services.
NO_SERVICES := DATABASE_URL=postgresql:///unused REDIS_URL=redis://unused

.PHONY: run test clients test-clients test-schema check format bench lock help

run: ## Run Parley on this machine (PORT=8000), until Ctrl-C
	@$(PYTHON) requirements/install.py base
	@exec $(VENV)/python manage.py up

test: ## Run every test against real, embedded PostgreSQL and Redis
	@$(PYTHON) requirements/install.py dev
	@exec $(VENV)/python -m pytest -n auto --maxprocesses 4 --dist worksteal

test-clients: $(JAVASCRIPT)/node_modules ## Run the basics of the clients that people use against Parley
	@$(PYTHON) requirements/install.py dev
	@exec $(VENV)/python -m pytest -n auto --maxprocesses 4 tests/clients/basics.py tests/clients/figures.py tests/clients/examples.py

clients: $(JAVASCRIPT)/node_modules ## Install those clients, in environments of their own

test-schema: ## Ask every address what the OpenAPI document says, with Schemathesis (EXAMPLES=8 of each)
	@$(PYTHON) requirements/install.py dev
	@$(PYTHON) requirements/install.py clients
	@exec $(VENV)/python -m pytest -n 2 tests/schema/conformance.py

$(JAVASCRIPT)/node_modules: $(JAVASCRIPT)/package-lock.json requirements/clients.txt
	@$(PYTHON) requirements/install.py clients
	@cd $(JAVASCRIPT) && PATH="$(CURDIR)/.venv-clients/bin:$$PATH" npm ci --silent --no-fund --no-audit
	@touch $@

check: ## Lint, types, layers, migrations, production settings
	@$(PYTHON) requirements/install.py dev
	$(VENV)/ruff check .
	$(VENV)/ruff format --check .
	$(NO_SERVICES) $(VENV)/mypy .
	$(VENV)/lint-imports
	$(VENV)/python manage.py makemigrations --check --dry-run
	$(VENV)/python manage.py check --fail-level WARNING
	PARLEY_ENV=production PARLEY_SECRET_KEY=$$($(VENV)/python -c 'import secrets; print(secrets.token_hex(40))') \
	PARLEY_SECRET_KEYS=$$($(VENV)/python -c 'from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())') \
	PARLEY_HOSTS=parley.example $(VENV)/python manage.py check --deploy --fail-level WARNING

format: ## Let ruff put the code in order
	$(VENV)/ruff check --fix .
	$(VENV)/ruff format .

bench: ## Measure Parley beside the bare upstream, on this machine
	@$(PYTHON) requirements/install.py dev
	@exec $(VENV)/python bench/run.py

lock: ## Pin requirements/*.in anew
	@$(PYTHON) requirements/install.py dev
	$(VENV)/uv pip compile -q --upgrade --no-emit-index-url --universal --python-version 3.11 --no-header requirements/base.in -o requirements/base.txt
	$(VENV)/uv pip compile -q --upgrade --no-emit-index-url --universal --python-version 3.11 --no-header requirements/dev.in -o requirements/dev.txt -c requirements/base.txt
	$(VENV)/uv pip compile -q --upgrade --no-emit-index-url --universal --python-version 3.11 --no-header requirements/clients.in -o requirements/clients.txt

help:
	@grep -E '^[a-z-]+:.*##' Makefile | sed 's/:.*##/\t/'
