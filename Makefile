# make demo: the whole workflow in minutes. make demo-network: a network trained elsewhere, pruned.
# make test: the tests. Each first installs what it needs.
PYTHON ?= python3
BIN := .venv/bin
CORES ?= $(shell nproc)
# One thread per job, as many jobs as cores: small networks gain more from that than from threads.
DEMO := --cores $(CORES) --resources gpu=$(CORES) --configfile configs/demo.yaml \
  --set-threads initialise=1 train=1 evaluate=1

.PHONY: demo demo-network cluster-tools test test-services test-faults test-cluster fuzz lint config-docs docs docs-reference lock clean bench bench-gpu bench-growth
.DELETE_ON_ERROR:

demo: .venv/installed
	$(BIN)/snakemake $(DEMO)
	@echo "tables: results/demo/tables/   report: results/demo/report.html"

# A network and photographs that packages ship. The photographs are cut into tiles before Snakemake
# starts, as a user's images are there: jobs depend on what they hold.
PHOTOGRAPHS := data/demo_network
demo-network: .venv/demo $(PHOTOGRAPHS)
	$(BIN)/snakemake networks --cores $(CORES) --configfile configs/demo_network.yaml \
	  --set-threads inspect_network=1 plan_network=1 prune_network=1
	@echo "tables: results/demo_network/tables/   report: results/demo_network/networks.html"

$(PHOTOGRAPHS): configs/demo_network/tiles.py .venv/installed
	rm -rf $@
	$(BIN)/python $< $@

# A thread a worker: small networks gain nothing from more, and threads that wait cost time.
test: .venv/tested
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(CORES) --dist loadfile

# A tracking server on PostgreSQL, results in a bucket: real servers on this machine, minutes.
test-services: .venv/tested
	$(BIN)/python -m pytest tests/services

# The tiny config through profiles/slurm, on SLURM itself: installs Debian's packages, needs root.
test-cluster: .venv/tested
	$(BIN)/python -m pytest tests/cluster -s

# Kills, full disks, dead servers, damaged files; TRIALS of each random fault, at moments by SEED.
TRIALS ?= 20
SEED ?= 0
test-faults: .venv/tested
	FAULT_TRIALS=$(TRIALS) FAULT_SEED=$(SEED) $(BIN)/python -m pytest -n $(CORES) tests/faults

# Readers of files from outside under libFuzzer, 100,000 cases or ten minutes each.
fuzz: .venv/tested
	for reader in config index xlsx boxes splits image checkpoint weights; do \
	  $(BIN)/python -m tests.fuzz $$reader -runs=100000 -max_total_time=600 || exit 1; done

lint: .venv/tested
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	PYTHONPATH=scripts $(BIN)/lint-imports
	$(BIN)/codespell Snakefile Makefile README.md $(wildcard *.yaml) scripts rules configs profiles \
	  schemas resources services report docs tests benchmarks
	$(BIN)/snakemake --lint

# What follows from the typed configuration: schema, default YAML, reference page.
config-docs: .venv/installed
	PYTHONPATH=scripts $(BIN)/python -m neuron_pruning.configuration

# Pages that follow from the code (files with their columns, techniques) and from kept results (SFEW).
docs-reference: .venv/installed
	PYTHONPATH=scripts $(BIN)/python docs/generate_reference.py
	PYTHONPATH=scripts $(BIN)/python docs/generate_results.py
	PYTHONPATH=scripts $(BIN)/python docs/generate_what_works.py

# The documentation as a site in site/; a broken link is an error. Works offline.
docs: .venv/tested
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

# What profiles/slurm, kubernetes and s3 and a tracking server on PostgreSQL need as well.
cluster-tools: .venv/cluster

# What running needs; the other environments add to it, each with a lock of its own.
# uv takes about half a minute; without it, pip does the same more slowly.
# --compile-bytecode: without it every job would start seconds later.
LOCKS = $(patsubst %,-r %,$(filter %.lock,$^))
INSTALL = $(BIN)/uv pip install --quiet --python $(BIN)/python --compile-bytecode \
    --require-hashes $(LOCKS) \
  || $(BIN)/python -m pip install --quiet --require-hashes $(LOCKS)

.venv/installed: requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Python 3.11 or newer is needed; try: make PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv .venv
	-$(BIN)/python -m pip install --quiet uv
	$(INSTALL)
	touch $@

.venv/cluster: .venv/installed requirements.lock requirements-cluster.lock
	$(INSTALL)
	touch $@

.venv/demo: .venv/installed requirements.lock requirements-demo.lock
	$(INSTALL)
	touch $@

.venv/tested: .venv/installed requirements.lock requirements-cluster.lock requirements-demo.lock \
    requirements-dev.lock
	$(INSTALL)
	touch $@

# What docs/explanation/performance.md claims, measured again: ten minutes on two idle cores.
REPEATS ?= 2
bench: .venv/installed
	$(BIN)/python -m benchmarks.training --repeats $(REPEATS)
	$(BIN)/python -m benchmarks.jobs
	$(BIN)/python -m benchmarks.streaming
	$(BIN)/python -m benchmarks.pruning
	$(BIN)/python -m benchmarks.profile imports

# Half an hour of a GPU, the most telling part first; GPU_PYTHON=python3 where nothing can be
# installed, DEVICE=cpu to rehearse.
GPU_PYTHON ?= $(BIN)/python
DEVICE ?= cuda
bench-gpu: $(if $(filter $(BIN)/python,$(GPU_PYTHON)),.venv/installed)
	$(GPU_PYTHON) -m benchmarks.gpu smoke --device $(DEVICE)
	$(GPU_PYTHON) -m benchmarks.gpu paper --device $(DEVICE)
	$(GPU_PYTHON) -m benchmarks.gpu bench --device $(DEVICE)

bench-growth: .venv/installed
	$(BIN)/python -m benchmarks.growth
	$(BIN)/python -m benchmarks.profile layers

# A lock holds the versions of the locks before it fixed and leaves their packages out.
COMPILE := $(BIN)/uv pip compile pyproject.toml --universal --python-version 3.11 \
  --generate-hashes --no-emit-index-url --no-header --quiet
after = -c $(1) $$(sed -nE "/ ; sys_platform == 'win32'/!"'s/^([a-z0-9._-]+)==.*/--no-emit-package \1/p' $(1))
lock:
	$(COMPILE) --extra workflow -o requirements.lock
	$(COMPILE) --extra workflow --extra cluster $(call after,requirements.lock) \
	  -o requirements-cluster.lock
	$(COMPILE) --extra workflow --extra demo $(call after,requirements.lock) \
	  -c requirements-cluster.lock -o requirements-demo.lock
	$(COMPILE) --all-extras $(call after,requirements.lock) \
	  $(call after,requirements-cluster.lock) $(call after,requirements-demo.lock) \
	  -o requirements-dev.lock

clean:
	rm -rf .venv .snakemake $(PHOTOGRAPHS) build site scripts/*.egg-info results/*/ results/mlflow.db*
