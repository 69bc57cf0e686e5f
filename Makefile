# make demo   set everything up and run vidpose on the samples      make test   set everything up and run the tests
# make test-quick   only the tests of less than a fifth of a second   make test-long   those that make test leaves out
# make lint   style, types                                          make docs   build the documentation site, to site/
# make clean  remove what these made
# make fuzz   damage inputs of every kind, and see that each ends in a clear line (SEED=1 INPUTS=2000)
# make openmmlab   an environment of its own for mmpose and mmdet (docs/detectors.md); compiles for half an hour

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

# OpenMP threads that spin while they wait make tests on a busy machine many times slower.
export OMP_WAIT_POLICY ?= PASSIVE
export GOMP_SPINCOUNT ?= 0

.PHONY: demo test test-quick test-long test-durations fuzz lint docs openmmlab clean

# Pinned versions, then vidpose itself, editable; made again when either file changes.
$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) scripts/check_python.py
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	touch $@

demo: $(VENV)/.installed
	$(BIN)/vidpose infer samples/*.mp4 --out demo --overwrite
	@echo "Look at demo/*_overlay.mp4"

# A process a core shares it with nobody. tests/durations.py says which tests are slow and which are long.
PYTEST := $(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist worksteal --durations 30
test test-quick test-long test-durations: export OMP_NUM_THREADS ?= 1
test: $(VENV)/.installed
	$(PYTEST) -m "not long"
test-quick: $(VENV)/.installed
	$(PYTEST) -m "not slow"
test-long: $(VENV)/.installed
	$(PYTEST) -m long
# All of them, on a quiet machine, and how long each takes is written down.
test-durations: $(VENV)/.installed
	$(PYTEST) --write-durations

# The same seed gives the same damage.
SEED ?= 1
INPUTS ?= 2000
fuzz: export OMP_NUM_THREADS ?= 1
fuzz: $(VENV)/.installed
	cd tests && ../$(BIN)/python -m campaign --seed $(SEED) --inputs $(INPUTS) --options 1000 --faults 200

lint: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: export NO_MKDOCS_2_WARNING = 1
docs: $(VENV)/.installed
	$(BIN)/python -m mkdocs build --quiet
	@echo "Open site/index.html. For the search: $(BIN)/python -m http.server --directory site"

openmmlab:
	PYTHON=$(PYTHON) scripts/openmmlab.sh

clean:
	rm -rf $(VENV) .venv-openmmlab demo site
