# Everything happens in .venv and vendor/; run a target twice and the second time needs no network.

PYTHON ?= python3
BIN := .venv/bin
PROJECT := pyproject.toml setup.py vendor/upstream.toml

.PHONY: demo test check dist format clean upstream

demo: .venv/installed
	$(BIN)/python build_wheels.py fetch
	$(BIN)/litestream demo

# Most tests wait most of their time: four workers, however few the cores.
test: .venv/installed-dev
	$(BIN)/python build_wheels.py fetch --series all --platform all
	$(BIN)/pytest -n 4

check: .venv/installed-dev
	$(BIN)/python build_wheels.py fetch --series all --platform all
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/zizmor --quiet --offline .github
	$(BIN)/pytest -n 4 --cov --cov-branch

# What a release uploads: eight wheels and the sdist, built and checked.
dist: .venv/installed-dev
	$(BIN)/python build_wheels.py build --out dist
	$(BIN)/python build_wheels.py check dist

# Which traps Litestream releases have: all pinned ones, or VERSION=0.5.16. Writes docs/upstream.md.
upstream: .venv/installed-dev
	$(BIN)/python -m upstream $(VERSION) $(if $(CHANGES),--changes $(CHANGES))

format: .venv/installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# What was downloaded stays in vendor/.
clean:
	rm -rf .venv build dist htmlcov src/*.egg-info src/litestream/bin
	rm -rf .coverage* .hypothesis .mypy_cache .nox .pytest_cache .ruff_cache
	find . -name __pycache__ -prune -exec rm -rf {} +

# tomli: Python 3.10 cannot read upstream.toml without it.
.venv/made:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "Python 3.10 or newer, please: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip 'tomli; python_version < "3.11"'
	touch $@

.venv/installed: .venv/made $(PROJECT)
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

.venv/installed-dev: .venv/made $(PROJECT)
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@ .venv/installed
