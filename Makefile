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
GRPCJS := e2e/xds/testdata/grpcjs
DIST := internal/coordinator/web/dist
# The go command. `make test GO=go1.27` uses another one.
GO ?= go
# The time of each fuzz target, or a number of runs such as 100000x.
FUZZTIME ?= 10s
BENCHFLAGS ?=
# The commit that proto/ must be compatible with. tools/checkbreaking.sh finds it if it is
# not set.
AGAINST ?=
# Packages without goroutines, neither in their code nor in their tests.
SEQUENTIAL := internal/arch|internal/machine|internal/mesh
# Modules of their own in this repository. They import peers and drivers that the main
# module must not require.
MODULES := $(patsubst %/go.mod,%,$(wildcard bench/go.mod compat/go.mod compat/bed/go.mod kube/go.mod))
# Modules that have tests with the tag kube.
KUBEMODULES := $(filter compat/bed kube,$(MODULES))
# The build tags that `make lint` checks, each by itself: a file that compiles with a tag
# may not compile without it.
LINTTAGS := e2e planted soak

.PHONY: help
help: ## Describe useful make targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sort | awk 'BEGIN {FS = ":.*## "}; {printf "%-15s %s\n", $$1, $$2}'

.PHONY: build
build: ## Build bin/meshhealth
	$(GO) build -trimpath -o $(BIN)/meshhealth ./cmd/meshhealth

.PHONY: test
test: ## Run unit tests; needs nothing but Go
	$(GO) test -shuffle=on ./...

# The race detector makes tests about ten times slower, and finds nothing in SEQUENTIAL. Go's
# race detector crashes when two threads run timers of one synctest bubble (go.dev/issue/78156),
# so each test binary has one processor. Two packages are tested at a time.
.PHONY: race
race: ## Run unit tests with the race detector; needs a C compiler
	$(GO) test -race -cpu 1 -shuffle=on $$($(GO) list ./... | grep -vE '/($(SEQUENTIAL))$$')

# The tests that only stop coordinators, and close no port of a target, run beside each other.
# The tests of storefaults start one process for each system call of the store. They run
# without the race detector, because it makes each start several times slower. Those on a file
# system of their own need FUSE.
.PHONY: e2e
e2e: grpcurl grpchealthprobe strace grpcjs grpccore ## Run the tests over real sockets and processes
	GRPCURL=$(CURDIR)/$(BIN)/grpcurl GRPC_HEALTH_PROBE=$(CURDIR)/$(BIN)/grpc-health-probe \
		$(GO) test -tags e2e -count=1 -timeout 20m -race -parallel 4 $$($(GO) list -tags e2e ./e2e/... | grep -Ev '/(storefaults|xds)$$')
	$(GO) test -tags e2e -count=1 -timeout 20m -race ./e2e/xds
	$(GO) test -tags e2e -count=1 -timeout 20m ./e2e/storefaults

# The tests of the page run it in real browsers. UITESTS selects test files of e2e/ui.
UITESTS ?= *.test.mjs
.PHONY: e2e-ui
e2e-ui: browsers e2e/ui/node_modules/.package-lock.json build ## Run the tests of the page in Chromium and Firefox
	$(GO) test -c -tags e2e -o $(BIN)/pagerig.test ./coordinator
	cd e2e/ui && node --test --test-concurrency=1 $(UITESTS)

.PHONY: pictures
pictures: ## Take the pictures of the README again
	rm -rf docs/images
	MESHHEALTH_PICTURES=$(CURDIR)/docs/images $(MAKE) e2e-ui UITESTS=incident.test.mjs

e2e/ui/node_modules/.package-lock.json: e2e/ui/package.json e2e/ui/package-lock.json
	npm ci --prefix e2e/ui --ignore-scripts --no-audit --no-fund

# This installs Debian's browsers if it may. The tests name a browser that is missing.
.PHONY: browsers
browsers:
	@for p in chromium firefox-esr; do \
		dpkg -s $$p >/dev/null 2>&1 || { apt-get update -qq && apt-get install -y -qq --no-install-recommends $$p; } >/dev/null 2>&1 || \
			echo "e2e-ui: $$p is not installed and could not be installed"; \
	done

.PHONY: web
web: web/node_modules/.package-lock.json ## Build the page into internal/coordinator/web/dist
	cd web && node build.mjs

