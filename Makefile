# The commands of the README. `make help` lists them.
#
# One profile for everything (`--release`), one target directory outside the checkout, and only selections of packages
# that leave RocksDB's features alone: RocksDB takes ten to twenty minutes to build, so it is built once and kept.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

cache := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/starling
export CARGO_TARGET_DIR ?= $(cache)/target
# Warnings of rustdoc are errors wherever documentation is built; cargo builds no dependency differently for it.
docs_flags := -D warnings

# A libclang that `make deps` had to fetch. Set for every command alike: bindgen is rebuilt when it changes.
ifneq ($(wildcard $(cache)/libclang/env.mk),)
include $(cache)/libclang/env.mk
endif

bin := $(CARGO_TARGET_DIR)/release
PLAN ?= isolate_one
SEEDS ?= 300
FUZZ_ROUNDS ?= 50000
FIRST ?= 1

.PHONY: help deps env build demo drill drill-members cluster test fmt purity lint check-tests check-drill mutants docs fuzz soak bench

help: ## What can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { sub(/\$$\$$/, "$$", $$2); printf "  make %-13s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

deps: ## Checks the tools, and installs libclang (for RocksDB's bindings) where it is missing
	@bash .ci/deps '$(cache)/libclang'

env: ## Prints the exports that let cargo commands share what make built: eval "$$(make -s env)"
	@echo "export CARGO_TARGET_DIR='$(CARGO_TARGET_DIR)' PATH='$(bin)':\"\$$PATH\""
	@if [ -n "$${LIBCLANG_PATH:-}" ]; then echo "export LIBCLANG_PATH='$$LIBCLANG_PATH'"; fi
	@if [ -n "$${BINDGEN_EXTRA_CLANG_ARGS:-}" ]; then echo "export BINDGEN_EXTRA_CLANG_ARGS='$$BINDGEN_EXTRA_CLANG_ARGS'"; fi

# Cargo tells checkouts that share a target directory apart by the times of their files only, so one would be given what
# was built from another. What belongs to this project (not RocksDB) is therefore built anew when the checkout changes.
.PHONY: own
own:
	@if [ "$$(cat '$(CARGO_TARGET_DIR)/starling-checkout' 2>/dev/null)" != '$(CURDIR)' ]; then \
	    if [ -d '$(CARGO_TARGET_DIR)/release' ]; then \
	        cargo clean --quiet --release -p starling -p starling-client -p starling-node -p starling-sim; fi; \
	    mkdir -p '$(CARGO_TARGET_DIR)'; printf '%s' '$(CURDIR)' >'$(CARGO_TARGET_DIR)/starling-checkout'; fi

# A second make reads the libclang that `deps` may just have fetched.
build: deps ## Builds everything (the first time 10 to 20 minutes, most of it RocksDB)
	@$(MAKE) build-all

.PHONY: build-all
build-all: own
	@if ! compgen -G '$(bin)/deps/liblibrocksdb_sys-*.rlib' >/dev/null; then \
	    echo 'Building RocksDB: 10 to 20 minutes on two cores, once; it is kept in $(CARGO_TARGET_DIR).'; fi
	cargo build --release --workspace --locked

demo: build ## Five processes, two network splits, three configurations; ends with a report
	@$(bin)/starling-sim drill demo --report report/demo

drill: build ## Another plan on real processes: make drill PLAN=isolate_one (a name, or a TOML file)
	@$(bin)/starling-sim drill '$(PLAN)'

drill-members: build ## Members join, leave, die and are wiped under load, on real processes; prints what each took
	cargo test --release --workspace --locked --test it -- membership:: --nocapture --test-threads 1

cluster: build ## Five nodes in the foreground; Ctrl-C stops them
	@$(bin)/starling-sim cluster

test: deps ## Every check: format, purity, lints, tests, mutants, docs
	@$(MAKE) test-all

.PHONY: test-all
test-all: fmt purity build-all lint docs check-drill mutants check-tests
	@echo 'make test: every check passed.'

fmt: ## The format
	cargo fmt --all --check

purity: ## The core has no I/O, threads, clocks or entropy; layers point one way
	@bash .ci/purity

lint: own ## Lints, as errors
	cargo clippy --release --workspace --all-targets --locked -- -D warnings

docs: own ## Documentation without warnings
	RUSTDOCFLAGS='$(docs_flags)' cargo doc --release --workspace --no-deps --locked

mutants: own ## Every protection that is switched off must be noticed
	cargo test --release -p starling-sim --features mutations --locked --test it -- mutants
	@# What only a rare order of events shows, stories of the core play; and the histories of values.
	cargo test --release -p starling --features mutations --locked --lib -- \
	    stability value without_its_protection each_rule_is_held
	@# That left a starling-sim with the switches in; put the plain one back.
	cargo build --release --workspace --locked --quiet

check-drill: build-all ## Real processes, killed without warning: nothing acknowledged may be lost
	$(bin)/starling-sim drill kill_one

check-tests: own ## Unit, property, simulation and process tests
	cargo test --release --workspace --locked

fuzz: own ## Every decoder, and operations of every type, against random input: FUZZ_ROUNDS rounds (50000)
	STARLING_FUZZ_ROUNDS=$(FUZZ_ROUNDS) cargo test --release -p starling -p starling-client --locked --lib -- \
	    fuzz whatever_ --nocapture

soak: build ## The long runs: SEEDS seeds (300) from FIRST on of five minutes, longer ones, every plan
	$(bin)/starling-sim run all
	$(bin)/starling-sim swarm --seeds $(SEEDS) --first $(FIRST) --minutes 5
	$(bin)/starling-sim swarm --seeds 8 --first $(FIRST) --minutes 60
	$(bin)/starling-sim model random --histories 5000 --first $(FIRST)
	$(bin)/starling-sim model random --histories 2000 --first $(FIRST) --values store --keys 2
	$(bin)/starling-sim model complete
	$(bin)/starling-sim model shards --histories 5000 --first $(FIRST)
	for plan in demo isolate_one kill_one split_two_three; do $(bin)/starling-sim drill $$plan || exit; done

bench: build ## What operations cost: in the core, on three nodes; BEFORE=dir: beside an earlier build's programs, in turn
	@bash .ci/bench '$(bin)' $(if $(BEFORE),'$(BEFORE)')
