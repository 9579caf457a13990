#!/usr/bin/env bash
# Footfall's way onto a machine. Each subcommand does its own set-up on a fresh Debian or Raspberry Pi OS.
#
# May also be sourced: tests/run.sh takes its functions and runs none of the subcommands.
set -euo pipefail

ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
readonly ROOT
readonly OLDEST_PYTHON=11 NEWEST_PYTHON=13

usage() {
    cat <<'USAGE'
usage: ./deploy.sh COMMAND [OPTIONS]

  demo    count the people of the demo clip with the real programs, and show what headquarters receives
            --speed N          how many times faster than real the trial's clock runs (default 60: an hour a minute)
            --broker NAME      mosquitto or amqtt (default: mosquitto if it is installed, else amqtt from PyPI)
            --python PROGRAM   the Python to use, 3.11 to 3.13 (default: the first that fits)
  help    show this
USAGE
}

# --- saying things ---------------------------------------------------------------------------------------------------

say() { printf '%s\n' "$*" >&2; }
step() { printf -- '-> %s\n' "$*" >&2; }

# die SENTENCE [CODE]
die() {
    printf '%s\n' "$1" >&2
    exit "${2:-1}"
}

# --- Debian's packages -----------------------------------------------------------------------------------------------

may_be_root() { [[ $EUID -eq 0 ]] || sudo -n true 2>/dev/null; }

as_root() {
    if [[ $EUID -eq 0 ]]; then
        "$@"
    else
        sudo -n "$@"
    fi
}

# Installs Debian packages, or says what a person has to type. Never asks, and starts no service on a machine
# that runs no systemd: a package's own start script could wait for ever there.
apt_install() {
    if ! command -v apt-get >/dev/null; then
        say "This isn't Debian: install by hand what Debian calls: $*"
        return 1
    fi
    if ! may_be_root; then
        say "Debian packages are missing, and this user may not install them. Type:"
        say "  sudo apt-get update && sudo apt-get install -y --no-install-recommends $*"
        return 1
    fi
    step "installing Debian packages: $*"
    local policy="" log status=0
    log="$(mktemp)"
    if [[ ! -d /run/systemd/system && ! -e /usr/sbin/policy-rc.d ]]; then
        policy=/usr/sbin/policy-rc.d
        printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
        as_root chmod 755 "$policy"
    fi
    as_root env DEBIAN_FRONTEND=noninteractive apt-get update -q >"$log" 2>&1 </dev/null || status=$?
    if [[ $status -eq 0 ]]; then
        as_root env DEBIAN_FRONTEND=noninteractive \
            apt-get install -q -y --no-install-recommends "$@" >>"$log" 2>&1 </dev/null || status=$?
    fi
    if [[ -n "$policy" ]]; then
        as_root rm -f "$policy"
    fi
    if [[ $status -ne 0 ]]; then
        tail -n 20 "$log" >&2
        say "apt-get failed; what it said stands above. Is there a network? What was wanted: $*"
    fi
    rm -f "$log"
    return "$status"
}

# --- Python ----------------------------------------------------------------------------------------------------------

fits() {
    "$1" -c "import sys; sys.exit(not (3, $OLDEST_PYTHON) <= sys.version_info[:2] <= (3, $NEWEST_PYTHON))" \
        >/dev/null 2>&1
}

# find_python [PROGRAM]: prints the path of a Python that fits, PROGRAM if it was given.
find_python() {
    local minor name
    if [[ -n "${1:-}" ]]; then
        fits "$1" || die "$1 is no Python 3.$OLDEST_PYTHON to 3.$NEWEST_PYTHON"
        command -v "$1"
        return
    fi
    if ! command -v python3 >/dev/null; then
        apt_install python3 python3-venv || die "Footfall needs Debian's python3 and python3-venv"
    fi
    for name in python3 $(for ((minor = NEWEST_PYTHON; minor >= OLDEST_PYTHON; minor--)); do echo "python3.$minor"; done); do
        if command -v "$name" >/dev/null && fits "$name"; then
            command -v "$name"
            return
        fi
    done
    die "Footfall runs on Python 3.$OLDEST_PYTHON to 3.$NEWEST_PYTHON, and this machine has $(python3 --version 2>&1); Debian 12 and 13 bring one that fits"
}

# make_stamp EXTRAS PYTHON: prints what a virtual environment depends on, as one number.
make_stamp() {
    {
        cat "$ROOT/pyproject.toml" "$ROOT/constraints.txt"
        "$2" -c 'import sys; print(sys.version, sys.base_prefix)'
        printf '%s %s\n' "$1" "$ROOT"
    } | sha256sum | cut -d' ' -f1
}