.PHONY: checkweb
checkweb: web/node_modules/.package-lock.json ## Check and test the sources of the page, and that its build is committed
	cd web && npm run --silent check && npm run --silent test
	@tmp=$$(mktemp -d); trap 'rm -rf "$$tmp"' EXIT; \
	(cd web && node build.mjs "$$tmp/dist"); \
	if ! diff -rq $(DIST) "$$tmp/dist"; then \
		echo "checkweb: $(DIST) differs from what web/ builds; run \`make web\` and commit $(DIST)"; exit 1; \
	fi; \
	echo "checkweb: $(DIST) is up to date"

web/node_modules/.package-lock.json: web/package.json web/package-lock.json
	npm ci --prefix web --ignore-scripts --no-audit --no-fund

# This installs Debian's programs if it may. The tests name the programs that are missing. The
# recommended packages would add an exporter of the machine to Prometheus.
.PHONY: compat
compat: h2spec ## Compare with the metrics of others, check real servers, dashboards and alerts
	@for p in redis-server nats-server postgresql prometheus prometheus-alertmanager; do \
		dpkg -s $$p >/dev/null 2>&1 || { apt-get install -y -qq --no-install-recommends $$p >/dev/null 2>&1 || echo "compat: $$p is not installed and could not be installed"; }; \
	done
	H2SPEC=$(CURDIR)/$(BIN)/h2spec $(GO) test -C compat -race -count=1 -v ./... | grep -Ev '^(=== RUN|=== PAUSE|=== CONT| *--- PASS|redis:)'

# tools/kubebinaries.sh keeps what it builds outside of the checkout.
.PHONY: compat-kube
compat-kube: ## Run the tests against real Kubernetes and Istio (cold 10 min)
	@MESHHEALTH_KUBE_BINARIES=$$(GO='$(GO)' tools/kubebinaries.sh); export MESHHEALTH_KUBE_BINARIES; \
	for module in $(KUBEMODULES); do \
		$(GO) test -C $$module -tags kube -race -count=1 -p 1 -timeout 20m -v ./... | grep -Ev '^(=== RUN|=== PAUSE|=== CONT|=== NAME)'; \
	done
	@# With the flags of tools/kubebinaries.sh the packages of Istio are in the build cache.
	CGO_ENABLED=0 GOFLAGS="-trimpath -buildvcs=false" $(GO) test -C compat/istio -tags kube -vet=off -count=1 -timeout 20m -v ./... | grep -Ev '^(=== RUN|=== PAUSE|=== CONT|=== NAME)|deltaadsc'

.PHONY: kube
kube: ## Build bin/meshhealth-kube, and run its unit tests
	$(GO) build -C kube -trimpath -o ../$(BIN)/meshhealth-kube ./cmd/meshhealth-kube
	$(GO) test -C kube -race -cpu 1 -shuffle=on ./...

.PHONY: soak
soak: strace grpcjs grpccore ## Run the tests that have no time limit
	$(GO) test -tags soak -run Soak -count=1 -timeout 0 ./...
	MESHHEALTH_SOAK=1 MESHHEALTH_STRICT=1 $(MAKE) e2e-ui UITESTS="load.test.mjs chaos.test.mjs"

.PHONY: planted
planted: ## Plant known bugs, one at a time; the simulation must find each
	$(GO) test -tags planted -run Planted -count=1 -timeout 30m -v ./internal/sim | grep -Ev '^(=== RUN|=== PAUSE|=== CONT)'

.PHONY: sweep
sweep: ## Run the simulation with other defaults, and print the results
	$(GO) test -tags soak -run Sweep -count=1 -timeout 0 -v ./internal/sim -sweep | grep -Ev '^(=== RUN|=== PAUSE|=== CONT)'

.PHONY: bench
bench: ## Compare the speed with peers (BENCHFLAGS=…), and time the lock of the feed
	$(GO) test -run '^$$' -bench Hold -benchtime 300x ./health/feed
	$(GO) run -C bench . $(BENCHFLAGS)

.PHONY: cover
cover: ## Print the coverage without generated code
	$(GO) test -coverpkg="$$($(GO) list ./... | grep -v /gen/ | paste -sd, -)" -coverprofile=coverage.out ./...
	@$(GO) tool cover -func=coverage.out | tail -n 1

.PHONY: fuzz
fuzz: ## Run every fuzz target for FUZZTIME, one after another
	@GO='$(GO)' FUZZTIME='$(FUZZTIME)' tools/fuzz.sh

