#!/usr/bin/env bash
# Builds the program of the last commit twice with `make build`, and fails if the two files differ. The
# builds differ in the folder, the time and the number of processors. The files include the version
# stamp, which depends on nothing but the commit.
#
# Both builds take packages that are compiled already from the cache of Go. A package that depends on its
# folder is compiled again, because its folder is then a part of its key in the cache. With FRESH=1 the
# second build has an empty cache and compiles everything again, which takes about three minutes.
set -euo pipefail
cd "$(dirname "$0")/.."
GO=${GO:-go}
FRESH=${FRESH:-}

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
export GOFLAGS=-buildvcs=true
unset MAKEFLAGS MFLAGS MAKELEVEL

# build builds a new clone in a folder with a number of processors, and prints the hash of the program.
build() {
	mkdir -p "$(dirname "$1")"
	git clone -q . "$1" >&2
	GOMAXPROCS=$2 make -s -C "$1" build GO="$GO" >&2
	sha256sum <"$1/bin/meshhealth" | cut -d' ' -f1
}

first=$(build "$tmp/a" 2)
if [[ -n $FRESH ]]; then
	export GOCACHE=$tmp/cache
fi
second=$(build "$tmp/another/folder" 1)
if [[ $first != "$second" ]]; then
	echo "reproducible: two builds of one commit differ: $first, $second; compare what \`go version -m\` prints of them" >&2
	exit 1
fi
# Not `grep -q`: it would end the pipe early, which pipefail reports as a failure.
if ! "$GO" version -m "$tmp/a/bin/meshhealth" | grep "vcs.revision=$(git rev-parse HEAD)" >/dev/null; then
	echo "reproducible: the version stamp of the program does not name the commit $(git rev-parse HEAD)" >&2
	exit 1
fi
echo "reproducible: two builds have the SHA-256 $first"
