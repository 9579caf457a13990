#!/usr/bin/env bash
# Installs Footfall on boxes and builds what they need. Each subcommand does its own set-up on a fresh Debian or Raspberry Pi OS.
#
# May also be sourced: tests/run.sh takes its functions and runs none of the subcommands.
set -euo pipefail

ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
readonly ROOT
readonly OLDEST_PYTHON=11 NEWEST_PYTHON=13

# shellcheck source-path=SCRIPTDIR
{
    source "$ROOT/deploy/say.sh"
    source "$ROOT/deploy/debian.sh"
    source "$ROOT/deploy/python.sh"
    source "$ROOT/deploy/demo.sh"
    source "$ROOT/deploy/program.sh"
    source "$ROOT/deploy/signing.sh"
    source "$ROOT/deploy/payload.sh"
    source "$ROOT/deploy/hosts.sh"
    source "$ROOT/deploy/headquarters.sh"
}

usage() {
    cat <<'USAGE'
usage: ./deploy.sh COMMAND [OPTIONS]

  install    install Footfall on a box and start it; a second run changes nothing
  update     the same on a box that has Footfall; a release that does not count is rolled back
             HOST...            boxes, as ssh knows them ([user@]host); or --local for this machine
             --hosts FILE       one host a line: one canary box first, then eight at a time
             --config FILE      install: the box's footfall.yaml, kept if the box has one; %h stands for the host
             --password-file F  install: the broker's password, likewise
             --ca-file FILE     install: the certificate of the broker's authority, likewise, as /etc/footfall/ca.pem
             --unsigned         take a release that isn't signed by a key that the box knows
             --older            take a release that is older than what has run on the box
             --dry-run          only print what would be done
  rollback   return to the release before           HOST..., --local, --hosts FILE, --dry-run
  status     what runs, since when, and its state    HOST..., --local, --hosts FILE
  logs       the log of both processes               HOST or --local, --lines N, --follow
  uninstall  remove it; ledger and config stay       HOST..., --local, --hosts FILE, --dry-run
             --purge            remove ledger, config and users too
  headquarters    broker, collector, alerts, weekly mail and nightly report on a Debian server; a second run changes nothing
             HOST               the server, as ssh knows it; or --local for this machine
             --name NAME        the broker's name, as boxes know it (the first time; default: HOST)
             --boxes FILE       boxes that get an account: SITE/CAMERA,... separated by blanks
             --config FILE      headquarters.yaml: who gets alerts and mail
             --secret FILE      a file that headquarters.yaml names, as smtp.password; may be repeated
             --sites FILE, --sales FILE, --staff FILE   what people know of the shops
             --language CODE    of the nightly report: en, de, zh_CN
             --years N          keep hours for N years, then days
             --postgresql       keep hours in Debian's PostgreSQL, with a role for the collector (the first time)
             --backup FILE      only write hours, accounts and settings into FILE
             --restore FILE     install, with what is in FILE
  bundle     one file to carry to a box without a network; unpack it there and install with --local
             --for TARGET       a kind of box, as aarch64-cp313, or of a server, as x86_64-cp313-headquarters; may be repeated
                                (default: 64-bit ARM and PC, Debian 12 and 13)
             --out FILE         (default dist/footfall-VERSION.tar)
  program    put `footfall` on your own PATH, from this checkout: for a trial, and for headquarters' own machine
             --python PROGRAM   the Python to use, 3.11 to 3.13 (default: the first that fits)
  wheel      build the package as one file in dist/, for a machine without this checkout
  demo       count the demo clip with the real programs, and show what headquarters receives
             --speed N          how many times faster than real the trial's clock runs (default 60: an hour a minute)
             --broker NAME      mosquitto or amqtt (default: mosquitto if it is installed, else amqtt from PyPI)
             --python PROGRAM   the Python to use, 3.11 to 3.13 (default: the first that fits)
  help       show this
USAGE
}

# --- children and temporary files ------------------------------------------------------------------------------------

CHILDREN=()
SCRATCH=""

# end_child PID: asks it to end, again every two seconds, and kills it after thirty. A signal that comes while bash has
# forked and not yet executed the program is lost.
end_child() {
    local tries
    for ((tries = 0; tries < 300; tries++)); do
        if ((tries % 20 == 0)); then
            kill -TERM "$1" 2>/dev/null || break
        fi
        kill -0 "$1" 2>/dev/null || break
        sleep 0.1
    done
    kill -KILL "$1" 2>/dev/null || true
    wait "$1" 2>/dev/null || true
}

# Ends the processes that this script started, newest first, and removes its temporary files.
clean_up() {
    local status=$? index
    trap - EXIT INT TERM HUP
    for ((index = ${#CHILDREN[@]} - 1; index >= 0; index--)); do
        end_child "${CHILDREN[index]}"
    done
    if [[ -n "$SCRATCH" ]]; then
        rm -rf "$SCRATCH"
    fi
    exit "$status"
}

main() {
    local command="${1:-help}"
    if [[ $# -gt 0 ]]; then
        shift
    fi
    case "$command" in
    install | update | rollback | status | logs | uninstall) manage "$command" "$@" ;;
    headquarters) headquarters "$@" ;;
    bundle) bundle "$@" ;;
    wheel) wheel "$@" ;;
    demo) demo "$@" ;;
    program) program "$@" ;;
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
