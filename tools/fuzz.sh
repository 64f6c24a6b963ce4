#!/usr/bin/env bash
# Runs every fuzz target of the module for FUZZTIME, one after another. `make fuzz` calls
# it from the root of the repository.
set -euo pipefail

GO=${GO:-go}
FUZZTIME=${FUZZTIME:-10s}
output=$(mktemp)
trap 'rm -f "$output"' EXIT

# run_once runs one target of one folder. By default, a run makes each new input smaller for up to
# a minute, and tries no other input meanwhile.
run_once() {
	"$GO" test -run '^$' -fuzz "^$2\$" -fuzztime "$FUZZTIME" -fuzzminimizetime 2s "$1" 2>&1 | tee "$output"
}

# time_was_up reports whether a run failed only because its time ended. On Go 1.26 such a
# run may fail with a bare "context deadline exceeded" (golang/go#75804, fixed in 1.27).
time_was_up() {
	grep -qE '^ +context deadline exceeded$' "$output" && ! grep -q 'Failing input' "$output"
}

targets=0
dirs=$("$GO" list -f '{{.Dir}}' ./...)
for dir in $dirs; do
	for target in $(grep -shoE '^func Fuzz[A-Za-z0-9_]*' "$dir"/*_test.go | cut -c6- || true); do
		echo "fuzz: $target in ${dir#"$PWD"/}"
		targets=$((targets + 1))
		run_once "$dir" "$target" && continue
		time_was_up || exit 1
		# A real failure fails again.
		echo "fuzz: $target: only its time was up (golang/go#75804); it runs once more"
		run_once "$dir" "$target"
	done
done
echo "fuzz: $targets targets"
