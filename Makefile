# Every target says what it does; `make` alone lists them.
SHELL := /bin/bash
GO    ?= go

.DEFAULT_GOAL := help

.PHONY: help
help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

.PHONY: build
build: ## the one binary, static, as ./gavel
	CGO_ENABLED=0 $(GO) build -trimpath -o gavel ./cmd/gavel

.PHONY: demo
demo: ## everything in one process, with a stand-in Twilio that plays a call floor
	$(GO) run ./cmd/gavel demo

.PHONY: test
test: redis-server ## all tests under the race detector; installs redis-server if it is missing
	$(GO) vet ./...
	$(GO) test -race -timeout 15m ./...

# Tests talk to a real Redis. Debian's package is what they were written
# against; any redis-server from 6.2 on the PATH will do.
.PHONY: redis-server
redis-server:
	@command -v redis-server >/dev/null || { \
	  echo "redis-server is missing: installing it with apt-get"; \
	  as=$$([ "$$(id -u)" = 0 ] || echo sudo); \
	  $$as apt-get update -qq && $$as apt-get install -y -qq --no-install-recommends redis-server; }

# What takes no longer here than in `make test` is left to that.
.PHONY: failover
failover: redis-server ## two of everything, one of it killed again and again; takes about five minutes
	$(GO) test -tags failover -timeout 10m -skip 'OutlivesACrash|TestRules[^B]|TestRulesBrakeTogether' ./failover

.PHONY: crash
crash: redis-server ## a process dies at each of 19 points of a decision's life, 20 times; takes about fifteen minutes
	$(GO) test -tags crash -timeout 40m -run TestADecisionOutlivesACrash -v ./failover | grep -vE '^ +--- PASS|=== '

.PHONY: upgrade
upgrade: redis-server ## data that an older build wrote is opened by this one; needs the history of the repository; takes about 90 seconds
	$(GO) test -tags upgrade -timeout 5m -count 1 -run TestUpgrade ./failover

.PHONY: compat
compat: build ## the official npm client against the running binary and a stand-in Twilio (Node 20 or newer)
	cd compat && npm ci --silent && node run.mjs ../gavel

.PHONY: bench
bench: build ## ratios against baselines in the same run; takes about ten minutes
	$(GO) run ./bench

.PHONY: fuzz
fuzz: ## every fuzz target for 30 seconds
	@set -e; for pkg in $$($(GO) list ./...); do \
	  for f in $$($(GO) test -list '^Fuzz' $$pkg | grep ^Fuzz || true); do \
	    echo "$$pkg $$f"; $(GO) test -run '^$$' -fuzz "^$$f$$" -fuzztime 30s $$pkg; done; done

.PHONY: lint
lint: ## golangci-lint with the reasons in .golangci.yml
	$(GO) run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.5.0 run ./...
