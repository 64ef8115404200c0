# Two commands for a newcomer: `make run` and `make test`. Both may be run again and are quick the second time.
# Only Python >= 3.11, make and a package index that pip can reach are needed.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check
INSTALL := $(PIP) install --quiet --constraint constraints.txt

.PHONY: help run demo test check lint types imports unit bench session constraints clean

help: ## show what can be made
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

# A stamp stands for an installed environment: it is made anew when what is installed has changed.
$(VENV)/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "handrail needs Python 3.11 or newer; $(PYTHON) is older: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { echo "no venv module: install it (python3-venv on Debian) and run make again"; exit 1; }
	@touch $@

$(VENV)/.run: $(VENV)/.made pyproject.toml client/pyproject.toml constraints.txt
	@echo "installing handrail into $(VENV) …"
	@$(INSTALL) --editable client --editable .
	@touch $@

$(VENV)/.test: $(VENV)/.run
	@echo "installing what the tests need …"
	@$(INSTALL) --editable client --editable '.[test]'
	@touch $@

$(VENV)/.bench: $(VENV)/.test
	@echo "installing the peers of the benchmarks …"
	@$(INSTALL) --editable client --editable '.[test,bench]'
	@touch $@

run: $(VENV)/.run ## start Handrail on 127.0.0.1:8321 with the shipped rules
	@$(BIN)/handrail serve

demo: $(VENV)/.run ## sample conversations, agents and operators, and a scoreboard
	@$(BIN)/handrail demo

test: check unit ## lint, types, import rules and every test

check: lint types imports ## the quick ones: lint, types, import rules

lint: $(VENV)/.test
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: $(VENV)/.test
	@$(BIN)/mypy

imports: $(VENV)/.test
	@$(BIN)/lint-imports

# The walks start whole processes and the rest uses both cores, so files are kept together on one worker.
unit: $(VENV)/.test
	@$(BIN)/pytest -n 2 --dist loadfile

bench: $(VENV)/.bench ## measure again what bench/results says
	@$(BIN)/python -m bench.kernel
	@$(BIN)/python -m bench.text
	@$(BIN)/python -m bench.replay
	@$(BIN)/python -m bench.check
	@$(BIN)/python -m bench.http
	@$(BIN)/python -m bench.http_path
	@$(BIN)/python -m bench.queue

session: $(VENV)/.test ## record docs/session.md again
	@$(BIN)/python -m tests.docs.recorded_session

constraints: $(VENV)/.bench ## write down the versions that are installed now
	@$(PIP) freeze --exclude-editable --all | grep -viE '^(pip|setuptools|wheel)==' > constraints.txt

clean: ## remove what was made; your data in .handrail stays
	@rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
