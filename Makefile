# The project's commands. Each installs what it needs into .venv first, and again when the requirements change.
PYTHON ?=
VENV := .venv
BIN := $(VENV)/bin
TOOLS := bash tests/system_tools.sh
OUTSIDE := $(PATH)
export PATH := $(CURDIR)/$(BIN):$(PATH)
# In a recipe by this name: `make -n` runs what has the other in it.
export AGAIN := $(MAKE)
IN_BROWSER = CHROMIUM="$$($(TOOLS) browser)"
REQUIREMENTS := pyproject.toml constraints.txt
DEMO := $(BIN)/python -m scripts.interpretability_demo
export PROMPT ?= The capital of France is
TEST_FLAGS ?= -n 2
PACKAGES := vscode-client/node_modules/.package-lock.json tests/clients/node_modules/.package-lock.json
EDITOR := tests/e2e/node_modules/.package-lock.json

.PHONY: help demo picture protocol vsix test e2e stress check format clean

help:  ## list the commands
	@grep -E '^[a-z0-9]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

demo: $(VENV)/runtime.stamp  ## write a little text and show what the model did (PROMPT="..." for your own)
	$(DEMO) --prompt "$$PROMPT" --category demo --max-tokens 24

picture: $(VENV)/dev.stamp $(EDITOR) vsix  ## draw the pictures of the README and of the walkthrough anew, from real runs of the built-in model
	$(DEMO) -i demo --device-type cpu --prompt "apple, river, stone, apple, river," --category picture \
		--temperature 0 --max-tokens 14 --rows 8 --picture docs/demo.svg
	$(IN_BROWSER) npm --prefix tests/e2e run pictures

protocol: $(VENV)/dev.stamp $(PACKAGES)  ## write what is generated: OpenRPC, JSON Schema, TypeScript, docs
	$(BIN)/python -m scripts.tables
	$(BIN)/python -m protocol.generate

vsix: vscode-client/node_modules/.package-lock.json  ## build the VS Code extension: vscode-client/nanoscope-<version>.vsix
	npm --prefix vscode-client run package

test: $(VENV)/dev.stamp $(PACKAGES) vsix  ## run the tests
	@$(TOOLS) tests
	npm --prefix vscode-client test
	@if $(TOOLS) editor; then \
		"$$AGAIN" --no-print-directory $(EDITOR) && $(IN_BROWSER) $(BIN)/python -m pytest $(TEST_FLAGS); \
	elif [ "$$CI" = true ]; then \
		exit 1; \
	else \
		$(BIN)/python -m pytest --ignore tests/e2e/test_editor.py $(TEST_FLAGS); status=$$?; \
		$(TOOLS) left-out; exit $$status; \
	fi

e2e: $(VENV)/dev.stamp $(EDITOR) vsix  ## run the editors' tests in full, in a real VS Code and a real browser
	$(IN_BROWSER) npm --prefix tests/e2e run all

stress: $(VENV)/dev.stamp $(EDITOR) vsix  ## run the stress tests in full, which takes an hour (STRESS="kills --kills 20" for a part)
	@$(TOOLS) tests
	$(IN_BROWSER) $(BIN)/python -m tests.stress $(STRESS)
	$(if $(STRESS),,$(BIN)/python -m tests.stress.storage)

check: $(VENV)/dev.stamp $(PACKAGES)  ## lint, format check, types, import rules, generated files
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/lint-imports --no-cache
	$(BIN)/python -m protocol.generate --check
	$(BIN)/python -m scripts.tables --check
	npm --prefix vscode-client run check

format: $(VENV)/dev.stamp $(PACKAGES)  ## format the code and sort the imports
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .
	npm --prefix vscode-client run format

clean:  ## remove the environment and what tools left; traces stay
	if [ -e $(VENV)/made-by-make ] || [ -e $(VENV)/python.stamp ]; then rm -rf $(VENV); fi
	rm -rf vscode-client/node_modules vscode-client/dist vscode-client/build vscode-client/*.vsix tests/clients/node_modules tests/e2e/node_modules tests/e2e/screenshots .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find daemon nanochat nanoscope protocol scripts tests -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/python.stamp: export PATH := $(OUTSIDE)
$(VENV)/python.stamp:
	@test ! -e $(VENV) || test -e $(VENV)/made-by-make || { echo "$(VENV) is there already, and not by make: move it away, or name another with VENV=" >&2; exit 1; }
	@mkdir -p $(VENV) && touch $(VENV)/made-by-make
	@python=$$($(TOOLS) python $(PYTHON)) && "$$python" -m venv $(VENV)
	@touch $@

$(VENV)/runtime.stamp: $(VENV)/python.stamp $(REQUIREMENTS)
	@echo "Installing into $(VENV), once; torch is large."
	$(BIN)/python -m pip install --quiet -c constraints.txt -e .
	@touch $@

$(VENV)/dev.stamp: $(VENV)/runtime.stamp $(REQUIREMENTS)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[dev]'
	@$(TOOLS) node $(CURDIR)/$(VENV)
	@touch $@

$(EDITOR): tests/e2e/package.json tests/e2e/package-lock.json tests/e2e/install.mjs | $(VENV)/dev.stamp
	@$(TOOLS) editor
	$(IN_BROWSER) npm --prefix tests/e2e run setup
	@touch $@

%/node_modules/.package-lock.json: %/package.json %/package-lock.json | $(VENV)/dev.stamp
	npm --prefix $* ci --no-audit --no-fund
	@touch $@
