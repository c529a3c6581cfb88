# `make` prints what there is.

PYTHON := build/venv/bin/python
BUILT := $(or $(CARGO_TARGET_DIR),target)/release
INKLE := $(BUILT)/inkle
MODELS := build/models
PICTURES := crates/driver/examples/pictures
CASES := build/cases
KNOWN := crates/onnx/conformance.txt
PICTURE ?= $(PICTURES)/english.png
READ_LINE := $(BUILT)/examples/read_line $(MODELS)/ppocr4_rec.onnx

.PHONY: help setup build models run test test-targets conformance fuzz bench-peers

N ?= 200
SEED ?= 1

help: ## Print these lines
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## Install what is missing: LLVM 19, a C linker, and Python packages in build/venv
	scripts/setup.sh --python

build: setup ## Build the inkle command and the examples, as the tests do, so that nothing is built twice
	cargo build --release --workspace --bins --examples

models: setup ## Fetch the models that run, test and bench-peers use
	$(PYTHON) scripts/fetch_models.py --out $(MODELS)

run: build models ## Read the line of text in a picture, and print what that took; PICTURE=FILE names another
	$(READ_LINE) $(PICTURE)

test: build models $(CASES) ## Check the format, run all tests, compare models and ONNX's own cases with what they should give
	cargo fmt --all --check
	cargo test --workspace --release
	$(PYTHON) scripts/test_models.py --inkle $(INKLE) --zoo $(MODELS)
	$(PYTHON) scripts/test_artefacts.py --inkle $(INKLE) --zoo $(MODELS)
	$(PYTHON) scripts/test_targets.py --inkle $(INKLE) --zoo $(MODELS) --only-installed ppocr_cls
	$(PYTHON) scripts/test_web.py --inkle $(INKLE) --model $(MODELS)/ppocr4_rec.onnx $(PICTURES)/english.png
	$(INKLE) test $(addprefix $(CASES)/,node simple pytorch-operator pytorch-converted) --known $(KNOWN) --interpret graph
	$(INKLE) test $(CASES) --known $(KNOWN)
	scripts/test_examples.sh $(INKLE) $(MODELS) $(PYTHON)
	for name in english chinese; do $(READ_LINE) $(PICTURES)/$$name.png | sed -n 1p | cmp - $(PICTURES)/$$name.txt || exit 1; done

test-targets: build models ## Compile all models for AArch64, RISC-V, WebAssembly and one for Cortex-M, and run them under emulators
	scripts/setup.sh --targets
	$(PYTHON) scripts/test_targets.py --inkle $(INKLE) --zoo $(MODELS) ppocr_cls
	$(PYTHON) scripts/test_targets.py --inkle $(INKLE) --zoo $(MODELS) --targets aarch64,aarch64-sve256,riscv64,wasm32

$(CASES): scripts/conformance.py scripts/requirements.txt | setup
	$(PYTHON) scripts/conformance.py cases $@.part
	rm -rf $@ && mv $@.part $@

conformance: build $(CASES) ## Run ONNX's own test cases, interpreted and compiled
	$(INKLE) test $(addprefix $(CASES)/,node simple pytorch-operator pytorch-converted) --known $(KNOWN) --interpret graph
	$(INKLE) test $(CASES) --known $(KNOWN)

fuzz: ## Check N random models, from seed SEED on, against the meaning of their operators
	cargo run --release -p xtask -- fuzz --count $(N) --seed $(SEED)

bench-peers: build models ## Time the models beside onnxruntime and OpenVINO; build/peers.html has the plots
	$(INKLE) bench $(MODELS)/*.onnx --against onnxruntime,openvino --inputs $(MODELS)/io --html build/peers.html
