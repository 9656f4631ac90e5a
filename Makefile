# Everything a checkout needs, from a machine that has only python3 and make. Each target re-uses .venv.

PYTHON ?=
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
SOURCES := helios_cli tests $(wildcard bench examples)
# One more than two processors: many tests wait most of their time.
WORKERS ?= 3
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help install deps packages check test faults mutants planted demo bench bench-failover bench-replicas compare-sql soak docs binary lock clean

help:
	@echo 'make install   the product in $(VENV) (commands heliosdb-nano, heliosdb-cli, heliosdb-proxy)'
	@echo 'make demo      a cluster, its primary killed under load, a standby that takes over (about 30 s)'
	@echo 'make test      every check and test; what CI runs'
	@echo 'make faults    kills, freezes, cuts, full and stalled disks, clocks that jump; DRILL="freeze isolate" MODE=sync for some'
	@echo 'make mutants   takes each care of the storage core out once and expects a test to fail (3 min)'
	@echo 'make planted   whether each planted bug of the simulator is met by its seed, or by which one now (minutes)'
	@echo 'make check     format, lint, types and layers only'
	@echo 'make deps      the Debian packages and drivers some tests use (PostgreSQL 15, tmux, nftables ...); needs root'
	@echo 'make bench     the benchmarks; ARGS=... is handed on (--only proxy: the proxy beside PgBouncer)'
	@echo 'make bench-failover  seconds without a write after a kill, a freeze, a switchover; ARGS=... is handed on (--runs)'
	@echo 'make bench-replicas  the figures of replication beside what is promised'
	@echo 'make compare-sql  random SQL on a PostgreSQL and on a node; ARGS=... is handed on (--seed, --count, --json)'
	@echo 'make soak      hours of load, kills and verification; ARGS=... is handed on'
	@echo 'make docs      docs/CLI.md, completions/ and man/, generated from the commands'
	@echo 'make binary    dist/heliosdb-nano: one file that runs where there is nothing but a python3 like this one'
	@echo 'make lock      the lock files again, after a change of dependencies in pyproject.toml'
	@echo 'make clean     remove $(VENV) and every cache'

$(BIN)/python:
	@sh tools/venv.sh $(VENV) $(PYTHON)

$(VENV)/.product: pyproject.toml requirements.lock requirements-build.lock | $(BIN)/python
	@echo 'installing the product into $(VENV)'
	@$(PIP) install --only-binary :all: --require-hashes -r requirements.lock
	@$(PIP) install --only-binary :all: --require-hashes -r requirements-build.lock
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@# Else the first five processes of a cluster compile it all, each for itself.
	@$(BIN)/python -m compileall -q -j 0 helios_cli
	@touch $@

$(VENV)/.dev: requirements-dev.lock $(VENV)/.product
	@echo 'installing the development tools into $(VENV)'
	@$(PIP) install --no-compile --only-binary :all: --require-hashes -r requirements-dev.lock
	@touch $@

install: $(VENV)/.product

deps:
	@sh tools/debian_packages.sh
	@sh tools/client_packages.sh

packages:
	@sh tools/debian_packages.sh --if-possible
	@sh tools/client_packages.sh

check: $(VENV)/.dev
	$(BIN)/ruff format --check --quiet $(SOURCES)
	$(BIN)/ruff check --quiet $(SOURCES)
	$(BIN)/mypy $(SOURCES)
	$(BIN)/python -m pytest -q tests/tidy

# What does not need another is done beside it: packages of the system beside those of Python, mypy beside the tests.
test: | $(BIN)/python
	@$(MAKE) --no-print-directory -j2 $(VENV)/.dev packages
	$(BIN)/ruff format --check --quiet $(SOURCES)
	$(BIN)/ruff check --quiet $(SOURCES)
	@sh tools/beside.sh '$(BIN)/mypy $(SOURCES)' $(BIN)/python -m pytest -q -n $(WORKERS) --dist worksteal tests $(ARGS)

DRILL ?=
MODE ?= quorum
faults: $(VENV)/.dev
	@sh tools/debian_packages.sh --if-possible
ifeq ($(DRILL),)
	$(BIN)/python -m pytest -q -n $(WORKERS) --dist worksteal tests/faults $(ARGS)
else
	$(BIN)/python -m bench.faults --mode $(MODE) $(ARGS) $(DRILL)
endif

mutants: $(VENV)/.dev
	$(BIN)/python tests/support/mutants.py $(ARGS)

planted: $(VENV)/.dev
	$(BIN)/python tests/support/planted_seeds.py $(ARGS)

demo: $(VENV)/.product
	@$(BIN)/heliosdb-nano demo $(ARGS)

bench: $(VENV)/.dev
	$(BIN)/python -m bench $(ARGS)

bench-failover: $(VENV)/.dev
	$(BIN)/python -m bench.failover $(ARGS)

bench-replicas: $(VENV)/.dev
	$(BIN)/python -m bench.replicas $(ARGS)

compare-sql: $(VENV)/.dev
	$(BIN)/python -m bench.comparesql $(ARGS)

soak: $(VENV)/.dev
	$(BIN)/python -m bench.soak $(ARGS)

docs: $(VENV)/.dev
	$(BIN)/python -m helios_cli.commands.reference

binary: $(VENV)/.product
	@$(BIN)/python tools/binary.py $(ARGS)

lock:
	@sh tools/lock.sh

clean:
	rm -rf $(VENV) .venv-lock .pytest_cache .mypy_cache .ruff_cache .hypothesis dist build
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +
