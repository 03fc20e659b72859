# `make` lists the targets. Each makes its own virtual environment first when there is none.

PYTHON = python3
VENV = .venv
RUN = $(VENV)/bin/
INSTALLED = $(VENV)/installed
PIP_INSTALL = $(RUN)python -m pip install --quiet --disable-pip-version-check

help:
	@echo "make demo         take the example scene apart: pictures, videos and a metric table (minutes on 2 CPU cores)"
	@echo "make test         the tests"
	@echo "make test-slow    the tests that take longer"
	@echo "make test-gpu     the tests of what a GPU computes, on a GPU"
	@echo "make test-viser   the tests of the viewer with viser 1.0"
	@echo "make benchmark    CONFIG=.../config.yml DATA=dataset: objects from the same masks by every method, and docs/results.md"
	@echo "make speed        CONFIG=.../config.yml DATA=dataset: the object stage's time, and docs/performance.md"
	@echo "make reference    the object stage at full size, for a GPU: 279 views, 779 x 519, 60 masks, 120 slots"
	@echo "make coverage     all tests, and the lines they do not reach"
	@echo "make lint         ruff's checks and formatting, pyright's types"
	@echo "make docs         the API's pages from its docstrings, in build/docs"
	@echo "make format       let ruff mend what it can"
	@echo "make constraints  pin what is installed now in constraints.txt"
	@echo "make clean        delete caches and build leftovers; outputs stay"
	@echo "make distclean    delete the virtual environment too"
	@echo ""
	@echo "Variables: PYTHON=$(PYTHON) makes the virtual environment VENV=$(VENV)."

demo: $(INSTALLED)
	$(RUN)python examples/demo.py

# Two processes, each on one thread: tests are too small to gain from more. A file's tests share a process; long files
# come first.
TWO = -n 2 --dist loadfile --no-loadscope-reorder

# Many tests start programs, which would compile all that they import anew where this is set.
export PYTHONDONTWRITEBYTECODE =

test: $(INSTALLED)
	OMP_NUM_THREADS=1 $(RUN)python -m pytest $(TWO)

# nerfstudio's release pins viser 0.2.7, and its main branch viser 1.0 under the same version number.
test-viser: $(INSTALLED)
	$(PIP_INSTALL) --no-deps --upgrade --target $(VENV)/viser1 viser==1.0.0
	PYTHONPATH=$(VENV)/viser1 OMP_NUM_THREADS=1 $(RUN)python -m pytest $(TWO) tests/viewer

# Kernels, training, surface and pictures: what is computed on a GPU where there is one.
COMPUTED = kernels* hashgrid implementation tinycudann radiance* coarse_to_fine training trainer photos scene_rays \
	objective prefetcher consensus surface storage proposals rays rendering frame occupancy seen_voxels not_finite
GPU_TESTS = $(wildcard $(COMPUTED:%=tests/test_%.py))

test-gpu: $(INSTALLED)
	@$(RUN)python -c 'import torch; raise SystemExit(not torch.cuda.is_available() and "torch finds no GPU")'
	$(RUN)python -m pytest -n 4 --dist loadfile $(GPU_TESTS)

test-slow: $(INSTALLED)
	$(RUN)python -m pytest -m slow

benchmark: $(INSTALLED)
	$(RUN)python -m benchmarks.quality --run $(CONFIG) --data $(DATA) \
		--output benchmarks/results/quality_$(notdir $(DATA)).json
	$(RUN)python -m benchmarks.report

speed: $(INSTALLED)
	$(RUN)python -m benchmarks.naive --run $(CONFIG) --data $(DATA)
	$(RUN)python -m benchmarks.object_stage --run $(CONFIG) --data $(DATA)
	$(RUN)python -m benchmarks.scaling
	$(RUN)python -m benchmarks.viewer --run $(CONFIG)
	$(RUN)python -m benchmarks.startup
	$(RUN)python -m benchmarks.performance

reference: $(INSTALLED)
	$(RUN)python -m benchmarks.kernels
	$(RUN)python -m benchmarks.radiance_stage
	$(RUN)python -m benchmarks.radiance_stage --first-step 6000
	$(RUN)python -m benchmarks.object_stage --reference
	$(RUN)python -m benchmarks.object_stage --reference --matching view
	$(RUN)python -m benchmarks.scaling --reference --output benchmarks/results/scaling_gpu.json
	$(RUN)python -m benchmarks.performance

coverage: $(INSTALLED)
	$(RUN)python -m pytest -m "slow or not slow" --cov

lint: $(INSTALLED)
	$(RUN)ruff check .
	$(RUN)ruff format --check .
	$(RUN)pyright

format: $(INSTALLED)
	$(RUN)ruff check --fix .
	$(RUN)ruff format .

docs: $(INSTALLED)
	$(RUN)python docs/build.py build/docs
	@echo "The pages begin with build/docs/disconerf_ns.html"

constraints: $(INSTALLED)
	$(PIP_INSTALL) -c constraints.txt -e '.[dev,ray,scenes,transformers]'
	$(RUN)python .ci/pins.py > $(VENV)/constraints.txt
	mv $(VENV)/constraints.txt constraints.txt

clean:
	rm -rf build dist *.egg-info .pytest_cache .ruff_cache .hypothesis .coverage coverage.xml
	find disconerf_ns tests examples benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean
	rm -rf $(VENV)

# viser wants pyliblzfse, for Record3D files only; it is the one package that has no wheel. Where it can't be
# compiled, everything else is installed from the pins, which are complete from Python 3.11 on.
$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 13))' || { \
		echo "This needs Python 3.10, 3.11 or 3.12: make PYTHON=/path/to/python3.12"; exit 1; }
	@test -x $(RUN)pip || $(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }
	@echo "Installing into $(VENV): some minutes and 8 GB of disk ..."
	@if $(PIP_INSTALL) -c constraints.txt pyliblzfse 2> $(VENV)/pyliblzfse.log; then \
		$(PIP_INSTALL) -c constraints.txt -e '.[dev]'; \
	elif $(RUN)python -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then \
		echo "There is no C compiler or no Python.h: leaving out viser's reader of Record3D files."; \
		grep -v '^pyliblzfse' constraints.txt > $(VENV)/pins.txt; \
		$(PIP_INSTALL) --no-deps -r $(VENV)/pins.txt -e .; \
	else \
		cat $(VENV)/pyliblzfse.log; \
		echo "On Python 3.10 this needs a C compiler and Python.h (Debian, Ubuntu: gcc python3-dev)."; exit 1; \
	fi
	@touch $(INSTALLED)

.PHONY: help demo test test-gpu test-slow test-viser benchmark speed reference coverage lint docs format constraints clean distclean
