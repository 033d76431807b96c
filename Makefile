# make serve   the service on http://127.0.0.1:8000, with the default model
# make teach   the same, with photos and training on its page /teach
# make test    the whole test suite
# make help    the rest
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip --disable-pip-version-check --quiet
LOCKS := requirements
AUDIT := $(VENV)/release/bin/pip-audit --disable-pip --require-hashes --progress-spinner off
PIP_VERSION := 26.3
UV_VERSION := 0.13.9
ARGS ?=

.PHONY: help serve teach setup setup-torch test check audit fix docs bench soak docker sbom release lock clean

help: ## these lines
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 14

serve: $(VENV)/.serve ## run the service (ARGS="--port 9000" for options)
	$(BIN)/hubel serve $(ARGS)

teach: $(VENV)/.train ## teach it on the page /teach: photos in data/, models in models/ (ARGS="--port 9000" for options)
	@mkdir -p data models && [ -e data/admin.key ] || (umask 077 && $(BIN)/python -c 'import secrets; print(secrets.token_urlsafe(24))' > data/admin.key)
	@echo "Open http://127.0.0.1:8000/teach#key=$$(cat data/admin.key)"
	HUBEL_DATA_DIR=data HUBEL_ADMIN_KEY_FILE=data/admin.key $(BIN)/hubel serve --models models $(ARGS)

setup: $(VENV)/.setup ## everything but torch: to serve, train a head, test and check

setup-torch: $(VENV)/.torch ## and torch: to fine-tune, and to make the default bundle

test: $(VENV)/.setup ## all tests (ARGS="-k name" for some)
	$(BIN)/python -m pytest $(ARGS)

check: $(VENV)/.setup ## format, lint, types, import rules; known vulnerabilities, where their data can be reached
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports
	@$(MAKE) --no-print-directory audit

audit: $(BIN)/python ## known vulnerabilities of the locked packages
	@if $(BIN)/python deploy/release/vulnerability_data.py; then \
	  $(MAKE) --no-print-directory $(VENV)/.release && $(AUDIT) -r $(LOCKS)/serve-cpu.txt && $(AUDIT) -r $(LOCKS)/train.txt; fi

fix: $(VENV)/.setup ## format, and mend what lint can
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

docs: $(VENV)/.setup ## write the tables and help texts of docs/*.md anew
	$(BIN)/python docs/generate.py

bench: $(VENV)/.bench ## measure against other servers (ARGS="--photos DIR", --quick for two minutes)
	$(BIN)/python -m benchmarks.serving $(ARGS)

soak: $(VENV)/.setup ## attack it for an hour or more; mixed traffic for 30 minutes of it (ARGS="--minutes 3" for fewer)
	$(BIN)/python -m benchmarks.hardening.mutations --count 200000
	$(BIN)/python -m benchmarks.hardening.openapi_cases
	$(BIN)/python -m benchmarks.hardening.training_kills
	$(BIN)/python -m benchmarks.hardening.soak $(ARGS)

docker: ## build the image hubel
	docker build --tag hubel --build-arg COMMIT=$$(git describe --always --abbrev=40 --exclude='*' --dirty) \
	  --build-arg VERSION=$$(sed -n 's/^__version__ = "\(.*\)"$$/\1/p' app/__init__.py) .

sbom: $(VENV)/.release ## the packages of each image, as CycloneDX files in dist/
	$(BIN)/python deploy/release/sbom.py $(ARGS)

release: $(VENV)/.setup $(VENV)/.release ## changelog, tag, wheel, SBOMs and images (ARGS="0.2.0"; --dry-run changes nothing)
	$(BIN)/python deploy/release/release.py $(ARGS)

