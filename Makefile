# Every target works from a fresh clone with Python 3.11 or newer and make, and nothing else.

# The first Python here that is new enough and can make a virtual environment.
PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$python -c 'import ensurepip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& echo $$python && break; done)
UV ?= uv
# How many processes the tests run in, at most.
WORKERS ?= 4
BIN := .venv/bin
INSTALLED := .venv/.installed
# The router's peers: some need other versions of what this package needs, too.
PEERS := .venv-bench/.installed
# Clients of the server that nobody here wrote: they need an older openai.
CLIENTS := .venv-clients/.installed
# What exports of bills are checked with; the official validator needs Python 3.12 or newer.
FOCUS := .venv-focus/.installed
FOCUS_PYTHON ?= $(shell for python in python3 python3.13 python3.12; do \
	$$python -c 'import ensurepip, sys; sys.exit(not (3, 12) <= sys.version_info < (3, 14))' \
	2>/dev/null && echo $$python && break; done)
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.DEFAULT_GOAL := help
.PHONY: help demo test check test-browser test-clients screenshots bench quality validate-focus studio notebooks \
	deployment lock clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-14s %s\n", $$1, $$2}' Makefile

demo: $(INSTALLED) ## Ask the example documents a question, then show what it cost
	$(BIN)/aegis ask "How do I stop spending when the budget is used up?" --docs examples/documents --config examples/demo.toml
	$(BIN)/aegis costs --config examples/demo.toml

# Where it is set, each of the many processes would compile every module again.
test check: export PYTHONDONTWRITEBYTECODE =

test: $(INSTALLED) ## Check format, lint and types, and run the tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -n auto --maxprocesses $(WORKERS) --dist loadfile

check: $(INSTALLED) ## The same without tests that start a server or a process (about a minute)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -n auto --maxprocesses $(WORKERS) -m "not slow" tests/unit tests/flow

test-browser: $(INSTALLED) ## Test the dashboard in Debian's Chromium, which apt installs where it is missing
	@command -v chromium > /dev/null || apt-get install --yes --no-install-recommends chromium \
		|| sudo apt-get install --yes --no-install-recommends chromium
	$(BIN)/python -m pytest -n 0 tests/browser

screenshots: $(INSTALLED) ## Draw the pages of the documentation again, over a ledger that is made up
	$(BIN)/python -m tests.browser.screenshots docs/images

test-clients: $(INSTALLED) $(CLIENTS) ## Try the server with the clients of other packages, also Node's where it is there
	$(BIN)/python -m pytest -n 0 tests/server/test_foreign_clients.py

bench: $(INSTALLED) $(PEERS) ## Measure router and ledger beside what a user would pick instead (on an idle machine)
	$(BIN)/python benchmarks/routing.py
	$(BIN)/python benchmarks/ledger.py
	$(BIN)/python benchmarks/server.py

# A run that was stopped goes on where it was: the file has every answer.
quality: $(INSTALLED) ## Measure the components beside the plainest prompt on the model at AEGIS_QUALITY_URL
	@if [ -z "$$AEGIS_QUALITY_URL" ]; then \
		echo "make quality AEGIS_QUALITY_URL=http://127.0.0.1:8080/v1 (an OpenAI-compatible address;" \
		"AEGIS_QUALITY_MODEL and AEGIS_QUALITY_EMBEDDINGS_URL are optional)"; \
	else $(BIN)/python benchmarks/quality.py all --baseline --results data/quality.jsonl; fi

validate-focus: $(INSTALLED) $(FOCUS) ## Check the FOCUS exports with the tools of others
	$(BIN)/python benchmarks/validate_focus.py

deployment: $(INSTALLED) ## Check Dockerfile, compose.yaml and the unit, and install what the image holds
	@$(BIN)/python -m venv .venv-deploy
	@.venv-deploy/bin/python -m pip install --quiet --disable-pip-version-check \
		--no-deps --require-hashes -r deploy/checks.txt
	deploy/check.sh

# Traces hold prompts: they are sent to LangSmith only where LANGSMITH_TRACING=true asks for it.
studio: $(INSTALLED) ## Serve every graph on this machine and open LangGraph Studio
	LANGGRAPH_CLI_NO_ANALYTICS=1 LANGGRAPH_NO_VERSION_CHECK=true \
	LANGSMITH_TRACING=$${LANGSMITH_TRACING:-false} $(BIN)/langgraph dev

