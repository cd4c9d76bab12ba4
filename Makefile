# `make` lists the targets and their descriptions.
SHELL := /bin/bash
GO    ?= go
# How the binary is built. What is not under the race detector is built in the same way, also by the
# tests, so that a cold machine compiles the libraries once for both.
STATIC := CGO_ENABLED=0 $(GO)

.DEFAULT_GOAL := help

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

.PHONY: build
build: ## build the static binary ./gavel
	$(STATIC) build -trimpath -o gavel ./cmd/gavel

.PHONY: demo
demo: ## run everything in one process, with a stand-in Twilio that plays calls
	$(GO) run ./cmd/gavel demo

.PHONY: test
test: redis-server ## run all tests under the race detector; installs redis-server if it is missing
	$(GO) vet ./...
	$(GO) vet -tags 'failover crash upgrade' ./failover
	$(GO) test -race -timeout 15m ./...

# Tests use a real Redis: any redis-server from 6.2 on in PATH. They were
# developed with Debian's package.
.PHONY: redis-server
redis-server:
	@command -v redis-server >/dev/null || { \
	  echo "redis-server is missing: installing it with apt-get"; \
	  as=$$([ "$$(id -u)" = 0 ] || echo sudo); \
	  $$as apt-get update -qq && $$as apt-get install -y -qq --no-install-recommends redis-server; }

# Tests that are as fast in `make test` run only there.
.PHONY: failover
failover: redis-server ## run two of everything and kill one repeatedly, play 20,000 histories of actions and 20,000 call floors; takes about four minutes
	$(STATIC) test -trimpath -tags failover -timeout 10m -skip 'OutlivesACrash|TestRules[^B]|TestRulesBrakeTogether' ./failover
	$(STATIC) test -trimpath -run TestActionsHaveTheirConditions ./handlers/act
	$(STATIC) test -trimpath -run TestGavelsStateAgreesWithTwilios ./internal/twilio/twiliofake

.PHONY: crash
crash: redis-server ## crash a process at each of 19 points of a decision's life, 20 times; takes about fifteen minutes
	$(STATIC) test -trimpath -tags crash -timeout 40m -run TestADecisionOutlivesACrash -v ./failover | grep -vE '^ +--- PASS|=== '

.PHONY: upgrade
upgrade: redis-server ## open data of an older build with this one; needs the history of the repository; takes about 90 seconds
	$(STATIC) test -trimpath -tags upgrade -timeout 5m -count 1 -run TestUpgrade ./failover

.PHONY: field
field: build ## run the smallest input of each fault met in the field against the binary; takes about a minute
	$(STATIC) run -trimpath ./failover/field ./gavel

# `make campaign ONLY=T2 SEED=7 SIZE=full`. OLDER is the commit whose build some controls run; it
# breaks what later commits promise.
ONLY ?=
SEED ?= 1
SIZE ?= short
OLDER ?= 7921494
.PHONY: campaign
campaign: build redis-server ## run one destructive campaign and its negative control; needs root; without ONLY it lists them
	@set -e; dir=$$(mktemp -d); trap 'rm -rf "$$dir"' EXIT; \
	  git archive $(OLDER) | tar -x -C "$$dir"; (cd "$$dir" && CGO_ENABLED=0 $(GO) build -o older ./cmd/gavel); \
	  $(GO) build -o "$$dir/nats-server" github.com/nats-io/nats-server/v2; \
	  $(GO) run ./failover/campaign -only "$(ONLY)" -seed "$(SEED)" -size "$(SIZE)" -older "$$dir/older" -nats "$$dir/nats-server" ./gavel

.PHONY: compat
compat: build ## run the official npm client against the binary and a stand-in Twilio (Node 20 or newer)
	cd compat && npm ci --silent && node run.mjs ../gavel

.PHONY: bench
bench: build ## measure ratios to baselines in the same run; takes about fifteen minutes
	$(GO) run ./bench

.PHONY: probes
probes: ## check a healthy NATS 100,000 times beside busy cores; no check may give an alarm
	$(GO) test -run '^$$' -bench ProbesBesideBusyCores -benchtime 100000x -timeout 60m ./internal/bus/natsd

.PHONY: fuzz
fuzz: ## run every fuzz target for 30 seconds
	@set -e; for pkg in $$($(GO) list ./...); do \
	  for f in $$($(GO) test -list '^Fuzz' $$pkg | grep ^Fuzz || true); do \
	    echo "$$pkg $$f"; $(GO) test -run '^$$' -fuzz "^$$f$$" -fuzztime 30s $$pkg; done; done

.PHONY: lint
lint: ## run golangci-lint; .golangci.yml has the reasons
	$(GO) run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.5.0 run ./...
