#!/usr/bin/env bash
# Every system package that building and testing needs, beside Rust and Go. Installs what is missing when root (Debian, Ubuntu);
# else says what to install.
set -euo pipefail

# What must be there : the Debian package that has it.
needs="
gcc:gcc
clang:clang
/usr/include/stdio.h:libc6-dev
make:make
strip:binutils
git:git
jq:jq
unshare:util-linux
setpriv:util-linux
script:bsdutils
"

missing=()
for need in $needs; do
	what=${need%%:*} package=${need##*:}
	case $what in
	/*) [[ -e $what ]] || missing+=("$package") ;;
	*) command -v "$what" >/dev/null || missing+=("$package") ;;
	esac
done

for tool in cargo go; do
	command -v "$tool" >/dev/null || { echo "setup: $tool is not on the PATH; install Rust and Go first" >&2 && exit 1; }
done

((${#missing[@]})) || exit 0
if ((EUID != 0)) || ! command -v apt-get >/dev/null; then
	echo "setup: missing: ${missing[*]}" >&2
	echo "setup: install with: sudo apt-get install --no-install-recommends ${missing[*]}" >&2
	exit 1
fi
echo "setup: installing ${missing[*]}"
apt-get update -q
DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${missing[@]}"
