#!/usr/bin/env bash
# Checks everything: format, types, shell, units, tests. Installs what it needs on a fresh Debian or Raspberry Pi OS.
#
#   tests/run.sh                  all of it
#   tests/run.sh unit             only the tests that start no program
#   tests/run.sh --beside-load    all tests, three times, beside eight busy loops (--beside-load 1: once)
#   tests/run.sh -k ledger        only pytest, with these arguments
#   PYTHON=python3.13 tests/run.sh
set -euo pipefail
# shellcheck source=deploy.sh source-path=SCRIPTDIR/..
source "$(dirname "${BASH_SOURCE[0]}")/../deploy.sh"
cd "$ROOT"

readonly VENV="$ROOT/.venv-test"
readonly SCRIPTS=(deploy.sh deploy/*.sh tests/*.sh .ci/run)

# Each line: a program, or a file by its whole path, that is there once the package is, and the package. gcc alone can't
# compile: Debian only recommends the C library's headers beside it, and recommended packages are left out.
list_packages() {
    cat <<'LIST'
mosquitto mosquitto
mosquitto_sub mosquitto-clients
shellcheck shellcheck
openssl openssl
strace strace
pg_createcluster postgresql
gcc gcc
/usr/include/dlfcn.h libc6-dev
LIST
    if [[ "${FOOTFALL_SYSTEM:-}" == 1 ]]; then
        cat <<'LIST'
debootstrap debootstrap
systemd-nspawn systemd-container
ssh openssh-client
ip iproute2
qemu-aarch64-static qemu-user-static
update-binfmts binfmt-support
ffmpeg ffmpeg
LIST
    fi
    if [[ "${FOOTFALL_MACHINE:-}" == 1 ]]; then
        cat <<'LIST'
mmdebstrap mmdebstrap
qemu-system-x86_64 qemu-system-x86
qemu-img qemu-utils
mke2fs e2fsprogs
ssh openssh-client
LIST
    fi
}

need_packages() {
    local missing=() program package
    while read -r program package; do
        if ! PATH="$PATH:/usr/sbin" command -v "$program" >/dev/null && [[ ! -e "$program" ]]; then
            missing+=("$package")
        fi
    done < <(list_packages)
    if [[ "$(PATH="$PATH:/usr/sbin:/sbin" ldconfig -p)" != *libseccomp.so.2* ]]; then
        missing+=(libseccomp2)
    fi
    if [[ ${#missing[@]} -gt 0 ]]; then
        apt_install "${missing[@]}" || die "The tests need these Debian packages: ${missing[*]}"
    fi
    # Large, and not everywhere to be had; its tests say loudly that they were skipped.
    if ! command -v chromium >/dev/null && ! command -v chromium-browser >/dev/null; then
        apt_install chromium || say "SKIP  the technician's page: no Chromium on this machine"
    fi
}

SUMMARY=()
FAILED=0

# check NAME COMMAND...: runs it, keeps quiet when it passes, shows what it said when it doesn't.
check() {
    local name="$1" output status=0 began=$SECONDS
    shift
    output="$("$@" 2>&1)" || status=$?
    if [[ $status -eq 0 ]]; then
        printf 'ok    %s (%d s)\n' "$name" $((SECONDS - began))
        SUMMARY+=("$name ok")
    else
        printf 'FAIL  %s: %s\n%s\n' "$name" "$*" "$output"
        SUMMARY+=("$name FAILED")
        FAILED=1
    fi
}

# The script that a box is sent is put together from several files, which need each other.
# shellcheck disable=SC2317 # `check` calls it
lint_box_script() { box_script | shellcheck -; }
# shellcheck disable=SC2317 # likewise
lint_server_script() { server_script | shellcheck -; }

# The units as on a box, but for the program's path, which isn't there before an installation. systemd-analyze calls
# a line that it ignores a success; here it isn't one.
# shellcheck disable=SC2317 # `check` calls it
verify_units() {
    local folder unit said names=() status=0
    folder="$(mktemp -d)"
    for unit in systemd/*.service systemd/*.socket systemd/*.target systemd/*.slice systemd/*/*.service deploy/headquarters/units/*; do
        sed 's|/opt/footfall\(-hq\)\?/current/bin/footfall|/bin/true|' "$unit" >"$folder/${unit##*/}"
        unit="${unit##*/}"
        names+=("$folder/${unit/@./@door.}")
    done
    said="$(systemd-analyze verify "${names[@]}" 2>&1)" || status=$?
    rm -rf "$folder"
    printf '%s\n' "$said"
    [[ $status -eq 0 && "$said" != *footfall* ]]
}

