#!/usr/bin/env bash
# Writes the modules of a program, in the format of CycloneDX, to PROGRAM.cdx.json, and fails if these are
# not the modules that `go version -m` prints. The file depends on nothing but the program.
set -euo pipefail
cd "$(dirname "$0")/.."
GO=${GO:-go}
program=$1

# linked prints the modules that the program says it was linked from.
linked() {
	"$GO" version -m "$program" | awk -F'\t' '
		NR == 1 { split($0, words, ": "); print "std@" words[2] }
		$2 == "dep" { if (last) print last; last = $3 "@" $4 }
		$2 == "=>" { last = $3 "@" $4 }
		END { print last }'
}

# listed prints the modules of the file, without the program itself.
listed() {
	sed -nE 's|^ *"purl": "pkg:golang/([^?"]*).*|\1|p' "$program.cdx.json" | sed 's/%2B/+/g' |
		grep -Ev '^github.com/meshhealth/meshhealth(/kube)?(@|$)'
}

bin/cyclonedx-gomod bin -json -std -noserial -notimestamp -output "$program.cdx.json" "$program"
if ! diff <(linked | LC_ALL=C sort) <(listed | LC_ALL=C sort); then
	echo "sbom: $program.cdx.json has other modules (>) than the program (<)" >&2
	exit 1
fi
echo "sbom: $program.cdx.json has $(listed | wc -l) modules"
