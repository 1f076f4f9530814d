# Every target sets up what it needs: a .venv of its own, installed again when pyproject.toml changes.
# `make PYTHON=/path/to/python ...` chooses the interpreter; `make test ARGS="-k onnx"` passes arguments on.

VENV := .venv
RUN := $(VENV)/bin/python
PIP := $(RUN) -m pip --quiet --quiet --disable-pip-version-check
PYTHON ?= python3 python3.14 python3.13 python3.12 python3.11 python
ARGS ?=

# two test processes on two cores: threads of matrix products that wait for each other cost ten times what they save
test slow: export OPENBLAS_NUM_THREADS ?= 1

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help demo test slow lint types bench venv-base venv-test clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

demo: venv-base ## inspect, certify, compress and check a network that reads digits
	@$(RUN) -m reludsl.demo

test: venv-test ## all tests but the slow ones
	@$(RUN) -m pytest -n 2 -m "not slow" $(ARGS)

slow: venv-test ## the slow tests
	@$(RUN) -m pytest -n 2 -m slow $(ARGS)

lint: venv-test ## ruff
	@$(RUN) -m ruff check .

types: venv-test ## mypy --strict
	@$(RUN) -m mypy --strict

bench: venv-test ## benchmarks; ARGS="--smoke" runs each of them once
	@$(RUN) -m benchmarks $(ARGS)

venv-base: $(VENV)/.base ## .venv with the package alone
venv-test: $(VENV)/.test ## .venv with what the tests need

clean: ## remove .venv and every cache
	@rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.made:
	@found=; for candidate in $(PYTHON); do \
	  if "$$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; \
	  then found=$$candidate; break; fi; \
	done; \
	if [ -z "$$found" ]; then \
	  echo "no Python >= 3.11 with the venv module among: $(PYTHON); install one, or name it: make PYTHON=/path/to/python" >&2; \
	  exit 1; \
	fi; \
	echo "making $(VENV) with $$("$$found" --version)" >&2; \
	"$$found" -m venv $(VENV)
	@touch $@

$(VENV)/.base: $(VENV)/.made pyproject.toml
	@echo "installing reludsl into $(VENV) (once; a minute or so)" >&2
	@$(PIP) install -e .
	@touch $@

$(VENV)/.test: $(VENV)/.made pyproject.toml
	@echo "installing reludsl and what its tests need into $(VENV) (once; a minute or two)" >&2
	@$(PIP) install -e '.[test,highs,cbc,scip,cvxpy]'
	@touch $(VENV)/.base $@
