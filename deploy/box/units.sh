# The units: which must be there, which must run, and the proof that they do. Part of the script on the box.
# shellcheck shell=bash

# wanted RELEASE: prints every link that /etc/systemd/system must hold for it, and what it points to.
wanted() {
    local unit camera
    for unit in "$HOUSE/releases/$1"/systemd/*.*; do
        [[ -f "$unit" ]] && printf '%s %s\n' "${unit##*/}" "/opt/footfall/current/systemd/${unit##*/}"
    done
    printf '%s %s\n' multi-user.target.wants/footfall.target ../footfall.target
    printf '%s %s\n' footfall.target.wants/footfall-publisher.service ../footfall-publisher.service
    for camera in "${CAMERAS[@]}"; do
        printf '%s %s\n' "footfall.target.wants/footfall-vision@$camera.service" ../footfall-vision@.service
        printf '%s %s\n' "footfall.target.wants/footfall-diode@$camera.socket" ../footfall-diode@.socket
    done
}

# Prints the links of ours that are there. Units that somebody has masked are that somebody's.
present() {
    local name to
    (cd "$UNITS" && for name in footfall* footfall.target.wants/* multi-user.target.wants/footfall.target; do
        to="$(readlink "$name")" || continue
        [[ "$to" == /dev/null ]] || printf '%s %s\n' "$name" "$to"
    done)
}

# place_links RELEASE: makes the links in /etc/systemd/system what the release wants, for CAMERAS.
place_links() {
    local name to
    mkdir -p "$UNITS/multi-user.target.wants" "$UNITS/footfall.target.wants"
    while read -r name; do
        rm -f "$UNITS/${name:?}"
    done < <(comm -13 <(wanted "$1" | cut -d' ' -f1 | sort) <(present | cut -d' ' -f1 | sort))
    while read -r name to; do
        link "$to" "$UNITS/$name"
    done < <(comm -23 <(wanted "$1" | sort) <(present | sort))
    ! systemd_runs || systemctl daemon-reload
}

# Prints the services that must run, for CAMERAS.
units() {
    printf 'footfall-publisher.service\n'
    printf 'footfall-vision@%s.service\n' "${CAMERAS[@]}"
}

RESTARTED=" "

# start_all RELEASE EXCUSED...: every service runs this release afterwards, or it is said which doesn't start. The
# publisher first: what vision says meanwhile waits in the diode. Then one camera after the other; one that is excused
# is told to start, and not waited for. What runs it already is left alone.
start_all() {
    local release="$1" unit camera
    shift
    RESTARTED=" "
    systemctl reset-failed 'footfall-*' 2>/dev/null || true
    for unit in $(systemctl list-units --plain --no-legend 'footfall-vision@*' | cut -d' ' -f1); do
        camera="$(camera_of "$unit")"
        if [[ " ${CAMERAS[*]} " != *" $camera "* ]]; then
            step "stopping camera $camera, which the config doesn't have"
            systemctl stop "$unit" "footfall-diode@$camera.socket" || true
        fi
    done
    for camera in "${CAMERAS[@]}"; do
        systemctl start "footfall-diode@$camera.socket" || return_reason "footfall-diode@$camera.socket" || return 1
    done
    while read -r unit; do
        if ! { active "$unit" && [[ "$(runs "$unit")" == "$release" ]]; }; then
            step "starting $unit"
            RESTARTED+="$unit "
            if [[ " $* " == *" $(camera_of "$unit") "* ]]; then
                systemctl restart --no-block "$unit" || true
            else
                systemctl restart "$unit" </dev/null || return_reason "$unit" || return 1
            fi
        fi
    done < <(units)
    systemctl start --no-block footfall.target
}

# camera_of UNIT: prints its camera; of the publisher, its name, which no camera can have.
camera_of() {
    local name="${1##*@}"
    printf '%s' "${name%.service}"
}

# return_reason UNIT: sets REASON, and fails.
return_reason() {
    REASON="$1 does not start: $(last_words "$1")"
    return 1
}

# last_words UNIT: how it ended, in its own words.
last_words() {
    local said
    # Its own words: no control character of them reaches a terminal.
    said="$(journalctl --quiet --output=cat --lines=1 --no-pager "_SYSTEMD_UNIT=$1" 2>/dev/null |
        LC_ALL=C tr -cd '\040-\176')" || true
    printf '%s' "${said:-it said nothing} (result $(told "$1" Result), exit code $(told "$1" ExecMainStatus))"
}

# prove RELEASE BEFORE EXCUSED...: waits until every service runs this release and a reading of each camera has come
# through detector, diode and publisher into the ledger. BEFORE is what newest_readings said before anything was
# started; a camera that is excused, because it gave none then either, may still be away.
prove() {
    local release="$1" before="$2" camera unit ready now until=$((SECONDS + PROOF_S))
    declare -A restarts=()
    shift 2
    for unit in $(units); do restarts[$unit]="$(told "$unit" NRestarts)"; done
    while :; do
        ready=1
        now="$(newest_readings "$release")"
        for unit in $(units); do
            camera="$(camera_of "$unit")"
            [[ " $* " != *" $camera "* ]] || continue
            if [[ "$(told "$unit" NRestarts)" -gt "${restarts[$unit]}" || "$(told "$unit" ActiveState)" == failed ]]; then
                REASON="$unit does not stay up: $(last_words "$unit")"
                return 1
            fi
            if ! active "$unit"; then
                ready="" REASON="$unit is not up after $PROOF_S s: $(last_words "$unit")"
            elif [[ "$unit" == *@* ]] && ! is_newer "$unit" "$camera" "$before" "$now"; then
                ready="" REASON="no reading of camera $camera has reached the ledger in $PROOF_S s"
            fi
        done
        [[ -z "$ready" ]] || break
        [[ $SECONDS -lt $until ]] || return 1
        sleep 2
    done
    REASON=""
}

# is_newer UNIT CAMERA BEFORE NOW: whether the camera has given a reading since; if it was started anew, one of its
# new run: the last of the old run may come late.
is_newer() {
    local unit="$1" before now stream_before stream_now
    before="$(grep "^$2 " <<<"$3")" || true
    now="$(grep "^$2 " <<<"$4")" || true
    read -r _ stream_before _ <<<"$before"
    read -r _ stream_now _ <<<"$now"
    [[ -n "$now" && "$now" != "$before" ]] &&
        { [[ "$RESTARTED" != *" $unit "* ]] || [[ "$stream_now" != "$stream_before" ]]; }
}
