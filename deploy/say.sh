# Messages of deploy.sh and of the script on the box. Sourced, or the first part of the script that a box is sent.
# shellcheck shell=bash

# A terminal that is gone (a dropped ssh) must not end an update half-way.
say() { printf '%s\n' "$*" >&2 || true; }
step() { say "-> $*"; }

# die SENTENCE [CODE]
die() {
    say "$1"
    exit "${2:-1}"
}

# show_moving: on a terminal, shows its input as one line that changes; elsewhere shows nothing.
show_moving() {
    local line
    if [[ ! -t 2 ]]; then
        cat >/dev/null
        return
    fi
    while IFS= read -r line; do
        printf '\r\033[K   %.70s' "$line" >&2
    done
    printf '\r\033[K' >&2
}
