# The only commands a newcomer needs. Each makes .venv and installs what it needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
DEMO := outputs/demo
export NO_ALBUMENTATIONS_UPDATE := 1

.PHONY: help install demo test test-slow test-all-pythons lint types docs notebooks format clean

help:
	@echo "make install    only make .venv with all that the others need; about 4 minutes"
	@echo "make demo       make scenes, train for at most 3 minutes, evaluate on unseen masks, draw panels"
	@echo "make test       the fast tests"
	@echo "make test-slow  the slow tests"
	@echo "make test-all-pythons  the core of the fast tests on Python 3.11 to 3.13, lowest and newest dependencies"
	@echo "make lint types ruff and mypy"
	@echo "make docs       the documentation site, in site/"
	@echo "make notebooks  execute the notebooks and store their outputs"

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("segassess needs Python 3.11 or newer; run: make PYTHON=python3.11 ...") if sys.version_info < (3, 11) else None'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@

install: $(READY)

demo: $(READY)
	$(BIN)/python train.py experiment=demo hydra.run.dir=$(DEMO)/train
	$(BIN)/python predict.py 'image=data/synthetic/building_256px_seed1_v1/test/image' \
	  'mask=data/synthetic/building_256px_seed1_v1/test/seg_preds/discriminant' \
	  checkpoint=$(DEMO)/train/assessor.safetensors output_dir=$(DEMO)/predict overwrite=true
	@echo
	@echo "The table above: your assessor beside the baselines; \"discriminant\" is the source of masks it never saw."
	@echo "Look at the panels: $(DEMO)/predict/*/panel.png     Worst masks first: $(DEMO)/predict/scores.csv"

test: $(READY)
	$(BIN)/python -m pytest -m "not slow" --numprocesses 2 --dist loadfile

test-slow: $(READY)
	$(BIN)/python -m pytest -m slow --numprocesses 2 --dist loadfile

# RUNS names some of them, such as RUNS="3.11-lowest 3.13-newest".
test-all-pythons: $(READY)
	$(BIN)/python tests/all_pythons.py $(RUNS)

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY)
	$(BIN)/mypy --cache-dir=/dev/null  # a warm cache can hide an error that a clean checkout shows

# The variable keeps the theme from advertising another program.
docs: $(READY)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

notebooks: $(READY)
	$(BIN)/python notebooks/execute.py

clean:
	rm -rf .venvs outputs notebooks/outputs multirun site .pytest_cache .mypy_cache .ruff_cache
