# make run · make test · make lint · make bench: each sets up .venv by itself; a second call starts in seconds.

PYTHON ?= python3
STUDIO_PORT ?= 8501
BIN := .venv/bin

.PHONY: run test fast lint bench screenshots

run: .venv/ready
	@$(BIN)/python -m studio $(STUDIO_PORT)

# Toys side by side, a thread each; then the real model and the browser alone: two of them would starve each other.
test: .venv/ready-dev
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not model and not browser" -n 2 --dist worksteal
	@$(BIN)/python -m pytest -m "model or browser"

# The unit tests: no model, no browser, no process of their own. Under a minute.
fast: .venv/ready-dev
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not model and not browser and not process" -n 2

lint: .venv/ready-dev
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

bench: .venv/ready-dev
	@$(BIN)/python -m benchmarks.pages
	@$(BIN)/python -m benchmarks.metrics
	@$(BIN)/python -m benchmarks.prepare
	@$(BIN)/python -m benchmarks.chaos 100
	@$(BIN)/python -m benchmarks.begin
	@$(BIN)/python -m benchmarks.first_light
	@$(BIN)/python -m benchmarks.train_speed
	@$(BIN)/python -m benchmarks.plan
	@$(BIN)/python -m benchmarks.prune
	@$(BIN)/python -m benchmarks.watched
	@$(BIN)/python -m benchmarks.chat
	@$(BIN)/python -m benchmarks.backup

screenshots: .venv/ready-dev
	@$(BIN)/python -m tools.screenshots

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Fine-Tuning Studio needs Python 3.11 or newer. Name one: make run PYTHON=python3.11" >&2; exit 1; }
	@if $(PYTHON) -c 'import ensurepip' 2>/dev/null && $(PYTHON) -m venv .venv; then :; \
	elif $(PYTHON) -c 'import virtualenv' 2>/dev/null && $(PYTHON) -m virtualenv --quiet --clear .venv; then :; \
	else rm -rf .venv; echo "This Python makes no environment. Install Debian's package python3-venv, or: $(PYTHON) -m pip install virtualenv" >&2; exit 1; fi

.venv/ready: requirements.txt | .venv/bin/python
	@echo "Installing the studio into .venv (about two minutes, once)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

.venv/ready-dev: requirements-dev.txt .venv/ready
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@
