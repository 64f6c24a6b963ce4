# See https://tech.davis-hansson.com/p/make/
SHELL := bash
.DELETE_ON_ERROR:
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --warn-undefined-variables
MAKEFLAGS += --no-builtin-rules
MAKEFLAGS += --no-print-directory

BIN := bin
BUF := tools/node_modules/.bin/buf
# Set to use a different compiler. For example, `GO=go1.27 make test`.
GO ?= go
# Per fuzz target: a duration, or a count such as 100000x.
FUZZTIME ?= 10s
BENCHFLAGS ?=
# The commit whose proto this tree must be compatible with; found if not set.
AGAINST ?=
# Peers and drivers live in modules of their own, beside ours.
MODULES := $(patsubst %/go.mod,%,$(wildcard bench/go.mod compat/go.mod))
# Files behind these tags are judged like all others. Each tag set is looked at
# by itself: what compiles with a tag may not compile without.
LINTTAGS := e2e planted soak

.PHONY: help
help: ## Describe useful make targets
	@grep -hE '^[a-z0-9]+:.*## ' $(MAKEFILE_LIST) | sort | awk 'BEGIN {FS = ":.*## "}; {printf "%-15s %s\n", $$1, $$2}'

.PHONY: build
build: ## Build bin/meshhealth
	$(GO) build -trimpath -o $(BIN)/meshhealth ./cmd/meshhealth

.PHONY: test
test: ## Run unit tests; needs nothing but Go
	$(GO) test -shuffle=on ./...

.PHONY: race
race: ## Run unit tests with the race detector; needs a C compiler
	$(GO) test -race -shuffle=on ./...

# Those of failing disks run a process for every call of it, without the race
# detector, which would make each start several times as slow.
.PHONY: e2e
e2e: grpcurl grpchealthprobe strace ## Run the tests over real sockets and processes
	GRPCURL=$(CURDIR)/$(BIN)/grpcurl GRPC_HEALTH_PROBE=$(CURDIR)/$(BIN)/grpc-health-probe \
		$(GO) test -tags e2e -count=1 -timeout 20m -race -p 1 $$($(GO) list -tags e2e ./e2e/... | grep -v /storefaults)
	$(GO) test -tags e2e -count=1 ./e2e/storefaults

# Debian's servers are installed where one may; the tests name those that are
# not there.
.PHONY: compat
compat: ## Compare with what others make, and check real servers
	@for p in redis-server nats-server postgresql; do \
		dpkg -s $$p >/dev/null 2>&1 || { apt-get install -y -qq $$p >/dev/null 2>&1 || echo "compat: $$p is not installed, and could not be"; }; \
	done
	$(GO) test -C compat -race -count=1 -v ./... | grep -Ev '^(=== RUN|=== PAUSE|=== CONT| *--- PASS|redis:)'

.PHONY: soak
soak: strace ## Run the tests that take as long as one lets them
	$(GO) test -tags soak -run Soak -count=1 -timeout 0 ./...

.PHONY: planted
planted: ## Plant known bugs, one at a time; the simulation must find each
	$(GO) test -tags planted -run Planted -count=1 -timeout 30m -v ./internal/sim | grep -Ev '^(=== RUN|=== PAUSE|=== CONT)'

.PHONY: sweep
sweep: ## Play the simulation with other defaults, and print what came of it
	$(GO) test -tags soak -run Sweep -count=1 -timeout 0 -v ./internal/sim -sweep | grep -Ev '^(=== RUN|=== PAUSE|=== CONT)'

.PHONY: bench
bench: ## Compare speed with the peers' (BENCHFLAGS=…)
	$(GO) run -C bench . $(BENCHFLAGS)

.PHONY: cover
cover: ## Print the coverage, generated code left out
	$(GO) test -coverpkg="$$($(GO) list ./... | grep -v /gen/ | paste -sd, -)" -coverprofile=coverage.out ./...
	@$(GO) tool cover -func=coverage.out | tail -n 1

