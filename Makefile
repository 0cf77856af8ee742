# make demo    try it on this computer: Go and Python 3 are enough
# make test    every test; as root in a container or CI it installs what they need
# make check   what CI runs: lint, cross, test

GO       ?= go
PREFIX   ?= /usr/local
PLATFORMS := linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64 windows/arm64
# Two packages at a time, since tests start Jupyters and browsers; in each four
# tests, since many of them mostly wait.
TESTFLAGS ?= -race -count=1 -p 2 -parallel 4 -timeout 45m
# What fails beside three others that load the machine is run again by itself,
# twice at most, and listed. Many failures, a race or a panic stay what they are.
RERUN := --rerun-fails=2 --rerun-fails-max-failures=12 --rerun-fails-abort-on-data-race --rerun-fails-run-root-test

.PHONY: build install demo deps test lint cross bench soak check clean

build bin/nbremote:
	$(GO) build -trimpath -ldflags '-s -w' -o bin/nbremote .

# Builds only what is not there: root may have no Go.
install: bin/nbremote
	install -d $(DESTDIR)$(PREFIX)/bin
	install -m 755 bin/nbremote $(DESTDIR)$(PREFIX)/bin/nbremote

# Where there is no Jupyter it asks whether to install one; where nobody can be
# asked, whoever typed this has said yes.
demo: build
	@if [ -t 0 ]; then bin/nbremote demo; else bin/nbremote -y demo; fi

deps:
	@sh test/deps.sh install

test:
	@sh test/deps.sh check
	$(GO) test -count=1 -run 'HugeUpload|HugeFile' ./internal/webproxy ./test # GiBs, which -race is too slow for
	@again=$$(mktemp) && \
	$(GO) tool gotestsum --format standard-quiet --hide-summary=skipped $(RERUN) --rerun-fails-report $$again --packages "./test ./..." -- $(TESTFLAGS); \
	  red=$$?; \
	  if [ -s $$again ]; then echo 'Failed, and run again (a test here that passed then needs mending):'; cat $$again; fi; \
	  rm -f $$again; exit $$red

lint:
	@out=$$(gofmt -l $$(git ls-files -co --exclude-standard '*.go')); \
	  if [ -n "$$out" ]; then echo "gofmt -w these:"; echo "$$out"; exit 1; fi
	$(GO) vet ./...
	$(GO) tool staticcheck ./...

cross:
	@set -e; for p in $(PLATFORMS); do \
	  echo "build $$p"; \
	  CGO_ENABLED=0 GOOS=$${p%/*} GOARCH=$${p#*/} $(GO) build -trimpath -o /dev/null .; \
	done; \
	for os in darwin windows; do echo "vet $$os"; GOOS=$$os GOARCH=arm64 $(GO) vet ./...; done

bench: build
	NBREMOTE_BENCH=1 $(GO) test -count=1 -timeout 80m -run '^TestBench' -v ./test

soak:
	NBREMOTE_SOAK=10m $(GO) test -race -count=1 -parallel 8 -timeout 60m -run '^TestSoak|Upload' -v ./test ./internal/webproxy ./internal/link ./internal/session

check: lint cross test

clean:
	rm -rf bin
