# What a person types. Everything else is cargo.
.PHONY: build release test test-quick test-browser test-store test-long test-rack lint crash soak demo bench setup

build:
	cargo build

release:
	cargo build --release

# Everything but what takes hours to say more: the quick tests, the report in a browser, then those on the virtual rack (root).
test: setup test-quick test-browser test-rack

# What holds promises for long: races by the hundred, servers killed again and again, 200 kills, new seeds.
test-long: test-store crash soak

# Much of their time is waiting: for a clock, a server, a connection that is cut.
test-quick: export RUST_TEST_THREADS := $(or $(RUST_TEST_THREADS),$(shell expr 2 \* $$(nproc)))
test-quick: lint
	cargo test --lib --bins
	cargo test --test bmctl

# What holds the store to its promises for minutes: hundreds of races, a server that is killed again and again.
test-store: setup
	cargo test --test bmctl -- --ignored --test-threads=1 store::

test-browser: setup
	cargo test --test bmctl -- --ignored reports::

test-rack: setup
	cargo build
	cargo test --test bmctl -- --ignored --test-threads=1 rack::

# The engine is made to fail at every step in every way, and the real process is killed 200 times.
crash:
	cargo build
	cargo test --test bmctl -- engine::tricks engine::dies kill:: --include-ignored

# Random histories of new seeds; a seed that fails is printed, and belongs into tests/engine/soak/seeds.txt when it is mended.
MINUTES ?= 5
soak:
	MINUTES=$(MINUTES) cargo test --test bmctl engine::soak::new_seeds -- --ignored --nocapture

lint:
	cargo fmt --check
	cargo clippy --all-targets -- -D warnings

setup:
	scripts/setup.sh

# Three machines, three systems, from nothing to gone.
demo: setup release
	scripts/demo.sh

bench: setup release
	benches/run.sh
