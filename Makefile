# The list of commands of this repository. `make` or `make help` explains it.
#
# Each target sets up what it needs in .venv by itself and is quick the second time: a stamp in .venv/stamps carries the
# hash of pyproject.toml and constraints.txt, so a change of either installs again and nothing else does.
# Needed from outside: Python 3.11 or newer with its venv module, and make. No compiler.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

VENV := .venv
PY := $(VENV)/bin/python
KEY := $(shell cat pyproject.toml constraints.txt | sha256sum | cut -c1-12)
STAMPS := $(VENV)/stamps
RUNTIME := $(STAMPS)/runtime-$(KEY)
DEV := $(STAMPS)/dev-$(KEY)
BPF := $(STAMPS)/bpf-$(KEY)
PIP_INSTALL := $(PY) -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
PYTEST := $(PY) -m pytest -q
JOBS := $(shell n=$$(nproc 2>/dev/null || echo 2); [ $$n -gt 8 ] && n=8; echo $$n)
# The first interpreter on PATH that is new enough; name another with `make PYTHON=/path/to/python3 ...`.
PYTHON ?= $(shell for p in python3 python3.11 python3.12 python3.13 python3.14; do \
	  if $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then command -v $$p; break; fi; done)

.PHONY: help
help: ## Show this list.
	@awk -F ':.*## ' '/^##@ / { printf "\n%s\n", substr($$0, 5) } \
	  /^[a-z0-9-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

##@ Use

.PHONY: demo
demo: $(RUNTIME) ## Build a leaking Go service, trace it live, name the line that leaks, write leadline-report.html.
	@tools/as_root.sh $(PY) -m leadline lab demo --html leadline-report.html --force

##@ Verify

.PHONY: test
test: $(DEV) $(BPF) ## Run everything CI runs: static checks, then unit, repository, live and end-to-end tests.
	@$(MAKE) check
	@$(MAKE) repo
	@$(MAKE) live
	@$(MAKE) e2e

.PHONY: check
check: $(DEV) ## Run the fast part: ruff, mypy, import contracts, generated files, unit tests.
	@$(MAKE) -j2 --output-sync=target lint types contracts gen-check unit

.PHONY: lint
lint: $(DEV) ## Check style and formatting with ruff.
	@$(PY) -m ruff check --quiet
	@$(PY) -m ruff format --check --quiet
	@echo "lint: ruff check and ruff format agree"

.PHONY: types
types: $(DEV) ## Check types with mypy, strict.
	@$(PY) -m mypy

.PHONY: contracts
contracts: $(DEV) ## Check who imports whom with import-linter.
	@out=$$($(VENV)/bin/lint-imports --no-logo 2>&1) || { echo "$$out"; exit 1; }; echo "contracts: $${out##*Contracts: }"

.PHONY: gen-check
gen-check: $(DEV) ## Check that generated files are current.
	@$(PY) tools/gen.py --check
	@$(PY) tools/gen_reference.py --check

.PHONY: unit
unit: $(DEV) ## Run the unit tests and the examples in docstrings, in random order, in parallel.
	@$(PYTEST) -n $(JOBS) --doctest-modules tests/unit src/leadline

.PHONY: repo
repo: $(DEV) $(BPF) ## Test the repository's own promises: a test for each file, a page for each rule, links, wheel, blobs.
	@$(PYTEST) -n $(JOBS) tests/repo

.PHONY: live
live: $(DEV) ## Run the tests on real processes and the kernel; as root they run all, else they skip with a reason.
	@$(PYTEST) tests/live

.PHONY: e2e
e2e: $(DEV) ## Run whole commands as a user would, the tutorial's among them.
	@$(PYTEST) tests/e2e

.PHONY: bench
bench: $(DEV) ## Measure cost and speed side by side with other tools; results go to benchmarks/results.
	@$(PY) tools/bench.py

##@ Make

.PHONY: fmt
fmt: $(DEV) ## Format the code and apply ruff's safe fixes.
	@$(PY) -m ruff check --fix --quiet || true
	@$(PY) -m ruff format --quiet

.PHONY: gen
gen: $(DEV) ## Write the generated files: indexes, rule pages, command line and report reference.
	@$(PY) tools/gen.py
	@$(PY) tools/gen_reference.py

.PHONY: accept
accept: $(DEV) ## Rewrite the golden files from what the code prints now; read the diff before you commit it.
	@$(PYTEST) -n $(JOBS) tests/unit tests/repo --accept

.PHONY: bpf
bpf: $(BPF) ## Compile the BPF programs and write their blobs; reproduces the committed ones bit for bit.
	@PATH="$$PATH:/usr/sbin" $(PY) tools/build_bpf.py

.PHONY: wheel
wheel: $(DEV) ## Build the wheel into dist/.
	@rm -rf dist
	@$(PY) -m build --wheel --no-isolation --outdir dist . >/dev/null
	@ls -l dist/*.whl

.PHONY: lock
lock: ## Write constraints.txt: the newest releases that pip finds for all groups. Run `make test` before you commit it.
	@scratch=$$(mktemp -d); trap 'rm -rf "$$scratch"' EXIT; \
	$(PYTHON) -m venv "$$scratch" && "$$scratch/bin/pip" install --quiet --upgrade pip && \
	"$$scratch/bin/pip" install --quiet --group test --group lint --group build --group bpf --editable . && \
	{ echo "# The releases that were tested together; written by \`make lock\`. Users of the wheel are not bound by it."; \
	  "$$scratch/bin/pip" freeze --exclude-editable; } > constraints.txt

.PHONY: clean
clean: ## Remove everything that can be made again, .venv included.
	@rm -rf $(VENV) dist build .cache .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# --- set-up -----------------------------------------------------------------------------------------------------------

$(PY):
	@[ -n "$(PYTHON)" ] || { echo "leadline needs Python 3.11 or newer, and none is on PATH" >&2; \
	  echo "  Debian 12, Ubuntu 24.04 or newer: apt-get install python3 python3-venv" >&2; exit 2; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "$(PYTHON) has no venv module (Debian packs it apart)" >&2; \
	  echo "  install it: apt-get install python3-venv" >&2; exit 2; }
	@echo "setting up .venv with $$($(PYTHON) --version)" >&2
	@$(PYTHON) -m venv --clear $(VENV)
	@# Dependency groups need pip 25.1; Debian 12 has 23.0.
	@$(PIP_INSTALL) --upgrade pip

$(RUNTIME): | $(PY)
	@echo "installing leadline into .venv" >&2
	@$(PIP_INSTALL) --editable .
	@mkdir -p $(STAMPS) && rm -f $(STAMPS)/runtime-* && touch $@

$(DEV): $(RUNTIME)
	@echo "installing the test and lint tools into .venv" >&2
	@$(PIP_INSTALL) --upgrade pip
	@$(PIP_INSTALL) --group test --group lint --group build
	@rm -f $(STAMPS)/dev-* && touch $@

$(BPF): $(DEV)
	@echo "installing the BPF compiler (ziglang, 90 MB to fetch) into .venv" >&2
	@$(PIP_INSTALL) --group bpf
	@rm -f $(STAMPS)/bpf-* && touch $@
