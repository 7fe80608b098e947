# Each target makes .venv from requirements.lock if it is missing; python3 may be 3.11 to 3.13.
PYTHON ?= python3
BIN = .venv/bin
RUN = $(BIN)/python -m
CHECKED = tests/test_architecture.py tests/test_designs.py tests/test_contributing.py tests/charge/test_stock.py \
    tests/charge/test_offline.py tests/slabs tests/lifecycle/test_draws.py tests/sweep/plan \
    tests/sweep/engine/test_loop.py tests/sweep/engine/test_usable.py tests/analysis/test_marts.py

.PHONY: churn check test lint docs bench bench-long torture-short torture lock clean

churn: .venv/installed  ## the main job; its last line is the run's folder
	@$(RUN) sweep +experiment=churn

check: lint  ## what matters while one works, in a minute
	$(RUN) pytest -q --hypothesis-profile=fast -m "not slow and not bench and not long" $(CHECKED)

test: .venv/installed  ## everything but what takes minutes, a file to a core
	$(RUN) pytest -n logical --dist loadfile --max-worker-restart 0 -m "not slow and not bench and not long"

lint: .venv/installed
	$(RUN) ruff check .
	$(RUN) ruff format --check .
	$(RUN) mypy

docs: .venv/installed  ## after a change of a column, a parameter or a query
	$(RUN) analysis.docs

bench: .venv/installed .venv-rivals/installed  ## measurements, side by side
	$(RUN) pytest tests/bench -m "bench and not slow" --bench-page docs/benchmarks.md --bench-runs results/bench

bench-long: .venv/installed  ## a million points
	$(RUN) pytest tests/bench -m "bench and slow" -s

torture-short: .venv/installed  ## clusters, kills and whole trees, in their short form
	$(RUN) pytest -m "long and not slow"

torture: .venv/installed  ## clusters, statistics, and faults in their long form
	$(RUN) pytest -m "slow and not bench" -s

lock:  ## after a change of the dependencies in pyproject.toml
	$(BIN)/uv pip compile pyproject.toml --extra dev --universal --generate-hashes --no-emit-index-url \
	    --no-annotate --python-version 3.11 --quiet --custom-compile-command "make lock" -o requirements.lock

.venv/installed: requirements.lock pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

# apart from .venv, because hydra-ray-launcher wants an old cloudpickle; Ray is the same as there
.venv-rivals/installed: requirements.lock
	$(PYTHON) -m venv .venv-rivals
	.venv-rivals/bin/pip install --quiet --disable-pip-version-check hydra-core==1.3.8 hydra-joblib-launcher==1.2.0 \
	    hydra-ray-launcher==1.2.2 "ray[tune]==$$(sed -n 's/^ray==\([0-9.]*\).*/\1/p' requirements.lock)" boto3 numpy \
	    pandas==3.1.1 polars==2.1.0 pyarrow
	touch $@

clean:
	rm -rf .venv .venv-rivals build *.egg-info
