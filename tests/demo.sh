#!/usr/bin/env bash
# Starts the sample service of tests/fixtures/go, looks at it with goscope, and ends it.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
goscope=$root/target/release/goscope
service=$root/target/demo/httpserver

# Stripped, as services are in production. No version switch: the Go that is installed.
(cd "$root/tests/fixtures/go" && CGO_ENABLED=0 go build -buildvcs=false -trimpath -ldflags="-s -w" -o "$service" ./cmd/httpserver)

coproc SERVICE { exec "$service"; }
pid=$SERVICE_PID
trap 'kill "$pid" 2>/dev/null || true' EXIT
read -r _ address <&"${SERVICE[0]}"
read -r ready _ <&"${SERVICE[0]}"
[[ $ready == ready ]]
echo "The sample service: PID $pid, http://$address"

show() {
	printf '\n$ goscope %s\n' "$*"
	"$goscope" "$@"
}
show ps
show info "$pid"
show goroutines "$pid"
