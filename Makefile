# TruePACSBalancer. `make demo` shows the main job, `make test` runs every test.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help

MODULE  := github.com/truepacs/balancer
IMAGE   ?= docker.io/truepacs/balancer:v0.1.0
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS := -s -w -X $(MODULE)/internal/version.version=$(VERSION)
BIN     := .cache/bin
FUZZTIME ?= 5m
export GOFLAGS := -mod=readonly -trimpath

.PHONY: help
help: ## List the targets.
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sort | awk -F ':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

# ---- what everything needs ---------------------------------------------------------------------

# What is expensive to make (kernels, images, Kubernetes) outlives the checkout.
CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/truepacs-balancer
.cache:
	@mkdir -p $(CACHE) && ln -sfn $(CACHE) .cache

.PHONY: setup
setup: .cache ## Install the Debian packages that are missing (root).
	@hack/setup

.PHONY: tools
tools: .cache
	@cd tools && go build -o ../$(BIN)/controller-gen sigs.k8s.io/controller-tools/cmd/controller-gen
	@cd tools && go build -o ../$(BIN)/helm helm.sh/helm/v4/cmd/helm
	@cd tools && go build -o ../$(BIN)/h2spec github.com/summerwind/h2spec/cmd/h2spec

.PHONY: kubernetes
kubernetes: .cache
	@go run ./e2e/cluster/cmd/cluster build

.PHONY: linter
linter: .cache
	@cd tools/lint && go build -o ../../$(BIN)/golangci-lint sigs.k8s.io/kube-api-linter/cmd/golangci-lint-kube-api-linter

# ---- product -----------------------------------------------------------------------------------

.PHONY: build
build: ## Build the static binary bin/truepacs.
	@mkdir -p bin
	CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)' -o bin/truepacs .

.PHONY: image
image: build ## Write the OCI image dist/truepacs.tar.
	@mkdir -p dist
	go run ./hack/image -program bin/truepacs -output dist/truepacs.tar -version $(VERSION) -reference $(IMAGE)

.PHONY: generate
generate: tools ## Make generated code, CRDs and chart copies.
	$(BIN)/controller-gen object crd applyconfiguration paths=./api/... output:crd:dir=config/crd/bases
	hack/generate

.PHONY: verify
verify: generate ## Fail if a generated file is not what generate makes.
	@git diff --exit-code -- api config charts || { echo "generated files differ: commit what 'make generate' made"; exit 1; }

.PHONY: lint
lint: linter ## Check style, import rules and the API's conventions.
	$(BIN)/golangci-lint run ./...

# ---- tests -------------------------------------------------------------------------------------

.PHONY: demo
demo: setup build ## Show the main job on a LAN of virtual hosts (root).
	go run ./e2e/demo -binary bin/truepacs

.PHONY: cluster
cluster: setup image ## Run a real Kubernetes cluster with the balancer until Ctrl-C (root).
	go run ./e2e/cluster/cmd/cluster up

.PHONY: test
test: setup tools kubernetes build ## Run every test (root; 30 minutes warm).
	hack/test

.PHONY: prove
prove: setup kubernetes build ## Repeat the experiments that the design rests on, in pods (root; 10 minutes).
	go test -count=1 -v -timeout 40m ./e2e/lab/prove ./e2e/cluster/prove

.PHONY: soak
soak: setup tools kubernetes build ## Run the suites with full counts (root; hours), see hack/soak.
	hack/soak

.PHONY: bench-l4
bench-l4: setup build ## Measure layer 4 beside its peers (root; 15 minutes idle), see docs/benchmarks.md.
	SCALE_SERVICES=$(or $(SCALE_SERVICES),10000) go test -count=1 -v -timeout 60m ./e2e/drivers -run '^TestThousandsOfServices$$'
	SAVINGS_ROUNDS=$(or $(SAVINGS_ROUNDS),5) SAVINGS_MIB=$(or $(SAVINGS_MIB),32) go test -count=1 -v -timeout 90m ./e2e/bench/savings
	THOUSAND_PERCENT=5 THOUSAND_TIMES=5 go test -count=$(or $(THOUSAND_ROUNDS),3) -v -timeout 20m ./e2e/bench/checks

.PHONY: bench-l7
bench-l7: setup build ## Measure layer 7 beside HAProxy and nginx (root; 40 minutes idle), see docs/benchmarks.md.
	L7_ROUNDS=$(or $(L7_ROUNDS),5) L7_SECONDS=$(or $(L7_SECONDS),3) go test -count=1 -v -timeout 120m ./e2e/bench/l7

.PHONY: fuzz
fuzz: ## Run every fuzz target for FUZZTIME.
	hack/fuzz $(FUZZTIME)

.PHONY: clean
clean: ## Remove what was built; the cache stays.
	rm -rf bin dist
