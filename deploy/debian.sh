# Debian's packages. Sourced, or a part of the script that a box is sent.
# shellcheck shell=bash

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
