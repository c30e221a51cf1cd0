# SPDX-License-Identifier: BSD-3-Clause
# A thin cover: meson and ninja build, tests/setup installs what Debian packages are missing,
# tests/hugepages lends hugepages to one command. Every target may be run again.

BUILD ?= build
prefix ?= /usr/local
sysconfdir ?= /etc
DESTDIR ?=
ARGS ?=

.NOTPARALLEL:
.PHONY: all setup-build setup-test setup-bench demo test test-migration test-numa bench bench-migration run install clean help

all: setup-build $(BUILD)/build.ninja
	ninja -C $(BUILD)

# Packagers who bring the packages themselves use meson and ninja directly.
setup-build:
	@tests/setup build

setup-test:
	@tests/setup build test

setup-bench:
	@tests/setup build test bench

$(BUILD)/build.ninja:
	meson setup $(BUILD) -Dwerror=true --prefix $(prefix) --sysconfdir $(sysconfdir)

demo: setup-test all
	tests/hugepages run 1024 bench/demo $(BUILD)

test: setup-test all
	tests/hugepages run 1024 tests/run $(BUILD)

# Live migrations of real guests, for an hour: 10 there and back of each kind, and 100 in a row.
test-migration: setup-test all
	tests/hugepages run 1024 env SLUICE_BUILD=$(abspath $(BUILD)) SLUICE_MIGRATION_ROUNDS=10 \
		/usr/bin/python3 -m pytest -q -p no:cacheprovider tests/integration/test_migration.py \
		tests/integration/test_migration_fast.py

# Machines with other memory nodes than the one with two that "test" has, for minutes.
test-numa: setup-test all
	env SLUICE_BUILD=$(abspath $(BUILD)) SLUICE_NUMA_LAYOUTS=all \
		/usr/bin/python3 -m pytest -q -p no:cacheprovider tests/integration/test_two_nodes.py

bench: setup-bench all
	tests/hugepages run 2048 bench/run $(BUILD) $(ARGS)

bench-migration: setup-bench all
	tests/hugepages run 1024 bench/migration $(BUILD) $(ARGS)

run: all
	tests/hugepages run 512 $(BUILD)/control/sluiced $(ARGS)

install: all
	meson configure $(BUILD) -Dprefix=$(prefix) -Dsysconfdir=$(sysconfdir)
	DESTDIR="$(DESTDIR)" meson install -C $(BUILD)

clean:
	rm -rf $(BUILD) $(BUILD)-asan

help:
	@echo 'make            install what the build needs, and build in $(BUILD)/'
	@echo 'make demo       real traffic between two front-ends, with live rates'
	@echo 'make test       everything: units, lint, sanitizers, integration; ends with a count'
	@echo 'make bench      sluice, testpmd and OVS-DPDK interleaved; ARGS="..." to bench/run'
	@echo 'make test-migration   live migrations of real guests, for an hour'
	@echo 'make test-numa  machines with other memory nodes, for minutes'
	@echo 'make bench-migration  the same beside OVS-DPDK; ARGS="..." to bench/migration'
	@echo 'make run        sluiced in the foreground; ARGS="..." to sluiced'
	@echo 'make install    to prefix=$(prefix) and sysconfdir=$(sysconfdir), below DESTDIR'
	@echo 'make clean      remove $(BUILD)/ and $(BUILD)-asan/'
	@echo
	@echo 'As root, Debian packages that are missing are installed, and demo, test, bench and'
	@echo 'run borrow hugepages and give them back; each says what it does.'
