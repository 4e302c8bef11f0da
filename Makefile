# The short commands; each is a line or two that can be typed by hand as well. `make` alone lists them.
#
#   make run ARGS="die_core=2 events=1000" CPU=max SMP=2 BOOT="--el2"
#     ARGS  the kernel's command line      BOARD, CPU, SMP  the machine      BOOT  other options of scripts/boot.sh

.DEFAULT_GOAL := help
.PHONY: help install image flash push matrix survey labgrid capture decoding setup setup-tests build run test check measure nest stop-matrix ways-to-die loop points mutants rates bench corruption soak model fuzz valgrind debug size clean
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-print-directory

export PATH := $(PATH):$(or $(CARGO_HOME),$(HOME)/.cargo)/bin
# An environment variable, so that no quoting is needed whatever it holds.
export AFTERGLOW_APPEND = $(ARGS)

HOST := --target host-tuple
BUILT := $(or $(CARGO_TARGET_DIR),$(CURDIR)/target)
KERNEL := $(BUILT)/aarch64-unknown-none-softfloat/release/kernel
# QEMU's cache that loses; the afterglow command finds it beside itself.
PLUGIN = $(BUILT)/$(shell PATH='$(PATH)' rustc -vV | sed -n 's/^host: //p')/debug/libafterglow_plugin.so
MACHINE = $(if $(BOARD),--board $(BOARD)) $(if $(CPU),--cpu $(CPU)) $(if $(SMP),--smp $(SMP)) $(BOOT)
CARD = $(or $(IMAGE),afterglow-$(or $(BOARD),generic).img)
# What is built for the bare-metal target.
TARGET_CRATES := -p ring -p wire -p arch -p boards -p kernel

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
	@sed -n 's/^#   \(make run .*\)/  e.g. \1/p' $(firstword $(MAKEFILE_LIST))

setup: ## install what is missing on this machine; quiet if that is nothing
	@scripts/setup.sh

setup-tests:
	@scripts/setup.sh --tests

build: setup ## build the kernel and the host's tools
	@cargo build --release -p kernel
	@cargo build $(HOST) -p afterglow -p plugin

run: build ## boot the kernel in QEMU: record, panic, reboot, recover, dump
	@cargo run --quiet --release -p kernel -- $(MACHINE)

test: setup-tests build check model ## everything: checks, host tests of all crates, the kernel under QEMU
	AFTERGLOW_KERNEL='$(KERNEL)' AFTERGLOW_PLUGIN='$(PLUGIN)' cargo test $(HOST) --workspace

check: setup ## formatting, lints and documentation, as far as their tools are installed
	@if cargo fmt --version >/dev/null 2>&1; then (set -x; cargo fmt --check); else echo 'no rustfmt: formatting is not checked'; fi
	@if cargo clippy --version >/dev/null 2>&1; then set -x; \
		cargo clippy --quiet $(HOST) --workspace --all-targets -- -D warnings; \
		cargo clippy --quiet $(TARGET_CRATES) -- -D warnings; \
	else echo 'no clippy: lints are not checked'; fi
	RUSTDOCFLAGS='-D warnings' cargo doc --quiet --no-deps $(HOST) --workspace --lib --features ring/fake
	RUSTDOCFLAGS='-D warnings' cargo doc --quiet --no-deps -p arch -p boards -p kernel --lib

debug: build ## boot, and wait for gdb at the first instruction; starts gdb-multiarch if it is there
	@if command -v gdb-multiarch >/dev/null; then \
		setsid scripts/boot.sh '$(KERNEL)' $(MACHINE) --gdb & trap "kill $$! 2>/dev/null || true" EXIT; \
		gdb-multiarch -q '$(KERNEL)' -ex 'set tcp connect-timeout 20' -ex 'target remote 127.0.0.1:1234'; \
	else scripts/boot.sh '$(KERNEL)' $(MACHINE) --gdb; fi

