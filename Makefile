# make test      sets up what is missing, builds and runs all tests
# make demo      the main job against the practice server, in a temporary folder
# make install   PREFIX=/usr/local by default; make uninstall takes exactly that away
# make bench     the benchmarks

PREFIX ?= /usr/local
DESTDIR ?=
RELEASE := .build/release
RELEASE_FLAGS := -c release --static-swift-stdlib --disable-local-rpath

.PHONY: all build setup venv test demo bench format lint install uninstall clean

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
	swift build --build-tests
	swift test --skip-build

format:
	swift format --in-place --recursive Sources Tests Package.swift

lint:
	swift format lint --strict --recursive Sources Tests Package.swift

clean:
	rm -rf .build
