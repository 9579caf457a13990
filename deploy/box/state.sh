# What happens on a box. deploy.sh sends this as one script, `box`, made of say.sh, debian.sh, place.sh and
# the files in this folder, this one first; the box keeps a copy as /opt/footfall/box.
# shellcheck shell=bash
#
# Under /opt/footfall:
#   releases/NAME  one release: its virtual environment and its units; `complete` is written last
#   current        link to the release that runs. Every unit of ours in /etc/systemd/system is a link through it, so
#                  that one rename switches program and units together
#   previous       link to the one before
#   trial          there from before a switch until the new release has proven itself; says what to go back to.
#                  Whoever finds it goes back: after a killed update at once, after a power cut at boot. So a release
#                  that hasn't proven itself never outlives the process that tries it.
#   wheels/        the wheels of the releases that are kept: an update brings only those that aren't here
#   history        one line for each thing that was done
set -euo pipefail

PREFIX="${FOOTFALL_PREFIX:-}" # tests put everything under a folder of their own
readonly PREFIX
readonly HOUSE="$PREFIX/opt/footfall" ETC="$PREFIX/etc" STATE="$PREFIX/var/lib/footfall"
readonly CONFIG="$ETC/footfall/footfall.yaml" PASSWORD="$ETC/footfall/mqtt.password" AUTHORITY="$ETC/footfall/ca.pem"
readonly UNITS="$ETC/systemd/system"
readonly COMPLETION=/usr/local/share/bash-completion/completions/footfall
readonly MANUAL=/usr/local/share/man/man1/footfall.1
readonly MANUAL_TARGET=/opt/footfall/current/share/man/man1/footfall.1
readonly COMPLETION_TARGET=/opt/footfall/current/share/bash-completion/completions/footfall
readonly RECOVER_UPDATE=footfall-recover-update.service # ends, at boot, an update that a power cut has interrupted
readonly ROOM_MB=900      # a release takes 450 MB while it is made
readonly PROOF_S="${FOOTFALL_PROOF_S:-120}"

# Exit codes, the worse the higher: deploy.sh ends with the worst of a fleet.
readonly UNCHANGED=1 ROLLED_BACK=3 NOT_COUNTING=6

note() { printf '%s %s\n' "$(date -u +%FT%TZ)" "$*" >>"$HOUSE/history"; }

# --- what is there ---------------------------------------------------------------------------------------------------

# in_link NAME: prints the release that a link names, or nothing.
in_link() {
    local to
    to="$(readlink "$HOUSE/$1" 2>/dev/null)" || return 0
    printf '%s' "${to##*/}"
}

CAMERAS=()

# learn_cameras RELEASE: sets CAMERAS to the names in the box's config, as this release reads it; fails if it can't.
learn_cameras() {
    local names
    names="$("$HOUSE/releases/$1/bin/footfall" config --cameras --config "$CONFIG")" || return
    mapfile -t CAMERAS <<<"$names"
}

# told UNIT PROPERTY: what systemd says of it.
told() { systemctl show --property="$2" --value "$1" 2>/dev/null || true; }

active() { [[ "$(told "$1" ActiveState)" == active ]]; }

# runs UNIT: prints the release that the unit's process has loaded its libraries from, or nothing.
runs() {
    local pid
    pid="$(told "$1" MainPID)"
    [[ -n "$pid" && "$pid" != 0 ]] || return 0
    sed -n 's|.*/opt/footfall/releases/\([^/]*\)/.*|\1|p' "/proc/$pid/maps" 2>/dev/null | sort -u | head -n 1
}

# ask_ledger RELEASE ARGUMENTS...: runs the Python on standard input with a release that knows its modules, RELEASE if it
# does: what runs before an update or after a roll-back may be older. As the ledger's owner: root would leave files
# beside it that its owner can't write.
ask_ledger() {
    local release="$1" script folder
    shift
    script="$(cat)"
    for folder in "$HOUSE/releases/$release" "$HOUSE"/releases/*; do
        if [[ -e "$folder/complete" ]] &&
            runuser -u footfall-publisher -- "$folder/bin/python" -c "$script" "$@" 2>/dev/null </dev/null; then
            return
        fi
    done
    return 1
}

# newest_readings RELEASE: prints, for each camera, stream and sequence of its newest reading in the ledger.
newest_readings() {
    ask_ledger "$1" "$CONFIG" <<'PY' || true
import sys
from pathlib import Path
from edge.config import schema
from edge.publisher.ledger.maintenance import newest_readings
for reading in newest_readings(schema.load(Path(sys.argv[1])).ledger):
    print(*reading)
PY
}

# Prints what deploy.sh has to know before it sends anything: the kind of box, its release, its wheels.
probe() {
    local machine python="" wheel
    machine="$(dpkg --print-architecture 2>/dev/null || uname -m)"
    case "$machine" in
    amd64) machine=x86_64 ;;
    arm64) machine=aarch64 ;;
    armhf) machine=armv7l ;;
    esac
    if ! command -v python3 >/dev/null && [[ -z "$DRY" ]]; then
        apt_install python3 || true
    fi
    python="$(python3 -c 'import sys; print("cp3%d" % sys.version_info[1])' 2>/dev/null)" || true
    printf 'target %s-%s\n' "$machine" "${python:-none}"
    printf 'current %s\n' "$(in_link current)"
    for wheel in "$HOUSE"/wheels/*.whl; do
        [[ ! -e "$wheel" ]] || printf 'wheel %s\n' "${wheel##*/}"
    done
}