size: build ## how large the kernel is, on its medium and in memory
	@cargo run --quiet $(HOST) -p afterglow -- size '$(KERNEL)'

# QEMU counts instructions; the counter ticks once an instruction: 1 GHz at shift=0 (max), 62.5 MHz at shift=4 (the others).
measure: build ## what an event costs, in instructions, exact and repeatable
	@for cpu in max:0 cortex-a76:4 cortex-a72:4; do \
		echo "$${cpu%:*}"; \
		AFTERGLOW_APPEND='measure cycles=0' scripts/boot.sh '$(KERNEL)' --cpu $${cpu%:*} --icount $${cpu#*:} \
			| sed -n '/^ticks per event/,/mask and/{/^$$/!{/^  stop by/!p}}'; \
		for clean in subbuffer event; do \
			AFTERGLOW_APPEND="measure cycles=0 clean=$$clean" scripts/boot.sh '$(KERNEL)' --cpu $${cpu%:*} --icount $${cpu#*:} \
				| sed -n "s/^\(   16 bytes, two typed fields\)/ticks per event with clean=$$clean:\1/p"; \
		done; \
	done

nest: build ## an NMI that records, at every single instruction of recording
	@for cpu in max:0 cortex-a72:4; do \
		echo "$${cpu%:*}"; \
		AFTERGLOW_APPEND='nest=400 events=0 tail=0' scripts/boot.sh '$(KERNEL)' --cpu $${cpu%:*} --icount $${cpu#*:} --smp 1 \
			| sed -n '/^an NMI/,/^nest/p'; \
	done

stop-matrix: build ## how fast each means of stop is on each kind of machine: make stop-matrix SEEDS=20 (minutes)
	@cargo run --quiet $(HOST) -p afterglow -- stop-matrix '$(KERNEL)' --seeds $(or $(SEEDS),20)

ways-to-die: build ## every way to die under every means of stop: make ways-to-die SEEDS=20 (about an hour; 1: minutes)
	@AFTERGLOW_SEEDS=$(or $(SEEDS),1) AFTERGLOW_MEANS=all AFTERGLOW_KERNEL='$(KERNEL)' \
		cargo test --quiet $(HOST) -p qemu --test ways_to_die

loop: build ## thousands of crashes with a cache that loses, each judged: make loop N=10000 ARGS="--machine all --end all"
	@cargo run --quiet $(HOST) -p afterglow -- loop '$(KERNEL)' --crashes $(or $(N),1000) $(ARGS)

points: build ## a crash right behind every store, clean and barrier of the panic path and of 1000 events (minutes)
	@cargo run --quiet $(HOST) -p afterglow -- loop '$(KERNEL)' --end panic-points,writer-points $(ARGS)

mutants: build ## the proof: each clean and barrier of the panic path taken out, and how many crashes it takes to notice (minutes)
	@cargo run --quiet $(HOST) -p afterglow -- mutants '$(KERNEL)'

rates: build ## what the cache that loses costs: crashes a second, and the time of an event with the plugin beside it
	@AFTERGLOW_KERNEL='$(KERNEL)' AFTERGLOW_PLUGIN='$(PLUGIN)' cargo run --quiet $(HOST) -p campaign --example rates

decoding: setup ## how fast a region becomes each format, and how large that is
	@cargo run --quiet --profile host $(HOST) -p formats --example decoding -- 64

capture: build ## receive a crash over a serial line: make capture TTY=/dev/ttyUSB0
	@cargo run --quiet $(HOST) -p afterglow -- capture $(or $(TTY),/dev/ttyUSB0)

image: build ## an SD card: make image BOARD=rpi4 FIRMWARE=DIR (rpi3, rpi4, rpi5, generic; REGION=0x50000000:8M ARGS="cycles=100" LOADER=1), or its files: DIRECTORY=/srv/tftp (REPLACE=1)
	@cargo run --quiet $(HOST) -p afterglow -- image --board $(or $(BOARD),generic) --kernel '$(if $(LOADER),$(dir $(KERNEL))loader,$(KERNEL))' $(if $(FIRMWARE),--firmware '$(FIRMWARE)') \
		$(if $(REGION),--region $(REGION)) $(if $(DTB),--dtb '$(DTB)') $(if $(ARGS),--append "$$AFTERGLOW_APPEND") $(if $(DIRECTORY),--directory '$(DIRECTORY)' $(if $(REPLACE),--replace),-o '$(CARD)')

# Root has no business with cargo: `make image` has built the command.
flash: ## write it to a card, with care: make flash DEVICE=/dev/sdX BOARD=rpi4 (as root)
	@'$(dir $(PLUGIN))afterglow' flash '$(CARD)' '$(or $(DEVICE),$(error which disk? make flash DEVICE=/dev/sdX BOARD=rpi4; lsblk shows them))'

push: build ## send the kernel to the loader on a board: make push TTY=/dev/ttyUSB0 ARGS="cycles=100"
	@cargo run --quiet $(HOST) -p afterglow -- push $(or $(TTY),/dev/ttyUSB0) '$(KERNEL)' --append "$$AFTERGLOW_APPEND" --watch

matrix: build ## what runs of each board in QEMU, as the README shows it (a minute)
	@cargo run --quiet $(HOST) -p afterglow -- matrix '$(KERNEL)' $(ARGS)

survey: build ## which RAM survives which reset: in QEMU, with a cache that loses and bits that flip, against what was done
	@cargo run --quiet $(HOST) -p afterglow -- survey '$(KERNEL)' $(ARGS)

labgrid: setup-tests build ## boards in CI: the panic loop on two simulated places of labgrid's
	@target/labgrid/bin/python examples/labgrid/exercise.py --kernel '$(KERNEL)' --afterglow '$(dir $(PLUGIN))afterglow' --crashes $(or $(N),20)

install: setup ## put the afterglow command among cargo's programs
	@cargo install --quiet --locked --profile host $(HOST) --path host/afterglow

bench: setup ## what an event and a recovery cost on this host, beside other rings
	@cargo run --quiet --profile host $(HOST) -p bench -- $(ARGS)

corruption: setup ## a million faults in full regions: what recovery notices, keeps, never tells wrongly (minutes)
	@AFTERGLOW_FAULTS=$(or $(FAULTS),1300000) AFTERGLOW_SEED=$(or $(SEED),1) \
		cargo test --quiet --profile host $(HOST) -p ring --test corruption -- --nocapture

soak: setup ## crash points with many more states after each operation: make soak SAMPLES=512
	@export AFTERGLOW_CRASH_SAMPLES=$(or $(SAMPLES),512); \
	cargo test --profile host $(HOST) -p ring --test crash_points -- --nocapture; \
	cargo test --profile host $(HOST) -p kernel --test panic_crash_points -- --nocapture

# A build of its own: every crate is compiled for the model.
model: setup ## loom: every interleaving of writer, live reader and stop, within bounds
	RUSTFLAGS='--cfg loom' cargo test --quiet $(HOST) --target-dir '$(BUILT)/loom' -p model

fuzz: setup ## fuzz recovery on stable Rust: make fuzz TIME=600 TARGET=structured
	@scripts/setup.sh --fuzz
	@scripts/fuzz.sh $(or $(TIME),60) $(TARGET)

valgrind: setup ## recovery's tests on a machine that watches memory
	@scripts/setup.sh --valgrind
	@export "CARGO_TARGET_$$(rustc -vV | sed -n 's/^host: //p' | tr a-z- A-Z_)_RUNNER=valgrind -q --error-exitcode=9"; \
	cargo test --quiet $(HOST) -p ring --test damage --test fuzz_corpus --test hostile --test life

clean: ## remove everything that was built
	cargo clean