lock: ## resolve the locked requirements anew
	$(PYTHON) -m venv $(VENV)/lock && $(VENV)/lock/bin/pip install --quiet uv==$(UV_VERSION)
	for device in cpu gpu; do \
	  $(COMPILE) --extra $$device --extra otel -o $(LOCKS)/serve-$$device.txt || exit 1; done
	$(COMPILE) --extra cpu --extra train -c $(LOCKS)/serve-cpu.txt -o $(LOCKS)/train.txt
	$(COMPILE) --extra cpu --extra bench -c $(LOCKS)/serve-cpu.txt -o $(LOCKS)/bench.txt
	$(COMPILE) --extra cpu --extra otel --extra train --extra parquet --extra heif --extra s3 --extra index --extra dev -c $(LOCKS)/serve-cpu.txt -c $(LOCKS)/train.txt -o $(LOCKS)/dev.txt
	echo 'pillow-heif>=1.8' | $(COMPILE_ONE) - -o $(LOCKS)/heif.txt
	printf 'fsspec>=2026.9\nobstore>=0.12\n' | $(COMPILE_ONE) - -o $(LOCKS)/s3.txt
	echo 'faiss-cpu>=1.15' | $(COMPILE_ONE) - -o $(LOCKS)/index.txt
	$(filter-out --no-deps,$(COMPILE_ONE)) --group moto -o $(LOCKS)/moto.txt
	$(COMPILE) --extra cpu --extra ray -c $(LOCKS)/dev.txt -o $(LOCKS)/ray.txt
	$(filter-out --no-deps,$(COMPILE_ONE)) --group release -o $(LOCKS)/release.txt

COMPILE_ONE := $(VENV)/lock/bin/uv pip compile --quiet --upgrade --universal --generate-hashes \
  --python-version 3.11 --custom-compile-command 'make lock' --no-emit-index-url --no-deps
COMPILE = $(filter-out --no-deps,$(COMPILE_ONE)) --group build pyproject.toml

clean: ## remove the environment and what tools left
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info

# Python 3.11's own pip takes a minute longer to compare the files of all releases.
$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15))' \
	  || { echo 'Hubel needs Python 3.11 to 3.14: make PYTHON=/path/to/python3' >&2; exit 2; }
	$(PYTHON) -m venv $(VENV) && $(PIP) install pip==$(PIP_VERSION) || { rm -rf $(VENV); exit 1; }

$(VENV)/.serve: $(LOCKS)/serve-cpu.txt pyproject.toml | $(BIN)/python
	$(PIP) install --require-hashes -r $(LOCKS)/serve-cpu.txt
	$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.train: $(VENV)/.serve $(LOCKS)/train.txt
	$(PIP) install --require-hashes -r $(LOCKS)/train.txt
	@touch $@

$(VENV)/.setup: $(VENV)/.train $(LOCKS)/dev.txt
	$(PIP) install --require-hashes -r $(LOCKS)/dev.txt
	@touch $@

$(VENV)/.bench: $(VENV)/.setup $(LOCKS)/bench.txt
	$(PIP) install --require-hashes -r $(LOCKS)/bench.txt
	@touch $@

# Programs with packages of their own, which the service and its tests don't need.
$(VENV)/.release: $(LOCKS)/release.txt | $(BIN)/python
	$(PYTHON) -m venv --without-pip $(VENV)/release
	$(PIP) --python $(VENV)/release/bin/python install --require-hashes -r $(LOCKS)/release.txt
	@touch $@

# botocore, which moto needs, and matplotlib need different versions of python-dateutil.
$(VENV)/.moto: $(LOCKS)/moto.txt | $(BIN)/python
	$(PYTHON) -m venv --without-pip $(VENV)/moto
	$(PIP) --python $(VENV)/moto/bin/python install --require-hashes -r $(LOCKS)/moto.txt
	@touch $@

# 31 packages, 300 MB: for tests, beside the environment that it shares the other packages with.
$(VENV)/.ray: $(VENV)/.serve $(LOCKS)/ray.txt
	$(PYTHON) -m venv --without-pip $(VENV)/ray
	$(BIN)/python -c "import glob, site; \
	  open(glob.glob('$(VENV)/ray/lib/*/site-packages')[0] + '/shared.pth', 'w').write(site.getsitepackages()[0])"
	$(PIP) --python $(VENV)/ray/bin/python install --no-compile --require-hashes -r $(LOCKS)/ray.txt
	@touch $@

# torch's CPU and PyPI builds differ, so it is pinned without hashes.
$(VENV)/.torch: $(VENV)/.setup $(LOCKS)/torch.txt
	$(PIP) install -r $(LOCKS)/torch.txt
	@touch $@
