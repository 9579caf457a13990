#!/usr/bin/env bash
# Runs the three commands of README.md on a Debian that has nothing else: debootstrap's smallest system, in a folder.
#
#   tests/bare_root.sh                          all three, on Debian 12 and 13
#   tests/bare_root.sh trixie                   on one of them
#   tests/bare_root.sh bookworm -- tests/run.sh tests/vision/test_v4l2.py     another command, on one of them
#
# Needs root and a Debian package index. The plain systems are kept in /var/tmp/footfall-bare (FOOTFALL_BARE_CACHE);
# each run works on a copy that is thrown away. The tracked files of this checkout are copied in as they are now. Of
# this machine's settings only those come along without which its network can't be used: name servers, proxies, and
# the index and the certificates that pip is set up with.
set -euo pipefail
# shellcheck source=deploy.sh source-path=SCRIPTDIR/..
source "$(dirname "${BASH_SOURCE[0]}")/../deploy.sh"

readonly CACHE="${FOOTFALL_BARE_CACHE:-/var/tmp/footfall-bare}"
readonly ALL_COMMANDS="./deploy.sh demo && ./deploy.sh program && /root/.local/bin/footfall --version && tests/run.sh"

# make_plain SUITE: fetches the smallest system of this Debian, once.
make_plain() {
    [[ ! -e "$CACHE/$1.ready" ]] || return 0
    command -v debootstrap >/dev/null || apt_install debootstrap || die "this needs Debian's debootstrap"
    step "fetching the smallest Debian $1"
    mkdir -p "$CACHE"
    rm -rf "${CACHE:?}/$1"
    debootstrap --variant=minbase "$1" "$CACHE/$1" >"$CACHE/$1.log" 2>&1 || {
        tail -n 20 "$CACHE/$1.log" >&2
        die "debootstrap failed; what it said stands above"
    }
    touch "$CACHE/$1.ready"
}

# Runs inside namespaces of its own: $1 is the plain system, $2 a scratch folder, $3 the checkout, $4 the command.
# shellcheck disable=SC2016 # for the other bash
readonly INSIDE='
set -euo pipefail
mkdir -p "$2/upper" "$2/work" "$2/root"
mount -t overlay overlay -o "lowerdir=$1,upperdir=$2/upper,workdir=$2/work" "$2/root"
root="$2/root"
mount -t proc proc "$root/proc"
mount --rbind /sys "$root/sys"
mount --rbind /dev "$root/dev"
cp /etc/resolv.conf "$root/etc/resolv.conf"
kept=(HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin)
while IFS= read -r -d "" setting; do
    [[ ! "$setting" =~ ^([a-zA-Z]+_(proxy|PROXY)|PIP_(INDEX_URL|DEFAULT_TIMEOUT)|FOOTFALL_[A-Z_]+)= ]] || kept+=("$setting")
done < <(env -0)
if [[ -e /etc/pip.conf ]]; then
    cp /etc/pip.conf "$root/etc/pip.conf"
fi
# Under a name of its own: a package that is installed later writes the usual one anew.
certificates="${PIP_CERT:-$(python3 -m pip config get global.cert 2>/dev/null)}" || true
if [[ -n "$certificates" ]]; then
    cp "$certificates" "$root/root/package-index.pem"
    kept+=(PIP_CERT=/root/package-index.pem)
fi
mkdir "$root/opt/clone"
(cd "$3" && { git ls-files -z | tar --null --files-from=- -cf -; }) | tar -C "$root/opt/clone" -xf -
# Not chroot(2): in one, nobody but root may make namespaces, as a sealed process does.
mkdir "$root/.old"
pivot_root "$root" "$root/.old"
cd /
umount --lazy /.old
rmdir /.old
exec env -i "${kept[@]}" bash -c "cd /opt/clone && $4" </dev/null
'

# try_on SUITE COMMAND: prints what the command says, and fails if it fails.
try_on() {
    local scratch status=0 began=$SECONDS
    make_plain "$1"
    scratch="$(mktemp -d -p "$CACHE")"
    step "Debian $1, and nothing else: $2"
    unshare --mount --pid --fork --kill-child bash -c "$INSIDE" bash "$CACHE/$1" "$scratch" "$ROOT" "$2" || status=$?
    rm -rf "$scratch"
    if [[ $status -eq 0 ]]; then
        printf 'ok    Debian %s: %s (%d s)\n' "$1" "$2" $((SECONDS - began))
    else
        printf 'FAIL  Debian %s: %s (exit code %d, %d s)\n' "$1" "$2" "$status" $((SECONDS - began))
    fi
    return "$status"
}

main() {
    local suites=() suite command="$ALL_COMMANDS" failed=0
    while [[ $# -gt 0 && "$1" != -- ]]; do
        suites+=("$1")
        shift
    done
    [[ ${#suites[@]} -gt 0 ]] || suites=(bookworm trixie)
    if [[ $# -gt 1 ]]; then
        shift
        command="$(printf '%q ' "$@")"
    fi
    [[ $EUID -eq 0 ]] || die "this needs root: it makes a Debian in a folder"
    for suite in "${suites[@]}"; do
        try_on "$suite" "$command" || failed=1
    done
    return "$failed"
}

main "$@"
exit
