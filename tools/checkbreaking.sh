#!/usr/bin/env bash
# Checks that proto/ is compatible with an earlier commit. `make checkbreaking` calls it
# from the root of the repository.
#
# The earlier commit is AGAINST if it is set. On a branch it is the commit where the branch
# left main. On main, or where main is not known, it is the commit before the last change to
# proto/, committed or not. A break on main therefore fails until it is repaired. A break
# that is intended is listed in buf.yaml under breaking: ignore.
set -euo pipefail

BUF=${BUF:-tools/node_modules/.bin/buf}
AGAINST=${AGAINST:-}

skip() {
	echo "checkgenerate: buf breaking SKIPPED: $1"
	exit 0
}

# commit prints the hash of a commit, or fails.
commit() { git rev-parse --quiet --verify "$1^{commit}"; }

# before_last_change prints the commit before the last change to proto/.
before_last_change() {
	local head=$1 last
	if ! git diff --quiet HEAD -- proto; then
		echo "$head"
		return
	fi
	last=$(git log -1 --first-parent --format=%H -- proto)
	commit "$last^"
}

head=$(commit HEAD) || skip "no commit yet, or not a git work tree"
if [[ $(git rev-parse --is-shallow-repository) == true ]]; then
	echo "checkgenerate: this is a shallow clone; fetching its history"
	GIT_TERMINAL_PROMPT=0 git fetch --quiet --unshallow || true
fi

if [[ -n $AGAINST ]]; then
	base=$AGAINST
	commit "$base" >/dev/null || {
		echo "AGAINST: there is no commit $base"
		exit 1
	}
else
	main=$(commit origin/main || commit main || echo "$head")
	base=$(git merge-base HEAD "$main" || true)
	if [[ -z $base || $base == "$head" ]]; then
		base=$(before_last_change "$head") || skip "no commit before the last change to proto/"
	fi
fi
git cat-file -e "$base:proto" 2>/dev/null || skip "the earlier commit $base has no proto/"

# buf can read a commit itself (.git#ref=…), but not in a linked work tree.
earlier=$(mktemp -d)
trap 'rm -rf "$earlier"' EXIT
git archive "$base" proto | tar -x -C "$earlier"
cp buf.yaml "$earlier"
"$BUF" breaking --against "$earlier" || {
	echo "checkgenerate: proto/ breaks clients of $base"
	exit 1
}
echo "checkgenerate: proto/ is compatible with $base"
