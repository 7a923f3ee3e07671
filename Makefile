# SPDX-License-Identifier: GPL-3.0-or-later
# borderfs. `make` builds build/borderfs; `make V=1` shows the commands. Start with `make quickstart`.
# Each room of the source tree becomes one static library; a program links a room and every room below it, in the one
# order there is, so that an include or a call that climbs fails to link before `make lint` names it.

CC      ?= cc
BUILD   ?= build
PREFIX  ?= /usr/local
PKGS     = fuse3 libcurl libsodium libcrypto sqlite3 jansson expat libmagic libmaxminddb libssh2
CSTD     = -std=c11 -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -DFUSE_USE_VERSION=314
WARN     = -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wpointer-arith -Wwrite-strings
HARDEN   = -D_FORTIFY_SOURCE=2 -fstack-protector-strong -fPIE -fno-strict-overflow
OPT     ?= -O2
SANITIZE ?=
CFLAGS_ALL  = $(CSTD) $(WARN) $(OPT) -g $(if $(SANITIZE),-fsanitize=$(SANITIZE) -fno-omit-frame-pointer,$(HARDEN)) \
	-pthread -I. -MMD -MP $(PKG_CFLAGS) $(if $(CI),-Werror) $(CFLAGS)
LDFLAGS_ALL = $(if $(SANITIZE),-fsanitize=$(SANITIZE),-pie -Wl,-z,relro,-z,now) -pthread $(LDFLAGS)
PKG_CFLAGS := $(shell pkg-config --cflags $(PKGS) 2>/dev/null)
LIBS     := $(shell pkg-config --libs $(PKGS) 2>/dev/null) -linih -lunistring

# The rooms, lowest first.
ROOMS = base config backends fs/crypt fs/meta fs/cache fs/place fs/transfer fs/core fs/front fs/control fs/cli

Q = $(if $(V),,@)
say = $(if $(V),,@echo '  $(1)	$(2)';)

