# Everything sets itself up: Python 3.11 or newer with venv, and make, are all that has to be there.
#
#   make demo          three shops, their agents, the engine and ERPs, and the proof; then the console; ONCE=1 ends by itself
#   make test          checks and tests, with coverage;  make check: the checks alone;  make format: put the layout right
#   make simulate      storms over the whole chain under a seed, SEEDS of them, the first one FROM;  make mutants: faults
#                      planted in the code, each to be caught by a seed
#   make tryton    a Tryton beside the engine, in .venv-tryton, for all that is tried on it
#   make oversell      random histories of stock: is a unit offered where it was sold before? SEEDS of them, the first FROM

PYTHON ?= $(firstword $(foreach name,python3.11 python3.12 python3.13 python3,$(shell command -v $(name) 2>/dev/null)))
BIN := .venv/bin
READY := .venv/ready
SOURCES := agent engine contracts tests $(wildcard bench)

.PHONY: test demo check lint types layers format simulate oversell mutants clean

test: check
	$(BIN)/pytest -n 3 --dist loadfile --no-loadscope-reorder --cov --cov-report=term:skip-covered $(PYTEST)

demo: $(READY)
	$(BIN)/python -m counterfoil_engine.demo $(if $(ONCE),--once)

# The console as the README shows it: docs/console.png and docs/console-order.png, of the demo's day, by Chromium.
.PHONY: picture
picture: $(READY)
	cd tests && ../$(BIN)/python -m picture

simulate: $(READY)
	cd tests && ../$(BIN)/python -m simulation --seeds $(or $(SEEDS),1000) --from $(or $(FROM),1)

# How much of outbox, look, post and ingest storms go through, in one process: at least 90 % of each.
.PHONY: simulate-coverage
simulate-coverage: $(READY)
	cd tests && ../$(BIN)/python -m simulation.covered --seeds $(or $(SEEDS),100) --from $(or $(FROM),1)

oversell: $(READY)
	cd tests && ../$(BIN)/python -m oversell --seeds $(or $(SEEDS),300) --from $(or $(FROM),1)

# What was planted in worlds at work against what the next sweeps name it, by class: SEEDS of them, the first FROM.
.PHONY: drift
drift: $(READY)
	cd tests && ../$(BIN)/python -m simulation.drift --seeds $(or $(SEEDS),1000) --from $(or $(FROM),1)

mutants: $(READY)
	cd tests && ../$(BIN)/python -m simulation.mutants $(if $(SEEDS),--seeds $(SEEDS))

check: lint types layers

lint: $(READY)
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)

types: $(READY)
	$(BIN)/mypy

layers: $(READY)
	$(BIN)/lint-imports

format: $(READY)
	$(BIN)/ruff check --fix $(SOURCES)
	$(BIN)/ruff format $(SOURCES)

# Made anew when the dependencies change; a run that was cut short leaves no mark and is done again.
$(READY): pyproject.toml
	@test -n "$(PYTHON)" && $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Counterfoil needs Python 3.11 or newer: install it, or name it (make PYTHON=/path/to/python3.11)." >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || \
	  { echo "$(PYTHON) lacks venv: install it (Debian: apt-get install python3-venv)." >&2; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[engine,dev]'
	@touch $(READY)

# Tryton is GPL-3, and never in one process with the engine: an environment of its own, spoken to over its API.
TRYTON_READY := .venv-tryton/ready
.PHONY: tryton
tryton: $(TRYTON_READY)

$(TRYTON_READY): tryton-module/pyproject.toml
	$(PYTHON) -m venv .venv-tryton
	.venv-tryton/bin/python -m pip install --quiet --disable-pip-version-check --editable 'tryton-module[server]'
	@touch $(TRYTON_READY)

clean:
	rm -rf .venv .venv-tryton .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage .coverage.*

# Torture: all parties as real processes, killed with kill -9 KILLS times, shared by the databases; DATABASE: sqlite,
# postgresql or both; SEED: of what is placed, killed and when.
.PHONY: torture
torture: $(READY)
	cd tests && ../$(BIN)/python -m torture --kills $(or $(KILLS),20) --database $(or $(DATABASE),both) $(if $(SEED),--seed $(SEED))

# Fuzz: REQUESTS bad requests to engine, webhook receiver and ERP, good events between them; SEED: of what is sent.
.PHONY: fuzz
fuzz: $(READY)
	cd tests && ../$(BIN)/python -m fuzz --requests $(or $(REQUESTS),1500) $(if $(SEED),--seed $(SEED))

