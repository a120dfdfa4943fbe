#!/usr/bin/env bash
# Makes the seeds of the corpus anew, from the fixtures (`make fixtures`).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

built=target/fixtures
cargo run --manifest-path fuzz/Cargo.toml --target-dir target/fuzz-dev --example seeds -- fuzz/corpus \
	"$built"/{1.18.10,1.20.14,1.24.13}/static/full/zoo "$built/1.26.11/static/full/parked"
