# Set-up and everyday work, on a machine that has Python 3.11 or newer and make.
#
#   make demo    the main job on real digits, with tables and figures at the end
#   make test    lint, types, tests
#   make docs    the documentation site, into build/site
#   make bench   speed and memory as ratios, against plain PyTorch and a peer
#
# Both make the virtual environment .venv and install what they need into it, once.
# TORCH_INDEX picks torch's wheels; without a GPU the CPU ones are a tenth of the size:
#   make demo TORCH_INDEX=https://download.pytorch.org/whl/cpu

PYTHON ?= $(shell command -v python3.11 || command -v python3 || echo python3.11)
VENV := .venv
BIN := $(VENV)/bin
TORCH_INDEX ?=
DEMO_ARGS ?=
BENCH_ARGS ?=
PYTEST_ARGS ?= -n auto --maxprocesses=4 --dist=worksteal

# One thread for each worker of pytest; more would fight over the cores. Tutorials' networks are too small to gain by more.
test docs: export OMP_NUM_THREADS ?= 1
test docs: export MKL_NUM_THREADS ?= 1

.PHONY: help demo test docs bench lint format install dev clean distclean
.DELETE_ON_ERROR:

help:
	@echo "make demo     install into $(VENV), then train, prove and hand over on digits"
	@echo "make test     install the test tools, then lint, check types and run the tests"
	@echo "make docs     build the documentation site, into build/site"
	@echo "make bench    measure speed and memory, and draw the table; BENCH_ARGS=--quick takes minutes"
	@echo "make lint     lint, format check and type check alone"
	@echo "make format   format the code and mend what lint can mend"
	@echo "make clean    remove caches and build outputs; distclean removes $(VENV) too"
	@echo "TORCH_INDEX=URL picks torch's wheels (CPU: https://download.pytorch.org/whl/cpu)"

demo: $(VENV)/.installed
	$(BIN)/steadynet demo --overwrite $(DEMO_ARGS)

# Lint and types beside the documentation, whose tutorials run one after the other.
test: $(VENV)/.dev
	@$(MAKE) --no-print-directory -j2 lint docs
	$(BIN)/python -m pytest $(PYTEST_ARGS)

# Rows that this code has measured on this machine are kept; BENCH_ARGS=--fresh measures all again. The table is
# drawn also where a row could not be measured, and says so.
bench: $(VENV)/.installed
	@$(BIN)/python -m benchmarks $(if $(TORCH_INDEX),--peer-index $(TORCH_INDEX)) $(BENCH_ARGS); \
	  measured=$$?; [ $$measured -le 1 ] && $(BIN)/python -m benchmarks.table && exit $$measured

# Warnings, such as a link to nowhere or a tutorial that fails, are errors; --quiet would let them pass.
docs: $(VENV)/.dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build

lint: $(VENV)/.dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/pyright

format: $(VENV)/.dev
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

install: $(VENV)/.installed

dev: $(VENV)/.dev

# The stamps lie in the environment, so that removing it removes them.
$(VENV)/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "SteadyNet needs Python 3.11 or newer; name one: make PYTHON=/path/to/python3.11" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV) || \
	  { echo "this Python has no venv (on Debian: apt install python3-venv)" >&2; rm -rf $(VENV); exit 2; }
	@touch $@

$(VENV)/.torch: $(VENV)/.made
ifneq ($(strip $(TORCH_INDEX)),)
	$(BIN)/python -m pip install torch torchvision --index-url $(TORCH_INDEX)
endif
	@touch $@

$(VENV)/.installed: pyproject.toml $(VENV)/.torch
	$(BIN)/python -m pip install -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.installed
	$(BIN)/python -m pip install -e ".[dev]"
	@touch $@

clean:
	rm -rf build dist .pytest_cache .ruff_cache .hypothesis
	find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean
	rm -rf $(VENV) benchmarks/.peer-venv benchmarks/.cache