# Benchmarks, on PostgreSQL at COUNTERFOIL_BENCH_POSTGRESQL (default: the local one). bench: every figure with its goal
# and the machine's load. load: a peak day through the whole chain, FACTOR times as fast, into docs/load.svg.
.PHONY: bench load
bench: $(READY)
	@failed=; for each in ingest worker posting replay try_rules agent ats feed; do \
	  echo "== $$each"; $(BIN)/python bench/$$each.py || failed="$$failed $$each"; done; \
	test -z "$$failed" || { echo "short of a goal:$$failed"; exit 1; }

# The console's pages over 100,000 orders of 1,000,000 facts, each with its goal of 300 ms on the server.
.PHONY: bench-console
bench-console: $(READY)
	$(BIN)/python bench/console.py

# A stock sweep of 100,000 SKUs where 100,000, 1,000, 10 and none drifted; the last line is of none.
.PHONY: bench-sweep
bench-sweep: $(READY)
	$(BIN)/python bench/sweep.py

# A sweep of an entity's books: 100,000 documents of 30 days, of which none, 10, 1,000 and 10,000 drifted.
.PHONY: bench-sweep-books
bench-sweep-books: $(READY)
	$(BIN)/python bench/sweep_books.py

# Tryton's own time for an order, the engine's on top, singly and in batches, with its module and without; stock.
.PHONY: bench-tryton
bench-tryton: $(READY) $(TRYTON_READY)
	$(BIN)/python bench/tryton.py $(if $(ORDERS),--orders $(ORDERS))

load: $(READY)
	$(BIN)/python bench/load.py $(if $(ORDERS),--orders $(ORDERS)) $(if $(FACTOR),--factor $(FACTOR))

# The store suite: the plugin and REST alone, against a real WooCommerce. KEY, SECRET: of its REST API, read and write;
# PLUGIN_KEY: what pairing showed (WooCommerce, Counterfoil); without it only REST is tried. It makes and deletes test products and orders.
.PHONY: test-store
test-store: $(READY)
	@test -n "$(STORE_URL)" -a -n "$(KEY)" -a -n "$(SECRET)" || \
	  { echo "Name the shop: make test-store STORE_URL=https://shop.example KEY=ck_… SECRET=cs_… PLUGIN_KEY=…" >&2; exit 1; }
	STORE_URL=$(STORE_URL) STORE_KEY=$(KEY) STORE_SECRET=$(SECRET) STORE_PLUGIN_KEY=$(PLUGIN_KEY) \
	  $(BIN)/pytest tests/plugin/store -rs --capture=no $(PYTEST)

# The conformance kit on an ERP (sandbox, or one that has a target conformance-<ERP>); CONFIG: a settings file of one's own,
# with ERP the adapter. Its last line is `conformance: P of N passed`.
.PHONY: conformance conformance-sandbox
conformance: $(if $(CONFIG),,conformance-$(or $(ERP),sandbox))
	$(if $(CONFIG),$(BIN)/counterfoil erp check $(or $(ERP),http) --config $(CONFIG) --yes)

conformance-sandbox: $(READY)
	$(BIN)/counterfoil erp check sandbox

# A fresh Tryton, set up by script; the recorded orders posted into it, and its trial balance tied out with the engine's journal.
.PHONY: demo-tryton
demo-tryton: $(READY) $(TRYTON_READY)
	cd tests && ../$(BIN)/python -m tryton.demo

# Tryton, its database's connections and the poster are killed in the middle of a post, KILLS times.
.PHONY: torture-tryton
torture-tryton: $(READY) $(TRYTON_READY)
	cd tests && ../$(BIN)/python -m tryton.kills --kills $(or $(KILLS),50) $(if $(SEED),--seed $(SEED))

.PHONY: conformance-tryton
conformance-tryton: $(READY) $(TRYTON_READY)
	cd tests && ../$(BIN)/python -m tryton.conformance

# The worked month on a real Tryton, in a database of its own.
.PHONY: month-tryton
month-tryton: $(READY) $(TRYTON_READY)
	cd tests && ../$(BIN)/python -m tryton.month --orders $(or $(ORDERS),2000) --seed $(or $(SEED),1) --plant "$(or $(PLANT),all)"

# A worked month: ORDERS of two companies through the shipped code, errors planted (PLANT: all, none, or one kind), closed
# to the cent, every difference named (docs/month.md); SEED: of all that is by chance.
.PHONY: month
month: $(READY)
	cd tests && ../$(BIN)/python -m month --orders $(or $(ORDERS),2000) --seed $(or $(SEED),1) --plant "$(or $(PLANT),all)"

# Documentation: docs/ into site/, where a link or a heading that leads nowhere fails it.
.PHONY: docs
docs: $(READY)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
