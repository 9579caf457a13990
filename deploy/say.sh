# How deploy.sh and the script on the box talk. Sourced, or the first part of the script that a box is sent.
# shellcheck shell=bash

# A terminal that is gone (a dropped ssh) must not end an update half-way.
say() { printf '%s\n' "$*" >&2 || true; }
step() { say "-> $*"; }

# die SENTENCE [CODE]
die() {
    say "$1"
    exit "${2:-1}"
}
