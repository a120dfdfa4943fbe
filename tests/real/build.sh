#!/usr/bin/env bash
# Builds real programs from their public modules, stripped as they are in production, into target/real/bin:
#
#   build.sh [caddy|node_exporter|prometheus|promtool]...     without a name caddy and prometheus
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

out=$PWD/target/real
mkdir -p "$out/bin"
unset GOROOT GOOS GOARCH GOEXPERIMENT GODEBUG
export GOENV=off GOWORK=off CGO_ENABLED=0 GOFLAGS=-mod=mod GOTOOLCHAIN=go1.26.11

# build NAME MODULE VERSION PACKAGE [FLAG...] : in a module of its own, for `go install` refuses modules with replace directives.
build() {
	local name=$1 module=$2 version=$3 package=$4
	shift 4
	[[ -x $out/bin/$name-$version ]] || (
		mkdir -p "$out/$name"
		cd "$out/$name"
		printf 'module goscope.test/real\n\ngo 1.26\n' >go.mod
		go get "$module@$version"
		go build -trimpath -ldflags='-s -w' "$@" -o "$out/bin/$name-$version" "$package"
	)
	ln -sf "$name-$version" "$out/bin/$name"
}

[[ $# -gt 0 ]] || set -- caddy prometheus
for name; do
	case $name in
	caddy) build caddy github.com/caddyserver/caddy/v2 v2.11.9 github.com/caddyserver/caddy/v2/cmd/caddy ;;
	node_exporter) build node_exporter github.com/prometheus/node_exporter v1.12.1 github.com/prometheus/node_exporter ;;
	# Without service discovery for every cloud, which is most of their build.
	prometheus | promtool)
		build "$name" github.com/prometheus/prometheus v0.316.0 "github.com/prometheus/prometheus/cmd/$name" -tags netgo,remove_all_sd
		;;
	*)
		echo "build.sh: nothing is known of $name" >&2
		exit 2
		;;
	esac
done
