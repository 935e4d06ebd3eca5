# Every target makes its own virtual environment; nothing has to be installed or activated first.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
LOCK := --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url --no-annotate \
	--no-strip-extras

.PHONY: demo dev test torture check format lock clean help

help: ## what can be done here
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-8s %s\n", $$1, $$2}'

# Rebuilt when the lock or the project file changed. `set -e` and the stamp written last leave no half-made environment
# that looks finished.
$(INSTALLED): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or newer is needed; say which: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $(INSTALLED)

demo: $(INSTALLED) ## 10,000 people, a 40-day plan, and today's 250 messages sent to a local Cloud API
	@$(BIN)/python examples/spring_sale/demo.py

dev: $(INSTALLED) ## the Dagster web UI, its daemon and the local Cloud API on the demo's data
	@$(BIN)/python examples/spring_sale/dev.py

# The long ones that mostly wait come first, so that they do not wait one after the other at the end. Six processes load
# the same modules, and start many others: whatever the environment says, each module is compiled once for all of them.
test: export PYTHONDONTWRITEBYTECODE :=
test: $(INSTALLED) ## the whole test suite
	@$(BIN)/python -m pytest -n 6 --dist loadfile --no-loadscope-reorder \
		campaign_pipeline_tests/end_to_end campaign_pipeline_tests/sending campaign_pipeline_tests

# Each of these may be given: make torture RANDOM_KILLS=200. A failure says which SEED repeats it.
torture: export RANDOM_KILLS ?= 1000
torture: export MISSED_DATES ?= 40
torture: export THREE_AT_ONCE ?= 50
torture: export STATE_MACHINE_EXAMPLES ?= 2000
torture: export FRESH_STATISTICS ?= 1
torture: export WHOLE_CAMPAIGN ?= 250
torture: export EVERY_SERVER_FAULT ?= 1
torture: export REBUILD_EXAMPLES ?= 500
torture: export REBUILD_KILLS ?= 25
torture: export CONTRACT_EXAMPLES ?= 300
torture: export RECEIVER_KILLS ?= 100
torture: export BOT_DOWN_SECONDS ?= 60
torture: $(INSTALLED) ## the long forms of the tests that kill, lose and repeat: 1,000 rounds of random kills, 40 missed dates
	@$(BIN)/python -m pytest -v -n 2 --dist worksteal $(addprefix campaign_pipeline_tests/, \
		sending/test_random_kills.py sending/test_every_crash.py sending/test_state_machine.py \
		sending/test_whole_campaign.py sending/test_error_table.py ledger/test_query_plans.py \
		delivery/test_rebuild.py interfaces/webhook_receiver/test_durability.py \
		interfaces/webhook_receiver/test_passing_on.py interfaces/rest_api/test_contract.py \
		end_to_end/test_three_at_once.py end_to_end/test_daemon.py)

check: $(INSTALLED) ## style, types and definitions
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/ty check campaign_pipeline examples benchmarks
	@$(BIN)/python -W ignore -c "import dagster, campaign_pipeline.orchestration.build as build; \
		dagster.Definitions.validate_loadable(build.build_definitions()); print('The definitions load.')"

format: $(INSTALLED) ## formats the code
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

lock: ## resolves both lock files anew from pyproject.toml (needs uv)
	uv pip compile pyproject.toml --extra dev --upgrade -o requirements.lock $(LOCK)
	uv pip compile pyproject.toml --constraint requirements.lock -o requirements.runtime.lock $(LOCK)

clean: ## removes the environment, the demo's data and Dagster's history (never a ledger outside data/)
	rm -rf $(VENV) .dagster_storage .pytest_cache .ruff_cache .hypothesis build *.egg-info data/demo