# Prints how much each service is exposed, 0 to 10; tests/test_units.py holds the limits.
show_exposure() {
    local unit
    for unit in systemd/footfall-vision@.service systemd/footfall-publisher.service; do
        systemd-analyze security --offline=true --no-pager "$unit" | tail -n 1
    done
}

# Hundreds of programs start here, and all but the first of each kind do so from byte code.
unset PYTHONDONTWRITEBYTECODE
need_packages
make_venv "$VENV" "$(find_python "${PYTHON:-}")" dependencies deploy test demo headquarters docs
PATH="$VENV/bin:$PATH:/usr/sbin"

# Every core runs tests; those that share what the whole machine has run one after the other (tests/conftest.py). Tests
# that start programs wait for most of their time, so there are three of them for each core.
readonly PARALLEL=(--numprocesses "$(nproc)" --dist=loadgroup)
readonly PARALLEL_PROGRAMS=(--numprocesses "$((3 * $(nproc)))" --dist=loadgroup)
readonly UNIT=(-m "not processes and not browser and not slow") OTHERS=(-m "processes or browser or slow")
# Per cent of lines and branches that the unit tests were measured to reach. What runs in programs that other tests start
# can't be measured, and measuring takes time (docs/adr/0080-tests-in-lanes.md).
readonly COVERAGE_FLOOR=55

# beside_load [TIMES]: runs all tests so often beside eight busy loops; what fails there depends on the machine's speed.
beside_load() {
    local run busy=() failed=0
    trap 'kill "${busy[@]}" 2>/dev/null || true' EXIT
    for run in 1 2 3 4 5 6 7 8; do
        (while :; do :; done) &
        busy+=("$!")
    done
    for ((run = 1; run <= ${1:-3}; run++)); do
        step "run $run of ${1:-3}, beside ${#busy[@]} busy loops"
        python -m pytest "${PARALLEL[@]}" -q || failed=1
    done
    return "$failed"
}

case "${1:-}" in
"") ;;
unit) exec python -m pytest "${PARALLEL[@]}" "${UNIT[@]}" "${@:2}" ;;
--beside-load)
    beside_load "${@:2}"
    exit
    ;;
*) exec python -m pytest "$@" ;;
esac

check format ruff format --check .
check lint ruff check .
check types mypy
check shell shellcheck -x "${SCRIPTS[@]}"
check "shell of the box" lint_box_script
check "shell of the server" lint_server_script
if command -v systemd-analyze >/dev/null; then
    check units verify_units
    show_exposure
else
    say "SKIP  units: no systemd-analyze on this machine"
    SUMMARY+=("units SKIPPED")
fi

# run_tests NAME ARGUMENTS...: runs a lane of tests, and shows which took longest.
run_tests() {
    local name="$1" status=0 began=$SECONDS
    shift
    python -m pytest --durations=15 --durations-min=5 "$@" || status=$?
    if [[ $status -eq 0 ]]; then
        SUMMARY+=("$name ok ($((SECONDS - began)) s)")
    else
        SUMMARY+=("$name FAILED")
        FAILED=1
    fi
}

run_tests "unit tests" "${PARALLEL[@]}" "${UNIT[@]}" --cov --cov-report=term --cov-fail-under="$COVERAGE_FLOOR"
run_tests "other tests" "${PARALLEL_PROGRAMS[@]}" "${OTHERS[@]}"
printf 'summary: %s' "${SUMMARY[0]}"
printf ', %s' "${SUMMARY[@]:1}"
printf '\n'
exit "$FAILED"
