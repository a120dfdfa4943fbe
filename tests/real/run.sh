#!/usr/bin/env bash
# Real programs under load: builds them (minutes, the first time), then compares.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

tests/real/build.sh
cargo test --test real -- --nocapture --test-threads=1
