# Two commands: `make demo` and `make test`. Each sets up everything it needs in .venv first.
PYTHON ?= python3
UV := .uv/bin/uv
BIN := .venv/bin
ORT := ort.wasm.min.mjs ort-wasm-simd-threaded.mjs ort.webgpu.min.mjs ort-wasm-simd-threaded.asyncify.mjs
WASM := ort-wasm-simd-threaded.wasm ort-wasm-simd-threaded.asyncify.wasm

.PHONY: docs demo test web slow faults size lint types audit bench clean help

help:
	@echo "make demo   train on drawn satellite tiles; plots and model in demo-output/"
	@echo "make test   the tests"
	@echo "make web    fetch what the page runs on, which \`onecycle site\` copies (needs npm)"
	@echo "make slow   tests and measurements on real data (../shared/data), minutes to hours"
	@echo "make faults plant small faults and see which the tests notice (hours; ROOM=learn: some)"
	@echo "make bench  the same work in onecycle, its peers and bare, ten minutes (FULL=1: an hour)"
	@echo "make size   how large the library is, against its limits"
	@echo "make lint   ruff; make types: mypy; make audit: known weaknesses of the packages"

$(UV):
	$(PYTHON) -c 'import sys; assert sys.version_info >= (3, 11), "onecycle needs Python 3.11 or newer"'
	$(PYTHON) -m venv .uv
	.uv/bin/python -m pip install --quiet --disable-pip-version-check uv

.venv/ready: pyproject.toml | $(UV)
	$(UV) venv --quiet --allow-existing --python $(PYTHON) .venv
	$(UV) pip install --quiet --python $(BIN)/python --editable '.[dev]'
	touch .venv/ready

demo: .venv/ready
	$(BIN)/onecycle demo planet --out demo-output

test: .venv/ready
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not slow" -n auto --dist loadfile

slow: .venv/ready
	$(BIN)/python -m pytest -m slow --hypothesis-profile=default

web/node_modules/ready: web/package-lock.json web/pack.mjs
	cd web && npm ci --ignore-scripts --no-audit --no-fund
	mkdir -p web/page/ort
	cp $(addprefix web/node_modules/onnxruntime-web/dist/,$(ORT)) web/page/ort/
	cp web/node_modules/@huggingface/tokenizers/dist/tokenizers.min.mjs web/page/ort/
	rm -f $(addprefix web/page/ort/,$(WASM))
	cd web && node pack.mjs node_modules/onnxruntime-web/dist page/ort $(WASM)
	touch web/node_modules/ready

web: web/node_modules/ready

faults: .venv/ready web
	$(BIN)/python scripts/plant_faults.py $(ROOM) --write

.peer/ready: benchmarks/peers.txt | $(UV)
	$(UV) venv --quiet --allow-existing --python $(PYTHON) .peer
	$(UV) pip install --quiet --python .peer/bin/python --requirement benchmarks/peers.txt
	touch .peer/ready

bench: .venv/ready .peer/ready
	$(BIN)/python benchmarks/bench.py --peer .peer/bin/python \
		$(if $(FULL),--full) $(if $(DATA),--data $(DATA)) $(if $(WRITE),--write)

size: .venv/ready
	$(BIN)/python scripts/size.py

lint: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/ready
	$(BIN)/mypy

audit: .venv/ready
	$(BIN)/python scripts/audit.py

docs: .venv/ready
	$(BIN)/python scripts/build_docs.py

clean:
	rm -rf .venv .uv .peer demo-output .pytest_cache .mypy_cache .ruff_cache
