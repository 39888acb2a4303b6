# What there is to do. Each target sets up what it needs; nothing has to be installed before
# but Python 3.11, 3.12 or 3.13.
PYTHON ?= python3
BIN := .venv/bin
export MLFLOW_DISABLE_TELEMETRY := true
SHARED := -n 2 --dist loadgroup --no-loadscope-reorder

.PHONY: demo loop test coverage check docs real constraints clean

demo: .venv/base  ## iris and titanic on what is there, the scores, and what to type next
	$(BIN)/mlfolio run iris
	$(BIN)/mlfolio run titanic
	@$(BIN)/mlfolio list
	@echo "Next:"
	@echo "  . .venv/bin/activate"
	@echo "  mlfolio predict titanic sex=female age=29 pclass=1"
	@echo "  mlfolio report titanic --open"
	@echo "  mlfolio run titanic --data train.csv    # Kaggle's file, or any CSV with target=COLUMN"

loop: .venv/all  ## six simulated months: watched, trained, released, rolled back; loop/story.html
	$(BIN)/python tools/loop.py loop

test: .venv/all lint types  ## everything that needs no network
	$(BIN)/pytest $(SHARED) -m "not alone" --durations=40 --durations-min=5
	$(BIN)/pytest -m alone --durations=10 --durations-min=5

coverage: .venv/all  ## the same, slower, with the lines that no test reaches
	$(BIN)/pytest $(SHARED) -m "not alone" --cov --cov-report=
	$(BIN)/pytest -m alone --cov --cov-append --cov-report=term:skip-covered

check: .venv/all lint types  ## two minutes: lint, types, fast tests
	$(BIN)/pytest -q $(SHARED) -m "not slow"

.PHONY: lint types
lint:
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types:
	$(BIN)/mypy

docs: .venv/all
	$(BIN)/mkdocs build --strict

real: .venv/all  ## the slow runs on real data in $MLFOLIO_DATA; writes every results.json
	$(BIN)/python tools/results.py iris house-prices titanic movies spam segments digits sentiment pictures stocks masks chatbot documents churn
	$(BIN)/python tools/readme.py

constraints: .venv/all  ## pins every package of every extra anew
	echo "torch==2.13.0" > build-torch.txt
	$(BIN)/pip-compile --quiet --upgrade --all-extras --strip-extras --no-header --no-annotate \
		--no-emit-options --constraint build-torch.txt --output-file constraints.txt pyproject.toml
	sed -i -e 's/+cpu//' -e '/^#/d' -e '/^mlfolio @/d' constraints.txt && rm build-torch.txt

.venv/base: pyproject.toml constraints.txt
	@$(PYTHON) -c "import sys; v = sys.version_info[:2]; sys.exit(f'mlfolio needs Python 3.11, 3.12 or 3.13; {sys.executable} is {v[0]}.{v[1]}. Try: make PYTHON=python3.12' if not (3, 11) <= v <= (3, 13) else 0)"
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e .
	@touch $@

.venv/all: .venv/base
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e '.[all,dev]'
	@touch $@

clean:
	rm -rf .venv loop .mypy_cache .ruff_cache .pytest_cache .coverage* site dist
