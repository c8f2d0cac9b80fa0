.DEFAULT_GOAL := help
PYTHON := .venv/bin/python
# Without what an emulated processor reads for half a minute and no test there needs.
IN_MACHINE = $(abspath $(PYTHON)) -m pytest -v -p no:cacheprovider -p no:hypothesispytest -p no:schemathesis
export PYTHONPATH := $(CURDIR)

.PHONY: help setup demo test check unit cluster browser node kernel bench bench-short kind-e2e image sbom format generate lock clean

help: ## Show this list
	@awk -F':.*## ' '/^[a-z0-9-]+:.*## /{printf "  %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## Install all that the other commands need (Debian, Ubuntu; as root)
	@tools/setup.sh $(firstword $(MAKECMDGOALS))

demo: setup ## Show the whole product at work; KEEP=1 leaves it running
	@KEEP=$(KEEP) $(PYTHON) -m tools.demo

test: check unit cluster browser node kernel bench-short ## Run all checks and all tests

check: setup ## Format, lint, types, layers
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy operator tools bench
	.venv/bin/lint-imports

unit: setup ## Tests of pure parts: seconds
	$(PYTHON) -m pytest -q -n 2 --dist worksteal -p no:schemathesis tests/unit tests/tools

cluster: setup ## Tests on a real API server with real tunnels: minutes
	$(PYTHON) -m pytest -q -n 2 --dist loadfile tests/cluster

browser: setup ## Tests of the pages in Chromium, before a real gateway and tunnel: minutes
	$(PYTHON) -m pytest -q tests/browser

node: setup ## Tests on a real node with real pods, in namespaces of their own: minutes
	$(PYTHON) -m tools.node $(abspath $(PYTHON)) -m pytest -q tests/node

kernel: setup ## Tests of the kernel's WireGuard, and of the unit of systemd, in virtual machines: minutes
	$(PYTHON) -m tools.kernel $(IN_MACHINE) tests/kernel
	$(PYTHON) -m tools.kernel --systemd $(IN_MACHINE) tests/systemd

kind-e2e: setup ## The product's tests on kind, where there is a Docker engine; KEEP=1 leaves the cluster
	@KEEP=$(KEEP) $(PYTHON) -m tools.kind

bench: setup ## Measure ten and a hundred thousand peers: a table and dist/bench.json; an hour
	$(PYTHON) -m bench

bench-short: setup ## Measure what does not depend on the machine: minutes
	$(PYTHON) -m bench --short --json dist/bench-short.json

image: setup ## Build the container image without a registry
	$(PYTHON) -m tools.image build

sbom: setup ## Write down what is in the image: dist/sbom.spdx.json
	@mkdir -p dist
	$(PYTHON) -m tools.image sbom >dist/sbom.spdx.json

format: setup ## Format and fix what can be fixed
	.venv/bin/ruff format .
	.venv/bin/ruff check --fix .

generate: setup ## Generate crds/ and docs/ from the code, the chart's dashboard, manifests/install/ from the chart
	.venv/bin/wireguard-operator crds --output crds
	.venv/bin/wireguard-operator reference --output docs/reference.md
	$(PYTHON) -m tools.chart

lock: setup ## Resolve pyproject.toml anew into the lock files
	$(PYTHON) -m pip install --quiet uv
	.venv/bin/uv pip compile -q --universal --generate-hashes --python-version 3.11 --no-header --no-annotate \
		pyproject.toml -o requirements.lock
	.venv/bin/uv pip compile -q --universal --generate-hashes --python-version 3.11 --no-header --no-annotate \
		--extra dev pyproject.toml -o requirements-dev.lock

clean: ## Remove the virtual environment and tool caches of this checkout
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