notebooks: $(INSTALLED) ## Run the notebooks and store them with their outputs
	$(BIN)/python -m notebooks.execute

# Versions in requirements.txt are kept where they fit; remove the file first to get the newest.
lock: ## Pin the dependencies of pyproject.toml again (needs uv)
	UV_CUSTOM_COMPILE_COMMAND="make lock" $(UV) pip compile --quiet --universal \
		--python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links \
		--extra dev pyproject.toml --output-file requirements.txt
	UV_CUSTOM_COMPILE_COMMAND="make lock" $(UV) pip compile --quiet --universal \
		--python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links \
		--extra otel --extra postgres --extra server --constraint requirements.txt \
		pyproject.toml deploy/requirements.in --output-file deploy/requirements.txt
	UV_CUSTOM_COMPILE_COMMAND="make lock" $(UV) pip compile --quiet --universal \
		--python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links \
		deploy/checks.in --output-file deploy/checks.txt
	UV_CUSTOM_COMPILE_COMMAND="make lock" $(UV) pip compile --quiet --universal \
		--python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links \
		benchmarks/requirements.in --output-file benchmarks/requirements.txt
	UV_CUSTOM_COMPILE_COMMAND="make lock" $(UV) pip compile --quiet --universal \
		--python-version 3.12 --generate-hashes --no-emit-index-url --no-emit-find-links \
		benchmarks/focus_requirements.in --output-file benchmarks/focus_requirements.txt
	UV_CUSTOM_COMPILE_COMMAND="make lock" $(UV) pip compile --quiet --universal \
		--python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links \
		tests/clients/requirements.in --output-file tests/clients/requirements.txt

clean: ## Remove the environment and every cache, but not the ledger in data/
	rm -rf .venv .venv-bench .venv-focus .venv-clients .venv-deploy .mypy_cache .ruff_cache .pytest_cache .hypothesis \
		.langgraph_api build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# PEP 517 because one dependency has no wheel, and older pips would build it the old way and complain.
# Without isolation, because what builds this package is locked too.
# Compiled, as pip does with what it copies: where Python may write no bytecode, each start would do it.
# Without dependencies, because the file names them all, and pip would look for newer ones of those
# that are asked for with an extra.
$(INSTALLED): requirements.txt pyproject.toml
	@if [ -z "$(PYTHON)" ]; then \
		echo "This needs Python 3.11 or newer with its venv module (Debian: python3-venv)." >&2; \
		echo "If it has another name: make PYTHON=python3.12" >&2; exit 1; fi
	@echo "Installing into .venv with $(PYTHON) (first time only, about a minute) ..."
	@$(PYTHON) -m venv .venv
	@$(PIP) --no-deps --require-hashes --use-pep517 -r requirements.txt
	@$(PIP) --no-deps --no-build-isolation --editable .
	@$(BIN)/python -m compileall -q aegis_graph
	@touch $@

$(CLIENTS): tests/clients/requirements.txt tests/clients/node/package.json $(INSTALLED)
	@echo "Installing the server's clients into .venv-clients (first time only) ..."
	@$(BIN)/python -m venv .venv-clients
	@.venv-clients/bin/python -m pip install --quiet --disable-pip-version-check \
		--no-deps --require-hashes -r $<
	@mkdir -p .venv-clients/node && cp tests/clients/node/* .venv-clients/node/
	@if command -v npm >/dev/null; then \
		npm install --silent --no-audit --no-fund --no-package-lock --ignore-scripts --prefix .venv-clients/node; \
	else echo "Without npm its client for Node is left out."; fi
	@touch $@

$(PEERS): benchmarks/requirements.txt $(INSTALLED)
	@echo "Installing the router's peers into .venv-bench (first time only) ..."
	@$(BIN)/python -m venv .venv-bench
	@.venv-bench/bin/python -m pip install --quiet --disable-pip-version-check \
		--no-deps --require-hashes -r $<
	@touch $@

$(FOCUS): benchmarks/focus_requirements.txt
	@if [ -z "$(FOCUS_PYTHON)" ]; then \
		echo "This needs Python 3.12 or 3.13. If it has another name: make FOCUS_PYTHON=..." >&2; \
		exit 1; fi
	@echo "Installing the validators of FOCUS into .venv-focus (first time only) ..."
	@$(FOCUS_PYTHON) -m venv .venv-focus
	@.venv-focus/bin/python -m pip install --quiet --disable-pip-version-check \
		--no-deps --require-hashes -r $<
	@touch $@