.PHONY: lint
lint: staticcheck gofumpt gosec ## Vet, staticcheck, gofumpt in every module and tag set; gosec
	@for tags in '' $(LINTTAGS); do $(call lintmodule,.,$$tags); done
	@for module in $(MODULES); do $(call lintmodule,$$module,kube); done
	@# The generators format generated code.
	@files=$$($(BIN)/gofumpt -l .); files=$$(grep -v '^gen/' <<<"$$files" || true); \
	if [ -n "$$files" ]; then echo "not formatted; run $(BIN)/gofumpt -w on:"; echo "$$files"; exit 1; fi

# lintmodule checks one folder with one set of tags.
define lintmodule
echo "lint: $(1) $(2)"; \
(cd $(1) && $(GO) vet -tags "$(2)" ./... && "$(CURDIR)/$(BIN)/staticcheck" -tags "$(2)" ./...) || exit 1
endef

# What gosec examines: what users run or link. Not examined are the packages that only tests import,
# and the modules of tests and benchmarks. gosec knows neither where a value comes from nor which range
# it has, so some rules are left out where they find nothing true:
# G115 (conversions of integers) finds conversions of lengths and counts. It is kept for the packages
# that read input from outside, GOSECINPUT.
# G304 (the name of a file is a variable) is left out where operators and programs name the files.
# G404 (random numbers that can be guessed) and G204 (starting programs) are left out for the simulated
# faults and load of `chaos` and `demo`. The package follow makes no secrets, only delays.
GOSECSKIP := e2e|internal/(arch|nettest|sim|testmesh|transcript)|internal/logs/logtest|coordinator/store/storetest
GOSECRULES := (certs|cmd/meshhealth|coordinator/config|coordinator/store/bolt|internal/audit|server/check)/:G304;internal/(chaos|demo)/:G204,G304,G404;internal/coordinator/follow/:G404
GOSECINPUT := internal/authority coordinator/config coordinator/store/bolt internal/access internal/compactjson internal/envoyconfig internal/httprpc internal/input internal/selector internal/wire
GOSEC = $(CURDIR)/$(BIN)/gosec -quiet -exclude-generated -nosec-require-rules -nosec-require-justification

.PHONY: gosec
gosec: gosectool ## Search for security faults with gosec
	@$(GOSEC) -exclude=G115 -exclude-rules='$(GOSECRULES)' $$($(GO) list -f '{{.Dir}}' ./... | grep -vE '/($(GOSECSKIP))(/|$$)')
	@$(GOSEC) -include=G115 $(GOSECINPUT)
	@cd kube && $(GOSEC) $$($(GO) list -f '{{.Dir}}' ./...)
	@echo "gosec: no findings"

.PHONY: reproducible
reproducible: ## Build the last commit twice, and compare the programs
	@GO='$(GO)' tools/reproducible.sh

.PHONY: sbom
sbom: cyclonedx build ## List the modules of bin/meshhealth in bin/meshhealth.cdx.json
	@GO='$(GO)' tools/sbom.sh $(BIN)/meshhealth

