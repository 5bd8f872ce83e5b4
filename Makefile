# Every target does its own set-up on a fresh Debian machine with only python3 and make.
# As root the real proxies come from the system's packages; otherwise the tests name what is missing.

BIN := .venv/bin

# Some machines forbid it; then every process that the tests start would compile all that it loads.
export PYTHONDONTWRITEBYTECODE=

.PHONY: demo test test-fast fuzz check bench bench-peers docs generated release clean
.DEFAULT_GOAL := demo

.venv/ready: pyproject.toml scripts/venv
	@scripts/venv .venv test quality proxies servers frameworks clients

.venv-demo/ready: pyproject.toml scripts/venv
	@scripts/venv .venv-demo

.venv-bench/ready: pyproject.toml bench/peers.txt scripts/venv
	@scripts/venv .venv-bench test proxies
	@.venv-bench/bin/python -m pip install --quiet --disable-pip-version-check -r bench/peers.txt

demo: .venv-demo/ready
	@scripts/install-proxies nginx
	@.venv-demo/bin/undam lab article

test: check
	@scripts/install-proxies all
	@scripts/install-engine
	@scripts/install-relays
	@scripts/test

test-fast: .venv/ready
	@scripts/test fast

# An hour of damaged inputs for every parser: `make fuzz SECONDS=60` for less.
fuzz: .venv/ready
	@$(BIN)/python -m pytest -q -n 2 -m deep tests/lint
	@$(BIN)/python scripts/fuzz --seconds $(or $(SECONDS),3600)

check: .venv/ready
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/hadolint deploy/Dockerfile
	@$(BIN)/zizmor --offline --quiet --no-progress action.yml .github/workflows

# The documentation, into site/; it has an environment of its own.
docs:
	@scripts/docs

# All files that are generated from the source; tests fail if one is out of date.
generated: .venv/ready
	@$(BIN)/python scripts/write-docs
	@$(BIN)/python scripts/write-intermediaries
	@$(BIN)/python scripts/write-commands
	@$(BIN)/python scripts/write-schemas

# Wheel and sdist, verified in clean environments; nothing is uploaded.
release:
	@scripts/release

bench: .venv-bench/ready
	@.venv-bench/bin/python -m bench

# The other load tools take up to eight gigabytes, so plain `bench` measures only those that are there.
bench-peers: .venv-bench/ready
	@scripts/bench-peers
	@.venv-bench/bin/python -m bench load_peers

clean:
	rm -rf .venv .venv-* .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage* .proxies node_modules site .docs-source dist
