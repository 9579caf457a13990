# From one release to another, so that a power cut at any line leaves one that works. Part of the script on the box.
# shellcheck shell=bash

# back_up_ledger RELEASE: a copy of the ledger as it was, for a person with a disaster; a release that goes back reads the
# ledger itself.
back_up_ledger() {
    local ledger="$STATE/ledger.sqlite"
    [[ -e "$ledger" ]] || return 0
    ask_ledger "$1" "$ledger" <<'PY' || say "the ledger could not be copied; going on: a release never makes it unreadable for the one before"
import sys
from pathlib import Path
from edge.publisher.ledger.maintenance import copy
copy(Path(sys.argv[1]), Path(sys.argv[1] + ".before-update"))
PY
}

# switch_to RELEASE: from here on a reboot runs it.
switch_to() {
    link "releases/$1" "$HOUSE/current"
    place_links "$1"
}

# begin_trial RELEASE: after this, whoever comes and finds us gone goes back to what runs now.
begin_trial() {
    printf '%s\n' "$(in_link current)" >"$HOUSE/trial.new"
    sync
    mv -T "$HOUSE/trial.new" "$HOUSE/trial"
    sync -f "$HOUSE"
    switch_to "$1"
    sync
}

# end_trial BEFORE: the new release stays.
end_trial() {
    if [[ -n "$1" && "$1" != "$(in_link current)" ]]; then
        link "releases/$1" "$HOUSE/previous"
    fi
    sync
    rm -f "$HOUSE/trial"
    sync -f "$HOUSE"
}

# go_back [--boot]: ends a trial that nobody has ended, in favour of what ran before. At boot nothing is waited for:
# what is started comes after us.
go_back() {
    local before failed
    [[ -e "$HOUSE/trial" ]] || return 0
    before="$(<"$HOUSE/trial")"
    failed="$(in_link current)"
    if [[ -z "$before" ]]; then
        say "there is nothing to go back to: taking $failed down"
        take_down
        rm -f "$HOUSE/current" "$HOUSE/trial"
        sync -f "$HOUSE"
        note "installation of $failed undone"
        return 0
    fi
    say "going back to $before"
    learn_cameras "$before" ||
        mapfile -t CAMERAS < <(present | sed -n 's|^footfall.target.wants/footfall-vision@\(.*\).service .*|\1|p')
    switch_to "$before"
    sync
    rm -f "$HOUSE/trial"
    sync -f "$HOUSE"
    note "went back from $failed to $before"
    systemd_runs || return 0
    if [[ "${1:-}" == --boot ]]; then
        systemctl start --no-block footfall.target
        return 0
    fi
    # Every camera is told to start before any is waited for: one that can't must not keep the others.
    start_all "$before" "${CAMERAS[@]}" || return 1
}

# Stops and forgets everything that is started.
take_down() {
    local name
    if systemd_runs; then
        systemctl stop footfall.target 'footfall-vision@*' 'footfall-publisher*' 'footfall-diode@*' 2>/dev/null || true
    fi
    while read -r name _; do
        rm -f "$UNITS/${name:?}"
    done < <(present)
    rm -rf "$UNITS/footfall.target.wants"
    if systemd_runs; then
        systemctl daemon-reload
        systemctl reset-failed 'footfall-*' 2>/dev/null || true
    fi
}

# go_to RELEASE: switches to it and proves it, or goes back and exits.
go_to() {
    local release="$1" before readings excused=() camera reason
    before="$(in_link current)"
    readings="$(newest_readings "$release")"
    if [[ -n "$before" ]] && systemd_runs; then
        for camera in "${CAMERAS[@]}"; do
            active "footfall-vision@$camera.service" || excused+=("$camera")
        done
        back_up_ledger "$release"
    fi
    begin_trial "$release"
    if ! systemd_runs; then
        end_trial "$before"
        return 0
    fi
    step "waiting until every camera is sealed and a reading of it is in the ledger"
    if start_all "$release" ${excused[@]+"${excused[@]}"} &&
        prove "$release" "$readings" ${excused[@]+"${excused[@]}"}; then
        end_trial "$before"
        [[ ${#excused[@]} -eq 0 ]] || say "not counting before, and not waited for: ${excused[*]}"
        return 0
    fi
    reason="$REASON"
    say "$release does not work here: $reason"
    readings="$(newest_readings "$release")"
    if ! go_back || { [[ -n "$before" ]] && ! prove "$before" "$readings" ${excused[@]+"${excused[@]}"}; }; then
        note "$release does not work, and neither does $before: $reason"
        die "NOT COUNTING: $release does not work ($reason), and neither does $before ($REASON)" "$NOT_COUNTING"
    fi
    note "$release does not work: $reason"
    if [[ -z "$before" ]]; then
        die "not installed: $reason. Put that right and run the same again; config and ledger are kept" "$ROLLED_BACK"
    fi
    die "rolled back: $before is counting again, as $release does not work here: $reason" "$ROLLED_BACK"
}