# make_venv FOLDER EXTRAS PYTHON: a virtual environment with this checkout installed in it, as constraints.txt pins it.
# Built again only when the pins, the package's needs or the Python changed.
make_venv() {
    local venv="$1" extras="$2" python="$3" stamp
    stamp="$(make_stamp "$extras" "$python")"
    if [[ -x "$venv/bin/python" && "$(cat "$venv/footfall-stamp" 2>/dev/null)" == "$stamp" ]]; then
        return
    fi
    if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
        apt_install python3-venv || die "$python can't make virtual environments without Debian's python3-venv"
        "$python" -c 'import ensurepip, venv' 2>/dev/null || die "$python can't make virtual environments: it has no ensurepip"
    fi
    step "making a virtual environment in ${venv#"$ROOT"/} with $("$python" --version)"
    rm -rf "$venv"
    "$python" -m venv "$venv"
    step "installing the packages that constraints.txt pins, about 120 MB to fetch the first time"
    if ! "$venv/bin/python" -m pip install --disable-pip-version-check --progress-bar off \
        -c "$ROOT/constraints.txt" -e "$ROOT${extras:+[$extras]}" >"$venv/pip.log" 2>&1 </dev/null; then
        tail -n 30 "$venv/pip.log" >&2
        die "pip could not install the packages; what it said stands above"
    fi
    printf '%s\n' "$stamp" >"$venv/footfall-stamp"
}

need_libseccomp() {
    "$1" -c 'import ctypes; ctypes.CDLL("libseccomp.so.2")' 2>/dev/null && return
    apt_install libseccomp2 || die "the process that sees can't be sealed without Debian's libseccomp2"
}

# --- children and temporary files ------------------------------------------------------------------------------------

CHILDREN=()
SCRATCH=""

# Ends what this script started, the newest first, and removes what it wrote.
clean_up() {
    local status=$? index
    trap - EXIT INT TERM HUP
    for ((index = ${#CHILDREN[@]} - 1; index >= 0; index--)); do
        kill -TERM "${CHILDREN[index]}" 2>/dev/null || true
        wait "${CHILDREN[index]}" 2>/dev/null || true
    done
    if [[ -n "$SCRATCH" ]]; then
        rm -rf "$SCRATCH"
    fi
    exit "$status"
}

# --- demo ------------------------------------------------------------------------------------------------------------

find_mosquitto() {
    PATH="$PATH:/usr/sbin:/usr/local/sbin" command -v mosquitto
}

# start_broker NAME PYTHON: an MQTT broker for this machine only, without memory; sets PORT.
start_broker() {
    local name="$1" python="$2" log="$SCRATCH/broker.log" attempt tries pid
    for attempt in 1 2 3 4 5; do
        PORT="$("$python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')"
        if [[ "$name" == mosquitto ]]; then
            cat >"$SCRATCH/mosquitto.conf" <<CONF
listener $PORT 127.0.0.1
allow_anonymous true
persistence false
log_dest stderr
log_type error
log_type warning
CONF
            "$(find_mosquitto)" -c "$SCRATCH/mosquitto.conf" >"$log" 2>&1 </dev/null &
        else
            cat >"$SCRATCH/amqtt.yaml" <<CONF
listeners:
  default:
    type: tcp
    bind: 127.0.0.1:$PORT
plugins:
  amqtt.plugins.authentication.AnonymousAuthPlugin:
    allow_anonymous: true
CONF
            "${python%/*}/amqtt" -c "$SCRATCH/amqtt.yaml" >"$log" 2>&1 </dev/null &
        fi
        pid=$!
        CHILDREN+=("$pid")
        for ((tries = 0; tries < 200; tries++)); do
            kill -0 "$pid" 2>/dev/null || break
            if (exec 3<>"/dev/tcp/127.0.0.1/$PORT") 2>/dev/null; then
                return
            fi
            sleep 0.05
        done
        say "the broker did not come up on port $PORT (try $attempt of 5)"
        kill -TERM "$pid" 2>/dev/null || true
    done
    cat "$log" >&2
    die "no MQTT broker could be started; what $name said stands above"
}

demo() {
    local speed="" broker="" wish="" python extras="" venv="$ROOT/.venv-demo"
    while [[ $# -gt 0 ]]; do
        case "$1" in
        --speed | --broker | --python)
            [[ $# -ge 2 ]] || die "$1 needs a value" 2
            case "$1" in
            --speed) speed="$2" ;;
            --broker) broker="$2" ;;
            --python) wish="$2" ;;
            esac
            shift 2
            ;;
        *)
            usage >&2
            die "demo knows no $1" 2
            ;;
        esac
    done
    if [[ -z "$broker" ]]; then
        broker=amqtt
        if find_mosquitto >/dev/null; then
            broker=mosquitto
        fi
    fi
    case "$broker" in
    mosquitto) find_mosquitto >/dev/null || die "mosquitto isn't installed: apt-get install mosquitto, or --broker amqtt" ;;
    amqtt) extras=demo ;;
    *) die "--broker is mosquitto or amqtt, not $broker" 2 ;;
    esac

    trap clean_up EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    python="$(find_python "$wish")"
    need_libseccomp "$python"
    make_venv "$venv" "$extras" "$python"
    SCRATCH="$(mktemp -d)"
    step "starting $broker on loopback, for this trial only"
    start_broker "$broker" "$venv/bin/python"
    # In the background, so that a signal to this script is acted on at once and not when the trial is over.
    "$venv/bin/python" -m edge demo --port "$PORT" ${speed:+--speed "$speed"} &
    CHILDREN+=("$!")
    wait "$!"
}

main() {
    local command="${1:-help}"
    if [[ $# -gt 0 ]]; then
        shift
    fi
    case "$command" in
    demo) demo "$@" ;;
    help | -h | --help) usage ;;
    *)
        usage >&2
        die "there is no command $command" 2
        ;;
    esac
}

if [[ "${BASH_SOURCE[0]}" == "$0" ]]; then
    main "$@"
fi
