#!/usr/bin/env bash
# Runs the fuzz targets, each for a while:  smoke.sh [SECONDS] [TARGET...]
#
# libFuzzer on stable Rust: rustc's own sanitizer coverage pass, asked for by LLVM flags, needs no -Z option. --target keeps
# the flags away from build scripts. New inputs go to target/fuzz/corpus; an input that breaks something to target/fuzz/found:
# fix it, then keep it as fuzz/corpus/TARGET/regression-WHAT, which `cargo test` replays.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

seconds=${1:-30}
shift || true
targets=("$@")
((${#targets[@]})) || for file in fuzz/fuzz_targets/*.rs; do targets+=("$(basename "$file" .rs)"); done

command -v c++ >/dev/null || { echo "fuzz: libFuzzer is C++: install g++" >&2 && exit 1; }
triple=$(rustc -vV | sed -n 's/^host: //p')
RUSTFLAGS="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters"
RUSTFLAGS+=" -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares"
export RUSTFLAGS
cargo build --release --manifest-path fuzz/Cargo.toml --target-dir target/fuzz --target "$triple" --bins

broken=()
for target in "${targets[@]}"; do
	mkdir -p "target/fuzz/corpus/$target" target/fuzz/found
	log=target/fuzz/$target.log
	echo "== $target for $seconds s"
	status=0
	"target/fuzz/$triple/release/$target" "target/fuzz/corpus/$target" "fuzz/corpus/$target" \
		-max_total_time="$seconds" -max_len=8192 -timeout=10 -rss_limit_mb=1024 \
		-artifact_prefix="target/fuzz/found/$target-" -print_final_stats=1 >"$log" 2>&1 || status=$?
	# The last line of progress: coverage, corpus, executions a second.
	grep -E '^#[0-9]+.* cov: ' "$log" | tail -n 1 || true
	if ((status != 0)); then
		broken+=("$target")
		grep -vE '^#[0-9]+' "$log" | tail -n 60
	fi
done
((${#broken[@]} == 0)) || { echo "fuzz: broken: ${broken[*]}"; exit 1; }
echo "fuzz: ${#targets[@]} targets, nothing found"
