#!/usr/bin/env bash
# Builds what the benchmark needs and runs it:  run.sh [snapshot|price|sched|gap|start|ps|cardinality]...
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

go_version=go1.26.11
dlv_version=v1.27.2
bin=$PWD/target/bench/bin
mkdir -p "$bin"

unset GOROOT GOOS GOARCH GOEXPERIMENT GODEBUG
export GOENV=off GOWORK=off CGO_ENABLED=0
[[ -x $bin/dlv ]] || GOBIN=$bin GOFLAGS= go install "github.com/go-delve/delve/cmd/dlv@$dlv_version"

export GOFLAGS=-buildvcs=false GOTOOLCHAIN=$go_version
(cd benches/go && go build -o "$bin/subject" .)
if [[ ! -x $bin/large ]]; then
	# The same program with 100 MB that do not compress.
	copy=$(mktemp -d)
	trap 'rm -rf "$copy"' EXIT
	cp -r benches/go/. "$copy"
	head -c 100000000 /dev/urandom >"$copy/ballast/data"
	(cd "$copy" && go build -o "$bin/large" .)
fi
[[ -x target/fixtures/${go_version#go}/static/full/parked ]] || tests/fixtures/build.sh quick

# A /metrics body of a million series, and what reads one today.
tests/real/build.sh promtool
[[ target/bench/metrics-1m.txt -nt benches/go/body/main.go ]] || (cd benches/go && go run ./body ../../target/bench/metrics-1m.txt)

cargo bench --bench whole -- "$@"
