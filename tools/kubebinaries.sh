#!/usr/bin/env bash
# Builds the programs that the tests with the tag kube start, and prints the folders that have them,
# separated by colons: kube-apiserver, kube-controller-manager, hollow, pilot-discovery, etcd, and
# Istio's resource definitions (crds.yaml).
#
# The programs are kept outside of the checkout, each module's in a folder whose name has the hash of
# its go.mod, go.sum, own source and Go version. A build of everything takes about ten minutes on two
# cores and 8 GB for the build cache of Go; with the programs at hand this takes a second. Of each
# module's folders the two that were used last are kept.
set -euo pipefail
cd "$(dirname "$0")/../compat"
GO=${GO:-go}
cache=${MESHHEALTH_KUBE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/meshhealth}
mkdir -p "$cache"
exec 9>"$cache/lock"
export CGO_ENABLED=0 GOFLAGS="-trimpath -buildvcs=false ${GOFLAGS:-}"

say() { echo "compat-kube: $*" >&2; }
lack() {
	say "$1 is missing: $2"
	exit 1
}

# Another checkout may build the same.
flock -n 9 || {
	say "waiting for another build, which has locked $cache/lock"
	flock 9
}

# key is the hash of what a module's programs are built from, and of this script.
key() {
	local files
	files=$(cd "$1" && find . -name '*.go' ! -name '*_test.go' | LC_ALL=C sort)
	{
		$GO env GOVERSION GOOS GOARCH
		cat "../tools/kubebinaries.sh" "$1/go.mod" "$1/go.sum"
		(cd "$1" && for file in $files; do echo "$file" && cat "$file"; done)
	} | sha256sum | cut -c1-16
}

# bound removes all folders of a module but the two that were used last.
bound() {
	ls -dt "$cache/$1"-* | tail -n +3 | xargs -r rm -rf
}

# build makes the folder of a module with the given programs, unless it exists, and sets dir.
build() {
	local module=$1 flags=$2 package name start
	shift 2
	dir=$cache/$module-$(key "$module")
	if [[ -d $dir ]]; then
		touch "$dir"
		return
	fi
	rm -rf "$cache/$module"-*.new # of builds that were interrupted
	mkdir "$dir.new"
	for package in "$@"; do
		name=${package##*/} start=$SECONDS
		say "building $name; without a build cache this takes minutes"
		$GO build -C "$module" -ldflags "-s -w $flags" -o "$dir.new/$name" "$package" ||
			lack "$name" "it could not be built from compat/$module/go.mod"
		say "built $name in $((SECONDS - start)) s"
	done
	if [[ $module == istio ]]; then
		cp "$($GO list -C istio -m -f '{{.Dir}}' istio.io/istio)/manifests/charts/base/files/crd-all.gen.yaml" "$dir.new/crds.yaml" ||
			lack crds.yaml "the module istio.io/istio does not have it at the usual place"
	fi
	mv "$dir.new" "$dir"
	bound "$module"
}

# etcd is not a Go module that can be built at a tag. Debian's is taken, without its system service.
findetcd() {
	if path=$(command -v etcd); then
		etcd=$(dirname "$path")
		return
	fi
	etcd=$cache/etcd-debian/usr/bin
	if [[ -x $etcd/etcd ]]; then
		return
	fi
	local tmp
	tmp=$(mktemp -d "$cache/etcd.XXXXXX")
	# shellcheck disable=SC2064
	trap "rm -rf '$tmp'" EXIT
	(
		cd "$tmp"
		download=(apt-get -qq -o APT::Sandbox::User=root download etcd-server) # apt's own user may not write here
		"${download[@]}" >&2 || { apt-get update -qq >&2 && "${download[@]}" >&2; }
		dpkg -x etcd-server_*.deb x
	) || lack etcd "it is not in the PATH, and Debian's package etcd-server could not be fetched"
	rm -rf "$cache/etcd-debian"
	mv "$tmp/x" "$cache/etcd-debian"
}

version=$($GO list -C kube -m -f '{{.Version}}' k8s.io/kubernetes) ||
	lack kube-apiserver "compat/kube/go.mod has no version of k8s.io/kubernetes"
IFS=. read -r major minor _ <<<"${version#v}"
stamp=k8s.io/component-base/version

findetcd
build kube "-X $stamp.gitVersion=$version -X $stamp.gitMajor=$major -X $stamp.gitMinor=$minor" \
	k8s.io/kubernetes/cmd/kube-apiserver k8s.io/kubernetes/cmd/kube-controller-manager ./hollow
kube=$dir
build istio '' istio.io/istio/pilot/cmd/pilot-discovery
echo "$kube:$dir:$etcd"
