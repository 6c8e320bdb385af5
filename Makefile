# The front door: what you type, and what it runs. The work is done by SwiftPM
# (Package.swift), CMake (CMakeLists.txt, ctests/) and scripts/.
#
#   make EMBEDDED=1 ...   the same with the build in Embedded Swift

PREFIX ?= /usr/local
LIBDIR ?= lib
DESTDIR ?=
EMBEDDED ?=
PORT ?= 8080
TIME ?= 60
SEEDS ?= 20000
FIRST ?= 1
SEED ?=
ROUNDS ?= 1

ifeq ($(EMBEDDED),1)
BUILD := build/embedded
STAGE := $(CURDIR)/build/stage-embedded
CTESTS := build/ctests-embedded
EMBEDDED_OPTION := ON
# What reads sources only has run with the other build.
CTEST_FLAGS := -LE 'rules|once'
else
BUILD := build/release
STAGE := $(CURDIR)/build/stage
CTESTS := build/ctests
EMBEDDED_OPTION := OFF
CTEST_FLAGS :=
endif

# A test that crashes should say so at once, not after a minute of unwinding.
export SWIFT_BACKTRACE := enable=no
MAKEFLAGS += --no-print-directory

.PHONY: build stage demo check unit simulate test sanitize fuzz soak attack faults \
  jitter reliability profile bench install package format clean help

build: ## build the library (the default)
	cmake -S . -B $(BUILD) -DAPUS_EMBEDDED=$(EMBEDDED_OPTION) \
	  -DCMAKE_INSTALL_PREFIX="$(PREFIX)" -DCMAKE_INSTALL_LIBDIR="$(LIBDIR)"
	cmake --build $(BUILD)

stage: build
	rm -rf "$(STAGE)"
	cmake --install $(BUILD) --prefix "$(STAGE)"

demo: ## build and run examples/demo.c, from nothing
	scripts/install-needs.sh demo
	$(MAKE) stage
	$(CC) -std=c11 -O2 -Wall -o build/demo examples/demo.c -pthread \
	  $$(PKG_CONFIG_PATH="$(STAGE)/$(LIBDIR)/pkgconfig" pkg-config --cflags --libs apus) \
	  -Wl,-rpath,"$(STAGE)/$(LIBDIR)"
	build/demo $(PORT)

check: stage ## build, and run the tests of ctests/ (what they need: scripts/install-needs.sh test)
	cmake -S ctests -B $(CTESTS) -DCMAKE_PREFIX_PATH="$(STAGE)" -DAPUS_PREFIX="$(STAGE)" \
	  -DAPUS_BUILD="$(CURDIR)/$(BUILD)" -DAPUS_EMBEDDED=$(EMBEDDED_OPTION)
	cmake --build $(CTESTS)
	ctest --test-dir $(CTESTS) $(CTEST_FLAGS) -j3 --output-on-failure --timeout 300
	@echo "Left out, for want of programs (scripts/install-needs.sh browser format bench):"
	@grep -h '^skipped: ' $(CTESTS)/Testing/Temporary/LastTest.log | sort -u || echo nothing

# What failed is told again at the end, where one looks first.
unit: ## run the tests of Tests/
	mkdir -p build
	bash -o pipefail -c 'swift test 2>&1 | tee build/unit.log' || \
	  { grep -A 4 'recorded an issue\|error:\|Fatal' build/unit.log; exit 1; }

simulate: ## run the library on a simulated system, for SEEDS seeds from FIRST, or one SEED
	simulate/run.sh $(if $(SEED),seed $(SEED),seeds $(FIRST) $(SEEDS))

ifeq ($(EMBEDDED),1)
test:
	scripts/install-needs.sh test
	$(MAKE) check
else
test: ## run everything, from nothing; the quick tests come first
	scripts/install-needs.sh test
	$(MAKE) check
	$(MAKE) unit
	$(MAKE) simulate
	APUS_FUZZ_SEED=1 $(MAKE) fuzz TIME=60
	$(MAKE) check EMBEDDED=1
	$(MAKE) sanitize
endif

sanitize: ## run the C tests with the thread, then the address sanitizer
	scripts/sanitize.sh thread
	scripts/sanitize.sh address

fuzz: ## feed the parsers with made-up bytes, TIME seconds for each of them
	scripts/install-needs.sh test
	fuzz/run.sh $(TIME)

# What these find goes into build/reliability/, as JSON.
soak: ## ten million requests and a million messages: nothing grows
	scripts/reliability.sh soak_test.py 100000

attack: ## 5,000 clients that attack, and one that is honest
	scripts/reliability.sh attack_test.py 5000

jitter: ## ROUNDS of the C tests while threads sleep at random places, or with a SANITIZER
	$(if $(SANITIZER),scripts/sanitize.sh $(SANITIZER) --jitter,scripts/reliability.sh jitter.py) \
	  $(ROUNDS)

faults: ## each call of the library to the system fails once
	scripts/reliability.sh faults_sweep_test.py

reliability: ## all of these, longer, with coverage: docs/reliability.md
	scripts/install-needs.sh test
	$(MAKE) check
	$(MAKE) fuzz TIME=$(TIME)
	$(MAKE) simulate
	$(MAKE) faults
	$(MAKE) soak
	$(MAKE) attack
	scripts/coverage.sh
	scripts/reliability_page.py

profile: ## run bench/'s loads for the profile that release builds are laid out by
	scripts/install-needs.sh bench
	$(MAKE) stage
	scripts/profile.sh

bench: ## measure Apus and its peers, into docs/
	scripts/install-needs.sh bench
	$(MAKE) stage
	bench/run.sh
	bench/events.py
	bench/tls.py

# Root installs what another user has built, as with sudo, and leaves no files in that
# user's folder. The loader finds a library in /usr/local by its cache alone.
install: ## install below PREFIX (/usr/local); DESTDIR goes before it
	@if [ -e $(BUILD)/libapus.so ] && [ ! -O $(BUILD) ] && \
	  grep -qx 'CMAKE_INSTALL_LIBDIR:[A-Z]*=$(LIBDIR)' $(BUILD)/CMakeCache.txt; \
	  then echo "$(BUILD) is installed as it was built"; else $(MAKE) build; fi
	DESTDIR="$(DESTDIR)" cmake --install $(BUILD) --prefix "$(PREFIX)"
	@[ -O $(BUILD) ] || chown --reference=$(BUILD) $(BUILD)/install_manifest.txt || true
	@if [ -z "$(DESTDIR)" ] && [ "$$(id -u)" = 0 ]; \
	  then PATH="$$PATH:/usr/sbin:/sbin" ldconfig 2>/dev/null || true; fi

package: build ## make the .deb and the .tar.gz
	rm -f $(BUILD)/*.deb $(BUILD)/*.tar.gz
	cd $(BUILD) && cpack

format: ## lay out the Swift and the C sources
	scripts/install-needs.sh format
	swift format format --in-place --recursive --configuration .swift-format \
	  $(wildcard Sources Tests bench fuzz simulate) Package.swift
	find $(wildcard Sources include examples tools ctests bench fuzz simulate) \
	  -regex '.*\.[ch]\(pp\)?' -exec clang-format -i {} +

clean: ## remove all that was built
	rm -rf build .build

help: ## list these
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile
