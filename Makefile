# Targets: build, demo, test, e2e, matrix, lint, fuzz, fuzz-ci, bench, cross, deps,
# check-supply, vulnerabilities, licences, reproducible, soak.
# What they need beside Go is installed by "make deps".

VERSION     ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
LDFLAGS     := -s -w -X main.version=$(VERSION)
GOBUILD     := CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)'
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOVULNCHECK := golang.org/x/vuln/cmd/govulncheck@v1.8.0
FUZZTIME    ?= 20s
FUZZCITIME  ?= 1s
# All majors that a server can be had for without building it.
MAJORS      := 10,11,12,13,14,15,16,17,18

.PHONY: build demo test e2e matrix lint fuzz fuzz-ci bench cross deps check-supply vulnerabilities licences reproducible soak clean

build:
	$(GOBUILD) -o bin/pgbasin ./cmd/pgbasin
	cd bin && for name in pg_basebackup pg_combinebackup pg_receivewal pg_receivexlog pg_verifybackup; do ln -sf pgbasin $$name; done

# Takes, verifies and starts backups of a busy server, with what it prints.
demo: build
	go run ./e2e/demo

# Everything but the full matrix of server versions.
test: lint
	go test -race $(shell go list ./... | grep -v /e2e)
	go test -timeout 20m ./e2e/...

e2e:
	go test -timeout 20m -v ./e2e

# The end-to-end tests on every major version.
matrix:
	go test -timeout 60m -run Matrix ./e2e ./e2e/receive ./e2e/lab ./e2e/verify ./e2e/prove ./e2e/combine -args -majors $(MAJORS)

lint:
	@test -z "$$(gofmt -l .)" || { echo "not gofmt-ed:"; gofmt -l .; exit 1; }
	go vet ./...
	go run $(STATICCHECK) ./...

# Every fuzz target for FUZZTIME; go test -fuzz takes one target of one package.
# Minimizing is bounded, or the first interesting input takes all of the time.
fuzz:
	@set -e; for pkg in $$(go list ./...); do \
		for target in $$(go test -list '^Fuzz' $$pkg | grep '^Fuzz' || true); do \
			echo "$$pkg $$target"; \
			go test $$pkg -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 20x -parallel 2; \
		done; \
	done

# Every fuzz target for FUZZCITIME, two at a time. A test binary is built for each
# package, of which only the project's own packages are instrumented: go test -fuzz
# would build the standard library anew, and once more for each target. When the time
# is over in the wrong moment, Go reports just that, without an input, as a failure.
fuzz-ci:
	@set -e; bin=$$(mktemp -d); trap 'rm -rf "$$bin"' EXIT; \
	pkgs=$$(grep -rl --include='*_test.go' '^func Fuzz' . | xargs -n1 dirname | sort -u); \
	go test -c -o "$$bin/" -gcflags='github.com/pgbasin/pgbasin/...=-d=libfuzzer' $$pkgs; \
	for pkg in $$pkgs; do \
		test="$$bin/$$(basename $$pkg).test"; \
		for target in $$($$test -test.list '^Fuzz'); do echo "$$pkg $$test $$target"; done; \
	done > "$$bin/targets"; \
	xargs -P 2 -L 1 sh -c 'cd "$$0" && "$$1" -test.run "^$$2\$$" -test.fuzz "^$$2\$$" -test.fuzztime $(FUZZCITIME) \
		-test.fuzzminimizetime 20x -test.fuzzcachedir "$$1.cache" -test.parallel 1 -test.timeout 5m > "$$1.$$2.log" 2>&1 || \
		{ grep -q "^    context deadline exceeded" "$$1.$$2.log" && ! grep -q "Failing input\|failure while" "$$1.$$2.log"; } || \
		{ echo "$$0 $$2"; cat "$$1.$$2.log"; exit 1; }' < "$$bin/targets"; \
	echo "$$(wc -l < "$$bin/targets") fuzz targets found nothing in $(FUZZCITIME) each"

# Beside PostgreSQL's own tools, tar, zstd and cp, in one run; with QUICK=1 a smoke
# run of about a minute.
bench: build
	go run ./e2e/bench $(if $(QUICK),-quick)

cross:
	@set -e; for target in linux/amd64 linux/arm64 darwin/arm64 windows/amd64; do \
		echo "building for $$target"; \
		GOOS=$${target%/*} GOARCH=$${target#*/} $(GOBUILD) -o /dev/null ./cmd/pgbasin; \
		GOOS=$${target%/*} GOARCH=$${target#*/} go vet ./...; \
	done

# What the binary is built of: modules are what go.sum says, their licences are
# allowed and listed, known vulnerabilities do not reach it, and everybody who
# builds it gets the same bytes. The list of vulnerabilities comes from the
# network; where it cannot be had that check is left out, and said so.
check-supply: reproducible vulnerabilities
	go mod verify
	go test -count=1 ./internal/thirdparty

# Not by "go run", which does not pass on the exit status: 3 is that there are some.
vulnerabilities:
	@dir=$$(mktemp -d); trap 'rm -rf "$$dir"' EXIT; \
	GOBIN=$$dir go install $(GOVULNCHECK); \
	$$dir/govulncheck ./...; status=$$?; \
	if test $$status = 3; then exit 1; fi; \
	if test $$status != 0; then echo "vulnerabilities were NOT checked: the list cannot be had, see above"; fi

# Writes the list of modules and the texts of their licences.
licences:
	go run ./internal/thirdparty > docs/THIRD_PARTY.md.new
	mv docs/THIRD_PARTY.md.new docs/THIRD_PARTY.md

# Builds twice, in two directories, with caches of their own, and compares; with
# TARGETS=linux/arm64,... for others than linux/amd64.
reproducible:
	go run ./internal/reproducible $(if $(TARGETS),-targets $(TARGETS))

# Faults at random for so many minutes, with every commit that was acknowledged
# found again at the end: see e2e/soak.
soak: build
	go run ./e2e/soak -minutes $(or $(MINUTES),10) $(if $(SEED),-seed $(SEED))

# Installs what the tests compare with and read backups with. As root on Debian
# it does so by itself; elsewhere it says what is missing.
deps:
	@missing=""; \
	for tool in tar:tar gzip:gzip zstd:zstd lz4:lz4 npm:npm; do \
		command -v $${tool%:*} >/dev/null || missing="$$missing $${tool#*:}"; \
	done; \
	test -x /usr/lib/postgresql/15/bin/pg_verifybackup || missing="$$missing postgresql-15"; \
	test -z "$$missing" && exit 0; \
	if test "$$(id -u)" = 0 && command -v apt-get >/dev/null; then \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $$missing; \
	else \
		echo "please install:$$missing"; exit 1; \
	fi

clean:
	rm -rf bin
