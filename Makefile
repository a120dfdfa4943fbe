# make demo      install what is missing, build, and look at a sample Go service
# make test      everything that CI runs
# make install   PREFIX=/usr/local
# make lint      formatting and clippy
# make bench     whole processes, side by side with dlv; takes minutes
# make fuzz-smoke  every parser of foreign bytes, 30 s each
# make properties  what holds for all input, with 50 times the cases and others than in `make test`
# make test-real caddy and prometheus under load; builds them, takes minutes

PREFIX ?= /usr/local
CARGO ?= cargo

.PHONY: all demo test setup fixtures lint install bench fuzz-smoke test-real properties

all:
	$(CARGO) build --release

setup:
	tests/setup.sh

demo: setup all
	tests/demo.sh

# Fixtures come before cargo test, which only runs them.
test: export PROPTEST_RNG_SEED ?= 1
test: setup fixtures lint
	$(CARGO) test --no-fail-fast

fixtures: setup
	tests/fixtures/build.sh all

lint:
	$(CARGO) fmt --check
	$(CARGO) clippy --all-targets -- -D warnings
	$(CARGO) clippy --test real -- -D warnings

bench: setup
	tests/bench/run.sh

# Where every property is tried, and those of the library beside.
PROPERTIES = exposition_openmetrics exposition_openmetrics2 exposition_text native_tables gotrace relabel_oracle lint_oracle \
	cardinality_store properties_goroutines recording

properties: export CASES_TIMES ?= 50
properties: export PROPTEST_CASES ?= 10000
properties: setup fixtures
	$(CARGO) test --no-fail-fast --lib $(addprefix --test ,$(PROPERTIES))

fuzz-smoke:
	fuzz/smoke.sh 30

test-real: setup
	tests/real/run.sh

# Under sudo there may be no cargo: then what `make` has built is installed.
install: $(if $(shell command -v $(CARGO)),all)
	install -D -m 755 target/release/goscope $(DESTDIR)$(PREFIX)/bin/goscope
	install -D -m 644 completions/goscope.bash $(DESTDIR)$(PREFIX)/share/bash-completion/completions/goscope
	install -D -m 644 completions/_goscope $(DESTDIR)$(PREFIX)/share/zsh/site-functions/_goscope
	install -D -m 644 completions/goscope.fish $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/goscope.fish
	install -d $(DESTDIR)$(PREFIX)/share/man/man1
	install -m 644 man/*.1 $(DESTDIR)$(PREFIX)/share/man/man1
