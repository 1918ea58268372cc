# CytoJEPA: `make demo` to see it, `make test` to check it. `make help` lists the rest.
.DEFAULT_GOAL := help
.PHONY: help install demo test lint unit integration browser nightly docs chromium postgresql nginx lock wheelhouse sbom clean

PYTHON ?= python3
PORT ?= 8501
BIN := .venv/bin
UV := $(BIN)/uv
RUN := $(BIN)/python -m
TEST_INSTALL := .venv/.tests-installed
# Where no compiled modules are kept, each process compiles all of torch and Streamlit anew: five seconds of CPU.
unexport PYTHONDONTWRITEBYTECODE

help:  ## Show this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

demo: .venv/.installed  ## Drawn slides, a minute of pretraining, the labelling page
	$(BIN)/cytojepa demo --home demo-home --headless --port $(PORT)

install: .venv/.installed  ## The pinned dependencies and the command cytojepa, in .venv

# uv itself is pinned in requirements.lock; pip of the new environment fetches just that part of it.
.venv/.installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "CytoJEPA needs Python 3.11 or newer; name one with: make $(MAKECMDGOALS) PYTHON=python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  if command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
	    apt-get update -qq && apt-get install -y -qq python3-venv; \
	  else echo "Python has no venv module: ask for the package python3-venv." >&2; exit 1; fi; }
	$(PYTHON) -m venv --clear .venv
	awk '/^[a-z]/ {keep = /^uv==/} keep' requirements.lock > .venv/uv.lock
	$(RUN) pip install --quiet --disable-pip-version-check --require-hashes -r .venv/uv.lock
	$(UV) pip install --system-certs --quiet --python $(BIN)/python --require-hashes -r requirements.lock
	$(UV) pip install --system-certs --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

$(TEST_INSTALL): .venv/.installed tests/requirements.lock
	$(UV) pip install --system-certs --quiet --python $(BIN)/python --require-hashes -r tests/requirements.lock
	@touch $@

# libatomic1: what drives the browser is a node that links it, and a bare Debian has it not.
chromium:
	@{ command -v chromium && $(PYTHON) -c 'import ctypes; ctypes.CDLL("libatomic.so.1")'; } >/dev/null 2>&1 || { \
	  if command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
	    apt-get update -qq && apt-get install -y -qq chromium fonts-dejavu-core libatomic1; \
	  else echo "The browser tests need Debian's packages chromium and libatomic1: ask for them." >&2; exit 1; fi; }

postgresql:
	@{ command -v initdb || ls /usr/lib/postgresql/*/bin/initdb; } >/dev/null 2>&1 || { \
	  if command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
	    apt-get update -qq && apt-get install -y -qq postgresql; \
	  else echo "No PostgreSQL here: its tests are skipped (Debian's package postgresql)." >&2; fi; }

nginx:
	@{ command -v nginx || ls /usr/sbin/nginx; } >/dev/null 2>&1 || { \
	  if command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
	    apt-get update -qq && apt-get install -y -qq nginx-light; \
	  else echo "No nginx here: the test of the guides' proxy is skipped (Debian's package nginx-light)." >&2; fi; }

test: lint unit integration browser  ## Everything that a change must pass

lint: $(TEST_INSTALL)  ## Format, lint, import contracts, file sizes, types
	$(RUN) ruff format --check .
	$(RUN) ruff check .
	$(BIN)/lint-imports
	$(RUN) mypy

unit: $(TEST_INSTALL) postgresql  ## Fast tests
	$(RUN) pytest -q -n 2 --dist loadfile -m "not slow" tests/unit

integration: $(TEST_INSTALL) postgresql nginx  ## Tests with processes, files and real pictures where they are at hand
	$(RUN) pytest -q -n 2 --dist loadfile --timeout 600 -m "not slow" tests/integration

browser: $(TEST_INSTALL) chromium  ## Tests in a real browser; they also take the screenshots of the docs
	$(RUN) pytest -q -n 2 --dist loadfile --timeout 600 -m "not slow" tests/browser

nightly: $(TEST_INSTALL) chromium postgresql nginx  ## The long counts, hours on two cores
	$(RUN) pytest -q -m slow tests

docs: $(TEST_INSTALL)  ## The site of the guides, in site/; open site/index.html
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet

lock: .venv/.installed  ## Pin all dependencies anew
	$(UV) pip compile --system-certs pyproject.toml --group install --universal --generate-hashes --no-emit-index-url --no-header \
	  --quiet --output-file requirements.lock
	$(UV) pip compile --system-certs --group test --group docs --constraints requirements.lock --universal --generate-hashes \
	  --no-emit-index-url --no-header --quiet --output-file tests/requirements.lock

wheelhouse: .venv/.installed  ## A folder that installs without a network, every wheel checked by its hash
	rm -rf wheelhouse && mkdir wheelhouse
	$(RUN) pip wheel --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements.lock --wheel-dir wheelhouse
	$(UV) build --quiet --wheel --no-build-isolation --python $(BIN)/python --out-dir wheelhouse
	$(BIN)/python scripts/wheelhouse.py wheelhouse

sbom: $(TEST_INSTALL)  ## sbom.json: all pinned libraries with their hashes, as CycloneDX
	$(BIN)/cyclonedx-py requirements requirements.lock --output-reproducible --of JSON --sv 1.6 -o sbom.json

clean:  ## Remove the environment and the demonstration
	rm -rf .venv demo-home site .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
