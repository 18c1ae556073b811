# make help says what there is.  A binary that is there already is installed
# with PLAGUE=path; the places follow DESTDIR, prefix and sysconfdir.
prefix = /usr
sysconfdir = /etc
DESTDIR =
PLAGUE =

# sudo drops the folder in which Go's own archive installs.
export PATH := $(PATH):/usr/local/go/bin
names = plague-server plague-builder plague-client plague-user-manager plague-user-manager.py plague-certhelper certhelper.py
version = $(shell sed -n 's/^Version: *//p' packaging/plague.spec)

.DEFAULT_GOAL = build
.PHONY: help demo test test-aarch64 build install lint bench clean dist tools-go tools-git

help: ## what can be made
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

demo: build ## from nothing to an installed package, on Debian 12 or Fedora (root or sudo)
	@demo/run

test: tools-go tools-git ## all tests; installs what they need
	@demo/install-tools --test
	go test -timeout 20m -parallel 4 ./...

test-aarch64: tools-go tools-git ## a farm with an emulated builder; sets the machine's emulator while it runs (root)
	@demo/install-tools --test --emulate
	PLAGUE_TEST_EMULATE=yes demo/with-emulator aarch64 go test -count 1 -timeout 30m -v -run 'Aarch64' ./internal/cli

build: tools-go tools-git ## bin/plague, one static binary, and its old names
	@mkdir -p bin
	CGO_ENABLED=0 go build -trimpath -ldflags='-s -w' $(buildvcs) -o bin/plague ./cmd/plague
	@for n in $(names); do ln -sfn plague bin/$$n; done

install: $(if $(PLAGUE),,build) ## make DESTDIR=/ install: never overwrites a configuration
	@packaging/install '$(or $(PLAGUE),bin/plague)' '$(DESTDIR)' '$(prefix)' '$(sysconfdir)' $(names)

lint: tools-go ## gofmt, go vet, staticcheck
	@out=$$(gofmt -l .); [ -z "$$out" ] || { echo "gofmt -w: $$out"; exit 1; }
	go vet ./...
	go tool staticcheck ./...

bench: build ## the figures, on this machine
	@bin/plague bench
	@go test -count 1 -v -run Simulation ./internal/farmtest -schedules 300 | sed -n 's/.*go:[0-9]*: \(.* in a second\)/simulator    \1/p'

dist: tools-go tools-git ## bin/plague-VERSION.tar.gz with all sources, for packaging/plague.spec
	@packaging/dist '$(version)'

clean: ## stops the demo's farm and removes what was made here
	@demo/run --clean
	rm -rf bin coverage.out

# Without a readable history (a tarball, somebody else's checkout) go must not ask git for the version.
buildvcs = $(if $(shell git rev-parse --verify -q HEAD 2>/dev/null),,-buildvcs=false)

# An old go is asked outside this folder, or it would fetch a new one to answer.
tools-go:
	@command -v go >/dev/null || { echo "make: no go on the PATH: install Go 1.21 or newer from https://go.dev/dl/ (Debian: apt-get install -t bookworm-backports golang-go)" >&2; exit 1; }
	@v=$$(cd / && GOTOOLCHAIN=local go version | sed -n 's/^go version [^ ]*go\([0-9]*\)\.\([0-9]*\).*/\1 \2/p'); set -- $$v; \
	[ "$$1" -gt 1 ] 2>/dev/null || [ "$$1" = 1 -a "$$2" -ge 21 ] 2>/dev/null || { \
	echo "make: this go is $${1:-?}.$${2:-?}, and 1.21 is the oldest that can fetch the one go.mod names: install a newer one from https://go.dev/dl/" >&2; exit 1; }

tools-git:
	@command -v git >/dev/null || { echo "make: no git on the PATH: install it (apt-get install git, dnf install git)" >&2; exit 1; }
