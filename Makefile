# cellmark: `make demo` shows the whole path on real cells, `make test` runs the suite. `make help` lists the rest.
#
# Everything is installed into .venv with the pins of constraints.txt; nothing is installed again until pyproject.toml or
# constraints.txt changes. The packages are installed editable: a changed source file is in force at once.
#
#   PYTHON=python3.11     the interpreter to make .venv with (default: the first Python 3.11 to 3.14 found)
#   TORCH_INDEX=URL       an additional package index to take torch from; by default PyTorch's index of CPU builds on a
#                         machine without an NVIDIA GPU, if it answers within two seconds, and else none
#   RUNTIME=cpu|gpu       which onnxruntime to install (gpu: NVIDIA, CUDA 13)
#   FOLDER=cellmark-demo  where `make demo` keeps its data, MLflow database and results
#   DEMO_ARGS="..."       further options of `cellmark demo`
#   PROCESSES=2           in how many processes the tests run
#   TEST_ARGS="..."       options of pytest, such as -k marker
#   FUZZ_ARGS="..."       options of tests/fuzz/run.py, such as --seconds 60 or --seed 1
#   OPENAPI_ARGS="..."    options of tests/fuzz/ask_openapi.py, such as --examples 10

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?=
TORCH_INDEX ?=
RUNTIME ?= cpu
FOLDER ?= cellmark-demo
DEMO_ARGS ?=
PROCESSES ?= 2
TEST_ARGS ?=
FUZZ_ARGS ?=
OPENAPI_ARGS ?=
VENV ?= .venv

BIN := $(VENV)/bin
PINS := pyproject.toml constraints.txt
# The runtime is part of the stamps' names: another runtime is another installation.
STAMP := $(VENV)/.installed-$(RUNTIME)
PIP := $(BIN)/python -m pip --disable-pip-version-check
# Without an NVIDIA GPU torch comes first, from PyTorch's index of CPU builds; the rest by uv, where it is there, or pip.
TORCH := $(if $(filter cpu,$(RUNTIME)),TORCH_INDEX="$(TORCH_INDEX)" bash .ci/install_torch.sh $(BIN)/python,@true)
INSTALL := bash .ci/install.sh $(BIN)/python --constraint constraints.txt $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX))

OTHER_RUNTIME := $(if $(filter gpu,$(RUNTIME)),onnxruntime,onnxruntime-gpu)
# Programs started by tests and by the demo (mlflow starts uvicorn) are looked up on PATH.
WITH_PATH := PATH="$(if $(filter /%,$(VENV)),,$(CURDIR)/)$(BIN):$$PATH"
# Files that take long come first (tests/conftest.py).
PYTEST := $(WITH_PATH) OMP_NUM_THREADS=1 $(BIN)/python -m pytest

.PHONY: help demo test quick test-serving fuzz docs check format build constraints clean distclean

help:  ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
	@awk 'NR > 5 && /^#   / { print "  " substr($$0, 5) } /^SHELL/ { exit }' $(firstword $(MAKEFILE_LIST))

demo: $(STAMP)-run  ## Install, then train, register, serve and explain on real cells
	$(WITH_PATH) $(BIN)/cellmark demo "$(FOLDER)" $(DEMO_ARGS)

test: $(STAMP)-test  ## Install the test extra, then run the suite, in two processes
	$(PYTEST) -n $(PROCESSES) --dist worksteal $(TEST_ARGS)

quick: $(STAMP)-test  ## The tests that start no process, no server and no training: a minute and a half
	$(PYTEST) --quick -n $(PROCESSES) --dist worksteal $(TEST_ARGS)

test-serving: $(STAMP)-test  ## The tests that need no torch, as if it were not installed
	$(PYTEST) --without-torch -n $(PROCESSES) --dist worksteal $(TEST_ARGS)

fuzz: $(STAMP)-test  ## 20,000 mutated files and bodies, and requests made of the OpenAPI document, against a running service
	$(WITH_PATH) $(BIN)/python tests/fuzz/run.py $(FUZZ_ARGS)
	$(WITH_PATH) $(BIN)/python tests/fuzz/ask_openapi.py $(OPENAPI_ARGS)
	$(WITH_PATH) $(BIN)/python tests/fuzz/ask_openapi.py --credentials $(OPENAPI_ARGS)

docs: $(STAMP)-docs  ## The documentation as a book in build/docs; runs its tutorials, and a warning is an error
	$(WITH_PATH) $(BIN)/sphinx-build -W --keep-going -q -c docs -d build/doctrees . build/docs
	@echo "Open build/docs/index.html"

check: $(STAMP)-check  ## Format, lint, types, import rules, Dockerfile
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/hadolint Dockerfile deploy/mlflow/Dockerfile
	@for script in .ci/run .ci/*.sh deploy/*.sh deploy/mlflow/*.sh; do bash -n "$$script"; done

format: $(STAMP)-check  ## Format the sources and fix what the linter can
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

build: $(VENV)/.pip  ## Build the wheel into dist/
	rm -rf build dist/cellmark-*.whl
	$(PIP) wheel --no-deps --wheel-dir dist .

constraints:  ## Renew constraints.txt: the newest releases that pyproject.toml admits and that resolve together
	PYTHON="$(PYTHON)" TORCH_INDEX="$(TORCH_INDEX)" bash .ci/renew_constraints.sh

clean:  ## Remove build products and caches (.venv and the demo's folder stay)
	rm -rf build dist ./*.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find front schemas training serving tests -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean  ## Remove .venv as well
	rm -rf $(VENV)

# The virtual environment, with the pinned pip: releases before 25 are silent for minutes while they unpack.
$(VENV)/.pip: constraints.txt
	@PYTHON="$(PYTHON)" bash .ci/make_venv.sh $(VENV)
	@$(PIP) install --quiet --upgrade --constraint constraints.txt pip
	@touch $@

# The two onnxruntime builds share one folder: the other one goes, and the stamps of its installation with it.
$(STAMP)-runtime: $(VENV)/.pip
	@$(PIP) uninstall --quiet --yes $(OTHER_RUNTIME) 2>/dev/null
	@rm -f $(VENV)/.installed-*
	@touch $@

$(STAMP)-run: $(PINS) $(STAMP)-runtime
	@echo "Installing cellmark with what it needs; the first time this downloads several hundred MB."
	$(TORCH)
	$(INSTALL) --editable ".[$(RUNTIME),train]"
	@touch $@

$(STAMP)-test: $(PINS) $(STAMP)-runtime
	$(TORCH)
	$(INSTALL) --editable ".[$(RUNTIME),train,test]"
	@touch $@ $(STAMP)-run

$(STAMP)-docs: $(PINS) $(STAMP)-runtime
	$(TORCH)
	$(INSTALL) --editable ".[$(RUNTIME),train,docs]"
	@touch $@ $(STAMP)-run

# What CI needs of both, resolved and installed once.
$(STAMP)-docs-test: $(PINS) $(STAMP)-runtime
	$(TORCH)
	$(INSTALL) --editable ".[$(RUNTIME),train,docs,test]"
	@touch $@ $(STAMP)-docs $(STAMP)-test $(STAMP)-run

$(STAMP)-check: $(PINS) $(STAMP)-runtime
	$(TORCH)
	$(INSTALL) --editable ".[$(RUNTIME),train,check]"
	@touch $@ $(STAMP)-run
