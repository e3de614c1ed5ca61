# make test      sets up what is missing, builds and runs all tests
# make demo      the main job against the practice server, in a temporary folder
# make install   PREFIX=/usr/local by default; make uninstall takes exactly that away
# make bench     the benchmarks
# make fuzz      ten minutes of fuzzing for each parser of a server's words

PREFIX ?= /usr/local
DESTDIR ?=
RELEASE := .build/release
RELEASE_FLAGS := -c release --static-swift-stdlib --disable-local-rpath

.PHONY: all build setup venv test demo bench fuzz format lint install uninstall clean

all: build

build: setup
	swift build $(RELEASE_FLAGS) --product claviger
	swift build $(RELEASE_FLAGS) --product claviger-core

# libsodium with its headers, and pkg-config: the only things that a Swift toolchain does not bring along.
setup:
	@scripts/setup libsodium-dev:sodium.h pkg-config:pkg-config

venv: .build/venv/ready

.build/venv/ready: Tests/IntegrationTests/requirements.txt
	@scripts/setup python3-venv:ensurepip
	python3 -m venv .build/venv
	.build/venv/bin/pip install --quiet --disable-pip-version-check -r $<
	touch $@

test: setup venv
	@scripts/setup curl:curl openssl:openssl chromium:chromium chromium-driver:chromedriver
	swift build --build-tests
	swift test --skip-build

demo: build
	@scripts/setup curl:curl
	swift build $(RELEASE_FLAGS) --product claviger-sandbox
	@scripts/demo $(RELEASE)

bench: setup
	@scripts/bench

fuzz: setup
	@scripts/fuzz

BINDIR := $(DESTDIR)$(PREFIX)/bin
LIBEXECDIR := $(DESTDIR)$(PREFIX)/libexec/claviger
MANDIR := $(DESTDIR)$(PREFIX)/share/man
COMPLETIONS := bash-completion/completions/claviger zsh/site-functions/_claviger fish/vendor_completions.d/claviger.fish
PAGES := $(notdir $(wildcard man/*.[157]))

install: build
	install -d $(BINDIR) $(LIBEXECDIR)
	install -m 755 $(RELEASE)/claviger $(BINDIR)/claviger
	install -m 755 $(RELEASE)/claviger-core $(LIBEXECDIR)/claviger-core
	@for page in $(PAGES); do \
	  section=$${page##*.}; install -d $(MANDIR)/man$$section; \
	  install -m 644 man/$$page $(MANDIR)/man$$section/$$page; done
	@for file in $(COMPLETIONS); do \
	  shell=$${file%%[-/]*}; target=$(DESTDIR)$(PREFIX)/share/$$file; install -d $$(dirname $$target); \
	  $(RELEASE)/claviger-core --generate-completion-script $$shell > $$target; chmod 644 $$target; done
	@echo "installed below $(DESTDIR)$(PREFIX)"

uninstall:
	rm -f $(BINDIR)/claviger $(LIBEXECDIR)/claviger-core
	rm -f $(foreach page,$(PAGES),$(MANDIR)/man$(subst .,,$(suffix $(page)))/$(page))
	rm -f $(addprefix $(DESTDIR)$(PREFIX)/share/,$(COMPLETIONS))
	@rmdir $(LIBEXECDIR) 2>/dev/null || true

format:
	swift format --in-place --recursive Sources Tests Package.swift

lint:
	swift format lint --strict --recursive Sources Tests Package.swift

clean:
	rm -rf .build