# On Go 1.26 a fuzz run may fail just because its time is up, with a bare
# "context deadline exceeded" (golang/go#75804, fixed in 1.27). Such a run is
# repeated, once, and said so: a real failure fails again.
.PHONY: fuzz
fuzz: ## Run every fuzz target for FUZZTIME, one after another
	@out=$$(mktemp); trap 'rm -f "$$out"' EXIT; n=0; \
	once() { $(GO) test -run '^$$' -fuzz "^$$2\$$" -fuzztime '$(FUZZTIME)' "$$1" 2>&1 | tee "$$out"; }; \
	timeup() { grep -qE '^ +context deadline exceeded$$' "$$out" && ! grep -q 'Failing input' "$$out"; }; \
	dirs=$$($(GO) list -f '{{.Dir}}' ./...); \
	for dir in $$dirs; do \
		for target in $$(grep -shoE '^func Fuzz[A-Za-z0-9_]*' "$$dir"/*_test.go | cut -c6- || true); do \
			echo "fuzz: $$target in $${dir#$(CURDIR)/}"; n=$$((n+1)); \
			once "$$dir" "$$target" && continue; \
			timeup || exit 1; \
			echo "fuzz: $$target: only its time was up (golang/go#75804); once more"; \
			once "$$dir" "$$target"; \
		done; \
	done; \
	echo "fuzz: $$n targets"

.PHONY: lint
lint: staticcheck gofumpt ## Vet, staticcheck, gofumpt, in every module and tag set
	@for tags in '' $(LINTTAGS); do $(call lintmodule,.,$$tags); done
	@for module in $(MODULES); do $(call lintmodule,$$module,); done
	@# Generated code is formatted by who generated it.
	@files=$$($(BIN)/gofumpt -l .); files=$$(grep -v '^gen/' <<<"$$files" || true); \
	if [ -n "$$files" ]; then echo "not formatted; run $(BIN)/gofumpt -w on:"; echo "$$files"; exit 1; fi

# lintmodule looks at one folder, with one tag set.
define lintmodule
echo "lint: $(1) $(2)"; \
(cd $(1) && $(GO) vet -tags "$(2)" ./... && "$(CURDIR)/$(BIN)/staticcheck" -tags "$(2)" ./...) || exit 1
endef

.PHONY: generate
generate: $(BUF) ## Regenerate gen/ from proto/, and format proto/
	$(BUF) format -w
	@$(call generateinto,$$tmp); \
	find gen -name '*.pb.go' -delete; \
	cp -R "$$tmp/gen/." gen/

.PHONY: checkgenerate
checkgenerate: checkgen checkproto checkbreaking ## Check that gen/ is up to date, and proto/ sound and compatible

# generateinto fills $(1)/gen with what gen/ should hold. What is written by
# hand there (the package comment) is taken as it is. It sets tmp, and removes
# it at the end of the recipe.
define generateinto
tmp=$$(mktemp -d); trap 'rm -rf "$$tmp"' EXIT; \
cp -R gen "$(1)/gen"; find "$(1)/gen" -name '*.pb.go' -delete; \
$(BUF) generate -o "$(1)"
endef

.PHONY: checkgen
checkgen: $(BUF)
	@$(call generateinto,$$tmp); \
	if ! diff -ru gen "$$tmp/gen"; then \
		echo "checkgenerate: gen/ is not what proto/ generates (+ above); run \`make generate\` and commit gen/"; exit 1; \
	fi; \
	echo "checkgenerate: gen/ is up to date"

.PHONY: checkproto
checkproto: $(BUF)
	$(BUF) lint
	$(BUF) format --diff --exit-code

# Compatible with what? On a branch: with where it left main. On main itself, or
# where main is not known (a clone of one branch): with the state before the last
# change to proto/, committed or not. So a break on main stays red until it is
# mended, not just for one commit. One that is meant goes into buf.yaml, under
# breaking: ignore, for all to see.
#
# git archive, not buf's own `.git#ref=…`: it also works in a linked work tree.
.PHONY: checkbreaking
checkbreaking: $(BUF)
	@skip() { echo "checkgenerate: buf breaking SKIPPED: $$1"; exit 0; }; \
	commit() { git rev-parse --quiet --verify "$$1^{commit}"; }; \
	head=$$(commit HEAD) || skip "no commit yet, or not a git work tree"; \
	if [ "$$(git rev-parse --is-shallow-repository)" = true ]; then \
		echo "checkgenerate: a shallow clone; fetching its history"; \
		GIT_TERMINAL_PROMPT=0 git fetch --quiet --unshallow || true; \
	fi; \
	base='$(AGAINST)'; \
	if [ -n "$$base" ]; then commit "$$base" >/dev/null || { echo "AGAINST: no commit $$base"; exit 1; }; \
	else \
		main=$$(commit origin/main || commit main || echo "$$head"); \
		base=$$(git merge-base HEAD "$$main" || true); \
		if [ -z "$$base" ] || [ "$$base" = "$$head" ]; then \
			base=$$head; \
			if git diff --quiet HEAD -- proto; then \
				last=$$(git log -1 --first-parent --format=%H -- proto); \
				base=$$(commit "$$last^") || skip "no commit before the last change to proto/ ($${last:-none})"; \
			fi; \
		fi; \
	fi; \
	git cat-file -e "$$base:proto" 2>/dev/null || skip "no proto/ in the earlier commit $$base"; \
	tmp=$$(mktemp -d); trap 'rm -rf "$$tmp"' EXIT; \
	git archive "$$base" proto | tar -x -C "$$tmp"; cp buf.yaml "$$tmp"; \
	$(BUF) breaking --against "$$tmp" || { echo "checkgenerate: proto/ breaks clients of $$base"; exit 1; }; \
	echo "checkgenerate: proto/ is compatible with $$base"

.PHONY: clean
clean: ## Delete what was built and fetched
	rm -rf $(BIN) tools/node_modules coverage.*

# The go command knows best whether a tool is up to date (its version counts
# too), so these are always run; unchanged, they take a moment.
.PHONY: grpcurl
grpcurl:
	@$(GO) build -modfile=tools/grpcurl.mod -o $(BIN)/grpcurl github.com/fullstorydev/grpcurl/cmd/grpcurl

.PHONY: grpchealthprobe
grpchealthprobe:
	@$(GO) build -modfile=tools/grpc-health-probe.mod -o $(BIN)/grpc-health-probe github.com/grpc-ecosystem/grpc-health-probe

# It makes calls of the store's fail. The tests that need it are skipped where it
# is not, and may not be installed.
.PHONY: strace
strace:
	@strace -V >/dev/null 2>&1 || apt-get install -y -qq strace >/dev/null 2>&1 || true; \
	strace -o /dev/null true 2>/dev/null || echo "NOT RUN: tests of failing disks, for strace is not installed, or may not trace"

.PHONY: staticcheck
staticcheck:
	@$(GO) build -modfile=tools/staticcheck.mod -o $(BIN)/staticcheck honnef.co/go/tools/cmd/staticcheck

.PHONY: gofumpt
gofumpt:
	@$(GO) build -modfile=tools/gofumpt.mod -o $(BIN)/gofumpt mvdan.cc/gofumpt

# npm writes its own record last, so that a broken installation is not taken for
# a whole one. The link to buf keeps the time of its package.
$(BUF): tools/node_modules/.package-lock.json
tools/node_modules/.package-lock.json: tools/package.json tools/package-lock.json
	npm ci --prefix tools --no-audit --no-fund
