# make demo: the whole workflow in minutes. make test: the tests. Both set up .venv first.
PYTHON ?= python3
BIN := .venv/bin
CORES ?= $(shell nproc)
# One thread a job, as many jobs as cores: small networks gain more from that than from threads.
DEMO := --cores $(CORES) --resources gpu=$(CORES) --configfile configs/demo.yaml \
  --set-threads initialise=1 train=1 evaluate=1

.PHONY: demo test test-services test-faults test-cluster fuzz lint config-docs lock clean bench bench-gpu bench-growth
.DELETE_ON_ERROR:

demo: .venv/installed
	$(BIN)/snakemake $(DEMO)
	@echo "tables: results/demo/tables/   report: results/demo/report.html"

test: .venv/installed
	$(BIN)/python -m pytest -n $(CORES) --dist loadfile

# A tracking server on PostgreSQL, results in a bucket: real servers on this machine, minutes.
test-services: .venv/installed
	$(BIN)/python -m pytest tests/services

# The tiny config through profiles/slurm, on SLURM itself: installs Debian's packages, needs root.
test-cluster: .venv/installed
	$(BIN)/python -m pytest tests/cluster -s

# Kills, full disks, dead servers, damaged files; TRIALS of each random fault, at moments by SEED.
TRIALS ?= 20
SEED ?= 0
test-faults: .venv/installed
	FAULT_TRIALS=$(TRIALS) FAULT_SEED=$(SEED) $(BIN)/python -m pytest -n $(CORES) tests/faults

# Readers of files from outside under libFuzzer, 100,000 cases or ten minutes each.
fuzz: .venv/installed
	for reader in config index xlsx boxes image checkpoint; do \
	  $(BIN)/python -m tests.fuzz $$reader -runs=100000 -max_total_time=600 || exit 1; done

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile rules
	$(BIN)/mypy
	PYTHONPATH=scripts $(BIN)/lint-imports
	$(BIN)/snakemake --lint

# What follows from the typed configuration: schema, default YAML, reference page.
config-docs: .venv/installed
	PYTHONPATH=scripts $(BIN)/python -m neuron_pruning.configuration

# uv installs the lock in about half a minute; without it, pip does the same more slowly.
# --compile-bytecode: without it every job would start seconds later.
.venv/installed: requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Python 3.11 or newer is needed; try: make PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet uv \
	  && $(BIN)/uv pip install --quiet --python $(BIN)/python --compile-bytecode \
	    --require-hashes -r requirements.lock \
	  || $(BIN)/python -m pip install --quiet --require-hashes -r requirements.lock
	touch $@

# What docs/PERFORMANCE.md claims, measured again: ten minutes on two idle cores.
REPEATS ?= 2
bench: .venv/installed
	$(BIN)/python -m benchmarks.training --repeats $(REPEATS)
	$(BIN)/python -m benchmarks.jobs
	$(BIN)/python -m benchmarks.streaming
	$(BIN)/python -m benchmarks.pruning
	$(BIN)/python -m benchmarks.profile imports

bench-gpu: .venv/installed
	$(BIN)/python -m benchmarks.training --name training-gpu --precisions float32 tf32 bfloat16
	$(BIN)/python -m benchmarks.training --name training-gpu-autotuned --autotune --precisions bfloat16
	$(BIN)/python -m benchmarks.profile step --name profile-step-gpu --batch-size 128
	$(BIN)/python -m benchmarks.floor

bench-growth: .venv/installed
	$(BIN)/python -m benchmarks.growth
	$(BIN)/python -m benchmarks.profile layers

lock:
	$(BIN)/uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 \
	  --generate-hashes --no-emit-index-url --no-header -o requirements.lock

clean:
	rm -rf .venv .snakemake results/*/ results/mlflow.db*