roomlib  = $(BUILD)/$(subst /,-,$(1)).a
roomobjs = $(patsubst %.c,$(BUILD)/obj/%.o,$(sort $(wildcard $(1)/*.c)))
# the libraries of a room and of all below it, highest first (twice, for the calls between neighbours)
upto     = $(call reverse,$(call head,$(1),$(ROOMS)))
reverse  = $(if $(1),$(call reverse,$(wordlist 2,999,$(1))) $(firstword $(1)))
head     = $(if $(2),$(firstword $(2)) $(if $(filter $(1),$(firstword $(2))),,$(call head,$(1),$(wordlist 2,999,$(2)))))
libs     = $(foreach r,$(call upto,$(1)),$(call roomlib,$(r)))

all: $(BUILD)/borderfs

$(BUILD)/borderfs: $(BUILD)/obj/fs/main.o $(call libs,fs/cli)
	$(call say,LD,$@)$(CC) $(LDFLAGS_ALL) -o $@ $< $(call libs,fs/cli) $(LIBS)

define room_rule
$(call roomlib,$(1)): $(call roomobjs,$(1))
	$$(call say,AR,$$@)rm -f $$@ && ar rcs $$@ $$^
endef
$(foreach r,$(ROOMS),$(eval $(call room_rule,$(r))))

$(BUILD)/obj/%.o: %.c
	$(if $(PKG_CFLAGS),,$(error libraries are missing: run packaging/install-deps build))$(Q)mkdir -p $(@D)
	$(call say,CC,$<)$(CC) $(CFLAGS_ALL) -c -o $@ $<

# Unit tests: tests/unit/ROOM/NAME_test.c is linked with ROOM (a slash is written as in fs-meta) and all below it.
define unit_rule
UNIT_TESTS += $(patsubst tests/unit/%.c,$(BUILD)/unit/%,$(wildcard tests/unit/$(subst /,-,$(1))/*_test.c))
$(BUILD)/unit/$(subst /,-,$(1))/%: $(BUILD)/obj/tests/unit/$(subst /,-,$(1))/%.o $(call libs,$(1))
	$(Q)mkdir -p $$(@D)
	$$(call say,LD,$$@)$(CC) $(LDFLAGS_ALL) -o $$@ $$< $(call libs,$(1)) $(LIBS) -lcmocka
endef
$(foreach r,$(ROOMS),$(eval $(call unit_rule,$(r))))
.PRECIOUS: $(BUILD)/obj/%.o

unit-tests: $(UNIT_TESTS)

# The contract every backend keeps, run against real servers by tests/contract/run.sh.
CONTRACT_TESTS = $(patsubst tests/%.c,$(BUILD)/%,$(wildcard tests/contract/*_test.c))
$(BUILD)/contract/%: $(BUILD)/obj/tests/contract/%.o $(call libs,backends)
	$(Q)mkdir -p $(@D)
	$(call say,LD,$@)$(CC) $(LDFLAGS_ALL) -o $@ $< $(call libs,backends) $(LIBS) -lcmocka

# Tests of more than one room: NAME_test.c in a folder below tests/fault or tests/posix is linked with the other sources
# of its folder and with every room, by the options in its file ldflags if it has one. A *recorder.c is a library to
# preload.
define whole_rule
WHOLE_TESTS += $(patsubst tests/%.c,$(BUILD)/%,$(wildcard $(1)/*_test.c))
$(1:tests/%=$(BUILD)/%)/%_test: $(BUILD)/obj/$(1)/%_test.o \
	$(patsubst %.c,$(BUILD)/obj/%.o,$(filter-out %_test.c %recorder.c,$(wildcard $(1)/*.c))) $(call libs,fs/cli)
	$(Q)mkdir -p $$(@D)
	$$(call say,LD,$$@)$(CC) $(LDFLAGS_ALL) $(addprefix @,$(wildcard $(1)/ldflags)) -o $$@ $$(filter %.o,$$^) \
		$(call libs,fs/cli) $(LIBS) -lcmocka
endef
$(foreach d,$(sort $(patsubst %/,%,$(dir $(wildcard tests/fault/*_test.c tests/fault/*/*_test.c tests/posix/*_test.c)))),\
	$(eval $(call whole_rule,$(d))))

# Programs and libraries that tests use; they know no room.
TOOLS = $(patsubst %.c,$(BUILD)/%,$(wildcard tests/*.c tests/servers/*.c tests/e2e/*.c tests/bench/*.c))
TOOLS += $(patsubst %.c,$(BUILD)/%.so,$(wildcard tests/*/*recorder.c tests/*/*/*recorder.c))
$(BUILD)/tests/%.so: tests/%.c
	$(Q)mkdir -p $(@D)
	$(call say,LD,$@)$(CC) $(CFLAGS_ALL) -fPIC -shared -o $@ $< -ldl
$(BUILD)/tests/%: $(BUILD)/obj/tests/%.o
	$(Q)mkdir -p $(@D)
	$(call say,LD,$@)$(CC) $(LDFLAGS_ALL) -Wl,--as-needed -o $@ $< $(LIBS)

tests: all unit-tests $(CONTRACT_TESTS) $(WHOLE_TESTS) $(TOOLS)

# tests/fuzz/NAME_fuzz.c, with every room, under clang's fuzzer.
FUZZERS = $(patsubst tests/fuzz/%.c,$(BUILD)/fuzzers/%,$(wildcard tests/fuzz/*_fuzz.c))
FUZZ_SECONDS ?= 60
$(BUILD)/fuzzers/%: $(BUILD)/obj/tests/fuzz/%.o $(call libs,fs/cli)
	$(Q)mkdir -p $(@D)
	$(call say,LD,$@)$(CC) $(LDFLAGS_ALL) -fsanitize=fuzzer -o $@ $< $(call libs,fs/cli) $(LIBS)
fuzzers: $(FUZZERS)

# What people call. Each installs what it lacks, from the distribution's packages.
JOBS = -j $(shell nproc)
quickstart:
	packaging/install-deps build
	$(MAKE) $(JOBS) all
	BUILD=$(BUILD) packaging/quickstart

check:
	packaging/install-deps test
	$(MAKE) $(JOBS) tests
	tests/run -j 2 -b $(BUILD)

# Azure's emulator comes from npm, and stays in the build directory.
AZURITE = $(BUILD)/azurite/node_modules/.bin/azurite-blob
$(AZURITE):
	command -v npm >/dev/null || packaging/install-deps azure
	npm install --silent --no-audit --no-fund --prefix $(BUILD)/azurite azurite@3
check-azure: $(AZURITE)
	packaging/install-deps test
	$(MAKE) $(JOBS) $(CONTRACT_TESTS)
	BUILD=$(BUILD) AZURITE=$(abspath $(AZURITE)) tests/contract/azure

# The report's page in a browser; its pictures stay in the build directory.
check-page:
	packaging/install-deps page
	$(MAKE) $(JOBS) all
	BUILD=$(abspath $(BUILD)) tests/e2e/page $(abspath $(BUILD))/page

torture:
	packaging/install-deps torture
	$(MAKE) $(JOBS) tests
	TEST_SCALE=10 tests/run -b $(BUILD) -m torture

asan:
	packaging/install-deps test
	$(MAKE) $(JOBS) BUILD=$(BUILD)/asan SANITIZE=address,undefined tests
	UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 tests/run -j 2 -b $(BUILD)/asan -m sanitize

tsan:
	packaging/install-deps test
	$(MAKE) $(JOBS) BUILD=$(BUILD)/tsan SANITIZE=thread tests
	TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1 tests/run -j 2 -b $(BUILD)/tsan -m sanitize

fuzz:
	packaging/install-deps fuzz
	$(MAKE) $(JOBS) BUILD=$(BUILD)/fuzz CC=clang SANITIZE=fuzzer-no-link,address,undefined fuzzers
	cd $(BUILD)/fuzz && for f in fuzzers/*_fuzz; do mkdir -p corpus/$${f##*/} && \
		$$f -max_total_time=$(FUZZ_SECONDS) -print_final_stats=1 corpus/$${f##*/} || exit; done

# make bench ROUNDS=1 SECONDS=1 PEERS="passthrough borderfs" PHASES="create unlink": less of it. DIR=: on which disk.
bench:
	packaging/install-deps bench
	$(MAKE) $(JOBS) all $(filter $(BUILD)/tests/bench/%,$(TOOLS))
	tests/bench/run -b $(BUILD) $(if $(ROUNDS),-r $(ROUNDS)) $(if $(SECONDS),-s $(SECONDS)) $(if $(PEERS),-p "$(PEERS)") \
		$(if $(PHASES),-w "$(PHASES)") $(if $(DIR),-d "$(DIR)")

# To and from a cloud behind a slow link. ROUNDS, PEERS and DIR as above; WORK="up down": less of it.
bench-clouds:
	packaging/install-deps test bench
	$(MAKE) $(JOBS) all $(BUILD)/tests/servers/lagproxy
	tests/bench/clouds -b $(BUILD) $(if $(ROUNDS),-r $(ROUNDS)) $(if $(PEERS),-p "$(PEERS)") $(if $(WORK),-w "$(WORK)") \
		$(if $(DIR),-d "$(DIR)")

lint:
	packaging/install-deps lint
	$(MAKE) $(JOBS) BUILD=$(BUILD)/lint CC=gcc CI=1 tests
	BUILD=$(BUILD) tests/lint/run

format:
	clang-format -i $$(git ls-files '*.[ch]')

install: all
	install -D -m 755 $(BUILD)/borderfs $(DESTDIR)$(PREFIX)/bin/borderfs

clean:
	rm -rf $(BUILD)

.PHONY: all unit-tests tests fuzzers quickstart check check-azure check-page torture asan tsan fuzz bench bench-clouds lint format install clean
-include $(shell find $(BUILD)/obj -name '*.d' 2>/dev/null)
