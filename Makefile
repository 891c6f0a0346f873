# The README's two commands, and what they are made of. Everything is installed from the package index.
PYTHON ?= python3
PIP_INSTALL = -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
DEVICE := .venv-device
DEV := .venv
SOURCES := $(shell find edgebert exporters js/src -type f -not -name '*.pyc')

.PHONY: profile test lint test-device test-exporters test-elastic test-rest parity families fuzz kills watch \
	check-arm64 check-x86 check-emulated emulated-installed emulated-tools test-web web-tools demo \
	coverage builtin-bundle clean

# The device side alone: what this machine can run, and the best of it within 20 ms.
profile: $(DEVICE)/installed
	$(DEVICE)/bin/edgebert profile
	@echo
	$(DEVICE)/bin/edgebert select --latency-ms 20

# Two at a time, each one's output when it has ended: most tests keep one core busy.
test: $(DEVICE)/installed $(DEV)/installed
	$(MAKE) --jobs=2 $(if $(filter output-sync,$(.FEATURES)),--output-sync=target) lint test-device test-exporters \
		test-elastic test-rest

lint: $(DEV)/installed
	$(DEV)/bin/ruff check .
	$(DEV)/bin/ruff format --check .
	$(DEV)/bin/mypy

# The built wheel with the runtime's dependencies only: no torch, transformers or onnx is there to lean on.
test-device: $(DEVICE)/installed
	$(DEVICE)/bin/python $(PIP_INSTALL) pytest hypothesis
	$(DEVICE)/bin/pytest --ignore tests/exporters --ignore tests/elastic --ignore tests/parity --ignore tests/fuzz

# What test-device leaves out or skips: with torch, transformers and onnx.
test-exporters test-elastic: test-%: $(DEV)/installed
	$(DEV)/bin/pytest tests/$*

test-rest: $(DEV)/installed
	$(DEV)/bin/pytest -m full --ignore tests/exporters --ignore tests/elastic

# Generated checkpoint folders against transformers. FIRST is the first seed, such as one that was printed.
parity: $(DEV)/installed
	$(DEV)/bin/pytest -s tests/parity --parity-folders $(or $(FOLDERS),10000) --parity-first $(or $(FIRST),0)

# Every width and depth of every family, precision and flavor, of which the tests have a few.
families: $(DEV)/installed
	$(DEV)/bin/pytest --every-shape tests/exporters/test_families.py tests/exporters/test_graph.py tests/exporters/test_verify.py

# Verbs under strace for as long as telemetry takes to look up its host.
watch: $(DEV)/installed
	EDGEBERT_WATCH_S=15 $(DEV)/bin/pytest tests/test_telemetry.py

coverage: $(DEV)/installed
	$(DEV)/bin/pytest --cov --cov-report=term:skip-covered

# 200 kills of each: the older or the newer thing, or the first answers, are whole; the next run leaves nothing else.
kills: $(DEV)/installed
	set -e; for verb in export profile predict train; do $(DEV)/bin/python tests/kills.py $$verb 200 $$(mktemp -d)/kills; done

# Damaged and forged bundles, profiles, data files and checkpoints; prints what is neither answered rightly nor refused.
MINUTES ?= 60
fuzz: $(DEV)/installed
	PYTHONPATH=tests $(DEV)/bin/python -m fuzz --minutes $(MINUTES)

# The device's side on other processors, under qemu, which is installed into build/emulated: the golden outputs, the
# tests, a quick profile and the labels of 2,000 texts. Needs Debian's apt, and the right to mount. STEPS=golden,profile
# and CPUS=cortex-a72 choose among them; all takes hours.
EMULATED = PYTHONPATH=tests $(DEVICE)/bin/python -m emulated $(if $(STEPS),--steps $(STEPS))
ARM64_CPUS := cortex-a72,neoverse-n1,max-without-sme,max-with-sme
X86_CPUS := haswell,nehalem
FEW_CPUS := haswell,cortex-a72,max-with-sme

check-arm64: emulated-tools
	$(EMULATED) --cpus $(or $(CPUS),$(ARM64_CPUS))

check-x86: emulated-tools
	$(EMULATED) --cpus $(or $(CPUS),$(X86_CPUS))

# The share that CI runs: the golden outputs of four sub-networks.
check-emulated: STEPS = golden-few
check-emulated: emulated-tools
	$(EMULATED) --cpus $(or $(CPUS),$(FEW_CPUS))

# Whether that can be done here: qemu and what it needs are installed, and nothing is checked.
emulated-installed: emulated-tools
	PYTHONPATH=tests $(DEVICE)/bin/python -m emulated --cpus $(FEW_CPUS) --steps ''

emulated-tools: $(DEVICE)/installed $(DEV)/installed
	PYTHONPATH=tests/exporters $(DEV)/bin/python tests/emulated/planted.py build/emulated

# The JavaScript side: its types, its tests in Node (18 or later), and in Chromium, Firefox and WebKit without windows.
test-web: web-tools js/node_modules/installed
	cd js && npm run --silent types && npm test --silent && npm run --silent test:browsers

# The static page of examples/browser with all that it loads, in build/demo, and a server for this machine's browsers.
demo: js/node_modules/installed
	rm -rf build/demo
	mkdir -p build/demo/ort build/demo/bundle
	cp examples/browser/*.html examples/browser/*.css examples/browser/*.js build/demo
	cp -r js/src build/demo/edgebert
	cd js/node_modules/onnxruntime-web/dist && cp ort.wasm.min.mjs ort-wasm-simd-threaded.mjs ort-wasm-simd-threaded.wasm \
		$(CURDIR)/build/demo/ort
	cp edgebert/builtin/* build/demo/bundle
	$(PYTHON) examples/browser/serve.py build/demo --port $(or $(PORT),8080)

# Node and the browsers, from the system's packages.
web-tools:
	js/test/browsers/install.sh

js/node_modules/installed: js/package-lock.json
	cd js && npm ci --ignore-scripts --no-audit --no-fund
	touch $@

builtin-bundle: $(DEV)/installed
	$(DEV)/bin/python benchmarks/builtin_bundle.py

$(DEVICE)/installed: setup.cfg setup.py constraints.txt $(SOURCES)
	$(PYTHON) -m venv $(DEVICE)
	rm -rf build/lib  # where a wheel finds what was removed since the last one
	$(DEVICE)/bin/python $(PIP_INSTALL) --force-reinstall --no-deps .
	$(DEVICE)/bin/python $(PIP_INSTALL) .
	touch $@

$(DEV)/installed: setup.cfg setup.py constraints.txt
	$(PYTHON) -m venv $(DEV)
	$(DEV)/bin/python $(PIP_INSTALL) --editable .[dev]
	touch $@

clean:
	rm -rf $(DEVICE) $(DEV) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .coverage
