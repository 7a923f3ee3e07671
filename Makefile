# SPDX-License-Identifier: GPL-3.0-or-later
# borderfs. `make` builds build/borderfs; `make V=1` shows the commands.
# Each room of the source tree becomes one static library; a program links a room and every room below it, in the one
# order there is, so that an include or a call that climbs fails to link before `make lint` names it.

CC      ?= cc
BUILD   ?= build
PKGS     = fuse3 libcurl libsodium sqlite3 jansson expat libmagic
CSTD     = -std=c11 -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -DFUSE_USE_VERSION=314
WARN     = -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wpointer-arith -Wwrite-strings
HARDEN   = -D_FORTIFY_SOURCE=2 -fstack-protector-strong -fPIE -fno-strict-overflow
OPT     ?= -O2
SANITIZE ?=
CFLAGS_ALL  = $(CSTD) $(WARN) $(OPT) -g $(if $(SANITIZE),-fsanitize=$(SANITIZE) -fno-omit-frame-pointer,$(HARDEN)) \
	-pthread -I. -MMD -MP $(shell pkg-config --cflags $(PKGS)) $(if $(CI),-Werror) $(CFLAGS)
LDFLAGS_ALL = $(if $(SANITIZE),-fsanitize=$(SANITIZE),-pie -Wl,-z,relro,-z,now) -pthread $(LDFLAGS)
LIBS     = $(shell pkg-config --libs $(PKGS)) -linih

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
	$(Q)mkdir -p $(@D)
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

# The contract every backend keeps, run against real servers by tests/contract/run.sh.
$(BUILD)/contract/%: $(BUILD)/obj/tests/contract/%.o $(call libs,backends)
	$(Q)mkdir -p $(@D)
	$(call say,LD,$@)$(CC) $(LDFLAGS_ALL) -o $@ $< $(call libs,backends) $(LIBS) -lcmocka

unit-tests: $(UNIT_TESTS)

clean:
	rm -rf $(BUILD)

.PHONY: all unit-tests clean
-include $(shell find $(BUILD)/obj -name '*.d' 2>/dev/null)