# The modules of all module files must be what go.sum says, and unchanged since they were fetched.
.PHONY: checkmodules
checkmodules:
	@for module in . $(MODULES); do \
		(cd $$module && $(GO) mod verify >/dev/null && $(GO) mod tidy -diff) || { echo "checkmodules: $$module/go.mod is not tidy, or a module was changed"; exit 1; }; \
	done
	@for file in tools/*.mod; do \
		$(GO) mod verify -modfile=$$file >/dev/null || { echo "checkmodules: a module of $$file was changed"; exit 1; }; \
	done
	@echo "checkmodules: all modules are verified"

.PHONY: generate
generate: $(BUF) web/node_modules/.package-lock.json ## Regenerate gen/ and web/src/gen from proto/, and format proto/
	$(BUF) format -w
	@$(call generateinto,$$tmp); \
	find gen -name '*.pb.go' -delete; \
	cp -R "$$tmp/gen/." gen/; \
	rm -rf web/src/gen/meshhealth; cp -R "$$tmp/web/src/gen/." web/src/gen/

.PHONY: checkgenerate
checkgenerate: checkgen checkproto checkbreaking ## Check that gen/ is up to date and proto/ is valid and compatible

# generateinto writes into $(1)/gen what gen/ should contain. Files of gen/ that are written
# by hand (the package comment) are copied. It sets tmp to a new folder and removes this
# folder at the end of the recipe.
define generateinto
tmp=$$(mktemp -d); trap 'rm -rf "$$tmp"' EXIT; \
cp -R gen "$(1)/gen"; find "$(1)/gen" -name '*.pb.go' -delete; \
$(BUF) generate -o "$(1)"
endef

.PHONY: checkgen
checkgen: $(BUF) web/node_modules/.package-lock.json
	@$(call generateinto,$$tmp); \
	if ! diff -ru gen "$$tmp/gen" || ! diff -ru web/src/gen/meshhealth "$$tmp/web/src/gen/meshhealth"; then \
		echo "checkgenerate: gen/ or web/src/gen differs from what proto/ generates (+ above); run \`make generate\` and commit both"; exit 1; \
	fi; \
	echo "checkgenerate: gen/ and web/src/gen are up to date"

.PHONY: checkproto
checkproto: $(BUF)
	$(BUF) lint
	$(BUF) format --diff --exit-code

.PHONY: checkbreaking
checkbreaking: $(BUF)
	@BUF='$(BUF)' AGAINST='$(AGAINST)' tools/checkbreaking.sh

.PHONY: clean
clean: ## Delete files that were built or fetched
	rm -rf $(BIN) tools/node_modules web/node_modules e2e/ui/node_modules $(GRPCJS)/node_modules coverage.*

# These recipes always run, because only the go command knows whether a tool is up to date.
# For an unchanged tool this takes a moment.
.PHONY: grpcurl
grpcurl:
	@$(GO) build -modfile=tools/grpcurl.mod -o $(BIN)/grpcurl github.com/fullstorydev/grpcurl/cmd/grpcurl

.PHONY: grpchealthprobe
grpchealthprobe:
	@$(GO) build -modfile=tools/grpc-health-probe.mod -o $(BIN)/grpc-health-probe github.com/grpc-ecosystem/grpc-health-probe

# strace makes system calls of the store fail. The tests that need it are skipped if it is
# missing and cannot be installed.
.PHONY: strace
strace:
	@strace -V >/dev/null 2>&1 || apt-get install -y -qq strace >/dev/null 2>&1 || true; \
	strace -o /dev/null true 2>/dev/null || echo "NOT RUN: the tests of failing disks, because strace is not installed or may not trace"

# The clients of other languages that the tests in e2e/xds run. The tests name a client that is
# missing, and fail for it if CI is set.
.PHONY: grpcjs
grpcjs: $(GRPCJS)/node_modules/.package-lock.json
$(GRPCJS)/node_modules/.package-lock.json: $(GRPCJS)/package.json $(GRPCJS)/package-lock.json
	npm ci --prefix $(GRPCJS) --ignore-scripts --no-audit --no-fund

# This installs Debian's package if it may.
.PHONY: grpccore
grpccore:
	@/usr/bin/python3 -c 'import grpc' 2>/dev/null || apt-get install -y -qq python3-grpcio >/dev/null 2>&1 || \
		echo "NOT RUN: the tests of C-core, because python3-grpcio is not installed and could not be installed"

.PHONY: gosectool
gosectool:
	@$(GO) build -modfile=tools/gosec.mod -o $(BIN)/gosec github.com/securego/gosec/v2/cmd/gosec

.PHONY: cyclonedx
cyclonedx:
	@$(GO) build -modfile=tools/cyclonedx-gomod.mod -o $(BIN)/cyclonedx-gomod github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod

.PHONY: h2spec
h2spec:
	@$(GO) build -modfile=tools/h2spec.mod -o $(BIN)/h2spec github.com/summerwind/h2spec/cmd/h2spec

.PHONY: staticcheck
staticcheck:
	@$(GO) build -modfile=tools/staticcheck.mod -o $(BIN)/staticcheck honnef.co/go/tools/cmd/staticcheck

.PHONY: gofumpt
gofumpt:
	@$(GO) build -modfile=tools/gofumpt.mod -o $(BIN)/gofumpt mvdan.cc/gofumpt

# npm writes .package-lock.json last, so this file means that the installation is complete.
# make cannot compare the link to buf itself: its time is that of the buf package.
$(BUF): tools/node_modules/.package-lock.json
tools/node_modules/.package-lock.json: tools/package.json tools/package-lock.json
	npm ci --prefix tools --no-audit --no-fund
