# make test      sets up what is missing, builds and runs all tests
# make demo      the main job against the practice server, in a temporary folder
# make install   PREFIX=/usr/local by default; make uninstall takes exactly that away
# make bench     the benchmarks
# make fuzz      ten minutes of fuzzing for each parser of a server's words
# make torture   a hundred rounds of everything that could lose a login, and how many did

# make install-system   that, and the agent of the whole machine, as root; make uninstall-system takes the agent away

PREFIX ?= /usr/local
DESTDIR ?=
RELEASE := .build/release
RELEASE_FLAGS := -c release --static-swift-stdlib --disable-local-rpath

.PHONY: all build setup venv test demo bench fuzz torture format lint install uninstall install-system uninstall-system clean

all: build

build: setup
	swift build $(RELEASE_FLAGS) --product claviger
	swift build $(RELEASE_FLAGS) --product claviger-core

# The only things that a Swift toolchain does not bring along.
setup:
	@scripts/setup libsodium-dev:sodium.h libqrencode-dev:qrencode.h zlib1g-dev:zlib.h pkg-config:pkg-config

venv: .build/venv/ready

.build/venv/ready: Tests/IntegrationTests/requirements.txt
	@scripts/setup python3-venv:ensurepip
	python3 -m venv .build/venv
	.build/venv/bin/pip install --quiet --disable-pip-version-check -r $<
	touch $@

test: setup venv
	@scripts/setup curl:curl openssl:openssl chromium:chromium chromium-driver:chromedriver strace:strace
	swift build --build-tests
	@rm -f .build/proven.tsv
	swift test --skip-build --experimental-maximum-parallelization-width 8
	@scripts/proven --check

demo: build
	@scripts/setup curl:curl
	swift build $(RELEASE_FLAGS) --product claviger-sandbox
	@scripts/demo $(RELEASE)

bench: setup venv
	@scripts/setup curl:curl hyperfine:hyperfine oidc-agent-cli:oidc-token
	@scripts/bench
	@scripts/bench-agent

fuzz: setup
	@scripts/fuzz

torture: setup venv
	@scripts/setup curl:curl openssl:openssl strace:strace
	swift build --build-tests
	@scripts/torture

BINDIR := $(DESTDIR)$(PREFIX)/bin
LIBEXECDIR := $(DESTDIR)$(PREFIX)/libexec/claviger
UNITDIR := $(DESTDIR)$(PREFIX)/lib/systemd
FILL := sed 's|@LIBEXEC@|$(PREFIX)/libexec/claviger|'
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
	install -d $(UNITDIR)/user
	@for unit in service socket; do \
	  $(FILL) systemd/claviger-agent.user.$$unit > $(UNITDIR)/user/claviger-agent.$$unit; \
	  chmod 644 $(UNITDIR)/user/claviger-agent.$$unit; done
	install -d $(DESTDIR)$(PREFIX)/share/doc/claviger
	install -m 644 api/agent.yaml $(DESTDIR)$(PREFIX)/share/doc/claviger/agent.yaml
	@for file in $(COMPLETIONS); do \
	  shell=$${file%%[-/]*}; target=$(DESTDIR)$(PREFIX)/share/$$file; install -d $$(dirname $$target); \
	  $(RELEASE)/claviger-core --generate-completion-script $$shell > $$target; chmod 644 $$target; done
	@echo "installed below $(DESTDIR)$(PREFIX)"

# The agent of the whole machine: its own user, its folder, its unit. Nothing is started: there is no vault yet.
install-system: install
	id claviger >/dev/null 2>&1 || useradd --system --home-dir /var/lib/claviger --shell /usr/sbin/nologin claviger
	install -d -o claviger -g claviger -m 700 /var/lib/claviger
	install -d $(UNITDIR)/system
	$(FILL) systemd/claviger-agent.system.service > $(UNITDIR)/system/claviger-agent.service
	chmod 644 $(UNITDIR)/system/claviger-agent.service
	@echo "README.md says how the vault of this machine is made and its agent started"

# The vault and the user stay: they hold keys.
uninstall-system:
	rm -f $(UNITDIR)/system/claviger-agent.service

uninstall:
	rm -f $(UNITDIR)/user/claviger-agent.service $(UNITDIR)/user/claviger-agent.socket
	rm -f $(BINDIR)/claviger $(LIBEXECDIR)/claviger-core
	rm -f $(foreach page,$(PAGES),$(MANDIR)/man$(subst .,,$(suffix $(page)))/$(page))
	rm -f $(addprefix $(DESTDIR)$(PREFIX)/share/,$(COMPLETIONS))
	rm -f $(DESTDIR)$(PREFIX)/share/doc/claviger/agent.yaml
	@rmdir $(LIBEXECDIR) $(DESTDIR)$(PREFIX)/share/doc/claviger 2>/dev/null || true

format:
	swift format --in-place --recursive Sources Tests Package.swift

lint:
	swift format lint --strict --recursive Sources Tests Package.swift

clean:
	rm -rf .build
