# What the script on the box can be asked to do.
# shellcheck shell=bash

# install INCOMING: to what came, from nothing or from any other release.
install_release() {
    local incoming="$1" release before
    release="$(<"$incoming/release")"
    before="$(in_link current)"
    if [[ -n "$UPDATE" && -z "$before" ]]; then
        die "Footfall isn't installed here; use install" "$UNCHANGED"
    fi
    verify_release "$incoming"
    need_libraries
    if [[ -z "$DRY" ]]; then
        go_back # what an earlier run may have left
        mkdir -p "$HOUSE/releases"
    fi
    if [[ ! -e "$HOUSE/releases/$release/complete" ]]; then
        change "unpack release $release and let it count its demo clip" unpack "$incoming" "$release"
    fi
    prepare_machine "$incoming"
    prepare_config "$incoming"
    if [[ -n "$DRY" && ! -e "$HOUSE/releases/$release/complete" ]]; then
        say "would: switch from ${before:-nothing} to $release, wait for a reading of each camera, else go back"
        return
    fi
    learn_cameras "$release" ||
        die "the config can't be used (see above): mend $CONFIG and run the same again. ${before:-Nothing} goes on" "$UNCHANGED"
    if [[ "$before" != "$release" ]]; then
        change "switch from ${before:-nothing} to $release" go_to "$release"
        if [[ -z "$DRY" ]]; then
            note "installed $release after ${before:-nothing}"
            remember_release "$incoming"
            prune
        fi
    else
        mend "$release"
    fi
    if [[ -n "$DRY" ]]; then
        return
    fi
    if ! systemd_runs; then
        say "$release is in place; it starts when this system is booted"
    elif [[ $CHANGES -eq 0 ]]; then
        say "nothing to change: $release counts ${CAMERAS[*]}"
    else
        [[ "$before" == "$release" ]] || show_check "$release"
        say "$release counts ${CAMERAS[*]}"
    fi
}

# mend RELEASE: puts right what is no longer as it was installed.
mend() {
    local unit
    if [[ -n "$(comm -3 <(wanted "$1" | sort) <(present | sort))" ]]; then
        change "put the links to the units right" place_links "$1"
    fi
    systemd_runs || return 0
    for unit in $(units); do
        if ! active "$unit" || [[ "$(runs "$unit")" != "$1" ]]; then
            change "start what isn't running" start_and_prove "$1"
            return
        fi
    done
}

start_and_prove() {
    local readings
    readings="$(newest_readings "$1")"
    if ! start_all "$1" || ! prove "$1" "$readings"; then
        die "NOT COUNTING: $REASON" "$NOT_COUNTING"
    fi
}

# prepare_machine INCOMING: users, folders, journal, clock, the script itself and the unit that ends a trial at boot.
prepare_machine() {
    local incoming="$1" name
    keep "$incoming/systemd/sysusers.d/footfall.conf" "$ETC/sysusers.d/footfall.conf" 644
    keep "$incoming/systemd/tmpfiles.d/footfall.conf" "$ETC/tmpfiles.d/footfall.conf" 644
    keep "$incoming/systemd/journald.conf.d/footfall.conf" "$ETC/systemd/journald.conf.d/footfall.conf" 644 journal
    keep "$incoming/systemd/sysctl.d/footfall.conf" "$ETC/sysctl.d/footfall.conf" 644
    # Where it can be set, which isn't so in a container.
    if [[ -z "$PREFIX" && -w "$CRASH_LOG" && "$(<"$CRASH_LOG")" != 0 ]]; then
        change "keep what crashes out of the kernel's log" silence_crashes
    fi
    for name in vision publisher; do
        if [[ -z "$PREFIX" ]] && ! id "footfall-$name" >/dev/null 2>&1; then
            change "make the user footfall-$name" systemd-sysusers "$ETC/sysusers.d/footfall.conf"
        fi
    done
    if [[ ! -d /run/footfall || ! -d /run/footfall-root/publisher ]] && [[ -z "$PREFIX" ]] && systemd_runs; then
        change "make /run/footfall and /run/footfall-root" systemd-tmpfiles --create "$ETC/tmpfiles.d/footfall.conf"
    fi
    keep "$incoming/box" "$HOUSE/box" 755
    keep "$incoming/systemd/recover-update/$RECOVER_UPDATE" "$UNITS/$RECOVER_UPDATE" 644
    if [[ ! -L "$UNITS/multi-user.target.wants/$RECOVER_UPDATE" ]]; then
        change "enable $RECOVER_UPDATE" enable_recover_update
    fi
    # Its name until release 0.1.0. It goes last: at each moment one of the two is there.
    if [[ -e "$UNITS/footfall-settle.service" || -L "$UNITS/multi-user.target.wants/footfall-settle.service" ]]; then
        change "remove footfall-settle.service, which is $RECOVER_UPDATE now" rm -f "$UNITS/footfall-settle.service" \
            "$UNITS/multi-user.target.wants/footfall-settle.service"
    fi
    if [[ "$(readlink "$PREFIX/usr/local/bin/footfall")" != /opt/footfall/current/bin/footfall ]]; then
        change "make the command footfall" make_command
    fi
    if [[ "$(readlink "$PREFIX$COMPLETION")" != "$COMPLETION_TARGET" ]]; then
        change "let the shell complete footfall" make_completion
    fi
    check_clock
    if [[ -r /sys/fs/cgroup/cgroup.controllers ]] && ! grep -qw memory /sys/fs/cgroup/cgroup.controllers; then
        say "note: this kernel keeps no account of memory, so MemoryMax= holds nothing back; on a Raspberry Pi add cgroup_enable=memory to cmdline.txt"
    fi
}

readonly CRASH_LOG=/proc/sys/debug/exception-trace

silence_crashes() { printf '0\n' >"$CRASH_LOG"; }

enable_recover_update() {
    mkdir -p "$UNITS/multi-user.target.wants"
    link "../$RECOVER_UPDATE" "$UNITS/multi-user.target.wants/$RECOVER_UPDATE"
}

make_command() {
    mkdir -p "$PREFIX/usr/local/bin"
    link /opt/footfall/current/bin/footfall "$PREFIX/usr/local/bin/footfall"
}

# bash-completion, where it is installed, loads it at the first tab after the command's name.
make_completion() {
    mkdir -p "$PREFIX${COMPLETION%/*}"
    link "$COMPLETION_TARGET" "$PREFIX$COMPLETION"
}

# keep FILE NAME MODE [journal]: NAME is a copy of FILE.
keep() {
    if ! cmp -s "$1" "$2"; then
        change "write $2" put "$1" "$2" "$3"
        if [[ "${4:-}" == journal && -z "$DRY" ]] && systemd_runs; then
            systemctl restart systemd-journald.service
        fi
    fi
}

# Without a synchronised clock counts wait for their hour. It must not hold anything up: a shop without a network is
# counted all the same.
check_clock() {
    local name
    systemd_runs || return 0
    if [[ "$(timedatectl show --property=NTPSynchronized --value 2>/dev/null)" == yes ]]; then
        return
    fi
    for name in systemd-timesyncd chrony ntpsec ntp openntpd; do
        if systemctl --quiet is-enabled "$name.service" 2>/dev/null; then
            say "note: the clock isn't synchronised yet; counts wait for their hour until it is"
            return
        fi
    done
    if [[ "$(timedatectl show --property=CanNTP --value 2>/dev/null)" == yes ]]; then
        change "let the clock be set from the network" timedatectl set-ntp true
    else
        say "note: nothing here sets the clock; counts wait for their hour until something does: apt-get install systemd-timesyncd"
    fi
}

# prepare_config INCOMING: config, password and authority are written where there are none, or empty ones that a power
# cut has left, and never overwritten.
prepare_config() {
    if [[ ! -s "$CONFIG" && ! -e "$1/footfall.yaml" ]]; then
        die "there is no $CONFIG yet; give one with --config FILE. Nothing is started" "$UNCHANGED"
    fi
    bring "$1/footfall.yaml" "$CONFIG" 644
    bring "$1/mqtt.password" "$PASSWORD" 600
    bring "$1/ca.pem" "$AUTHORITY" 644
}

# bring FILE NAME MODE: NAME is a copy of FILE, where one came and none is there.
bring() {
    if [[ ! -e "$1" ]] || cmp -s "$1" "$2"; then
        return
    fi
    if [[ -s "$2" ]]; then
        say "note: $2 is there already and is kept; the one that came is another"
    else
        change "write $2" put "$1" "$2" "$3"
    fi
}

# What the technician's own check finds; it tells, and decides nothing: a shop without a network is counted too.
show_check() {
    local footfall="$HOUSE/releases/$1/bin/footfall"
    if "$footfall" check --help >/dev/null 2>&1; then
        step "footfall check"
        "$footfall" check --config "$CONFIG" >&2 </dev/null || say "note: the check found something; see above"
    fi
}

rollback_release() {
    local before current
    current="$(in_link current)"
    before="$(in_link previous)"
    if [[ -z "$before" || ! -e "$HOUSE/releases/$before/complete" ]]; then
        die "there is no release to go back to; ${current:-nothing} goes on" "$UNCHANGED"
    fi
    learn_cameras "$before" ||
        die "$before can't read the config (see above); $current goes on" "$UNCHANGED"
    change "switch from $current to $before" go_to "$before"
    [[ -n "$DRY" ]] || note "went back by hand from $current to $before"
    [[ -n "$DRY" ]] || say "$before counts ${CAMERAS[*]}"
}

show_status() {
    local release unit state bad="" release_of
    release="$(in_link current)"
    if [[ -z "$release" ]]; then
        die "Footfall isn't installed here" "$NOT_COUNTING"
    fi
    printf 'release   %s\nbefore    %s\n' "$release" "$(in_link previous)"
    [[ ! -e "$HOUSE/trial" ]] || printf 'trial     under way; goes back to %s\n' "$(<"$HOUSE/trial")"
    printf 'clock     %s\n' "$(timedatectl show --property=NTPSynchronized --value | sed 's/yes/synchronised/; s/no/not synchronised/')"
    learn_cameras "$release" || exit "$NOT_COUNTING"
    for unit in $(units); do
        state="$(told "$unit" ActiveState)"
        release_of="$(runs "$unit")"
        printf '%s\n          %s, %s restarts, %s\n' "$unit" "$state" "$(told "$unit" NRestarts)" "$(told "$unit" StatusText | LC_ALL=C tr -cd '\040-\176')"
        if [[ "$state" != active ]]; then
            bad="${bad:-$unit is $state: $(last_words "$unit")}"
        elif [[ "$release_of" != "$release" ]]; then
            bad="${bad:-$unit still runs $release_of}"
        fi
    done
    printf 'history\n'
    tail -n 5 "$HOUSE/history" 2>/dev/null | sed 's/^/          /'
    if [[ -n "$bad" ]]; then
        die "NOT COUNTING: $bad" "$NOT_COUNTING"
    fi
    say "$release counts ${CAMERAS[*]}"
}

show_logs() { exec journalctl --no-pager --output=short-iso "$@" --unit='footfall-*'; }

uninstall_all() {
    local name
    if [[ ! -e "$HOUSE" && -z "$PURGE" ]]; then
        say "nothing to change: Footfall isn't installed here"
        return
    fi
    change "stop and forget every unit" take_down
    for name in sysusers.d tmpfiles.d sysctl.d systemd/journald.conf.d; do
        change "remove $ETC/$name/footfall.conf" rm -f "$ETC/$name/footfall.conf"
    done
    change "remove $RECOVER_UPDATE" rm -f "$UNITS/$RECOVER_UPDATE" "$UNITS/multi-user.target.wants/$RECOVER_UPDATE" \
        "$UNITS/footfall-settle.service" "$UNITS/multi-user.target.wants/footfall-settle.service"
    change "remove the command footfall" rm -f "$PREFIX/usr/local/bin/footfall" "$PREFIX$COMPLETION"
    if systemd_runs; then
        change "let systemd and its journal forget them" forget_machine
    fi
    # Last: while it is there, the same command goes on where it was cut off.
    change "remove $HOUSE" rm -rf "$HOUSE"
    if [[ -n "$PURGE" ]]; then
        change "remove ledger, config and password" rm -rf "$STATE" "$ETC/footfall"
        for name in vision publisher; do
            if [[ -z "$PREFIX" ]] && id "footfall-$name" >/dev/null 2>&1; then
                change "remove the user footfall-$name" userdel "footfall-$name"
            fi
        done
        say "removed, ledger and config too"
    else
        say "removed; the ledger stays in $STATE and the config in $ETC/footfall"
    fi
}

forget_machine() {
    systemctl daemon-reload
    systemctl restart systemd-journald.service
    rm -rf "$PREFIX/run/footfall" "$PREFIX/run/footfall-root"
}

readonly BUSY="another installation is running on this box; wait until it has ended"
readonly CODE="$PREFIX/run/footfall-deploy.code" # what the guarded script has ended with, if it has

# guard ARGUMENTS...: runs the same again as a service of systemd's, which outlives a dropped ssh, and which goes back
# whatever way it ends: by the script that stays here, as what was sent may be gone by then.
guard() {
    [[ "$(told footfall-deploy.service ActiveState)" == inactive ]] || die "$BUSY" "$UNCHANGED"
    rm -f "$CODE"
    systemd-run --quiet --wait --pipe --collect --unit=footfall-deploy --setenv=FOOTFALL_GUARDED=1 \
        --setenv=FOOTFALL_PROOF_S="$PROOF_S" --property=ExecStopPost="-/bin/bash $HOUSE/box undo" \
        --property=TimeoutStopSec=600 /bin/bash "$(realpath "$0")" "$@" || true
    # Not what systemd-run ends with: of a service that a signal has ended it says 255, as ssh does of a host that is
    # away, or 0, as undo has let systemd forget what failed.
    [[ -e "$CODE" ]] || die "this was cut off on the box; $(in_link current) goes on" "$UNCHANGED"
    exit "$(<"$CODE")"
}

# box COMMAND [OPTIONS] [INCOMING]
box() {
    local command="$1" incoming="" arguments=("$@")
    shift
    UPDATE="" UNSIGNED="" OLDER="" PURGE=""
    umask 022
    trap '' PIPE HUP # whoever watches may go; an update that has begun is ended
    if [[ "$command" == logs ]]; then
        show_logs "$@"
    fi
    while [[ $# -gt 0 ]]; do
        case "$1" in
        --dry-run) DRY=1 ;;
        --update) UPDATE=1 ;;
        --unsigned) UNSIGNED=1 ;;
        --older) OLDER=1 ;;
        --purge) PURGE=1 ;;
        --boot) ;;
        *) incoming="$1" ;;
        esac
        shift
    done
    if [[ $EUID -ne 0 && -z "$PREFIX" ]]; then
        die "this has to be run by root, or by a user who may use sudo without a password" "$UNCHANGED"
    fi
    case "$command" in
    install | rollback | uninstall | take)
        [[ -z "${FOOTFALL_GUARDED:-}" ]] || trap 'printf "%d\n" $? >"$CODE"' EXIT
        if [[ "$command" =~ ^(install|rollback)$ && -z "$DRY$PREFIX" && -z "${FOOTFALL_GUARDED:-}" && -f "$0" ]] && systemd_runs; then
            guard "${arguments[@]}"
        fi
        mkdir -p "$PREFIX/run/lock"
        exec 9>"$PREFIX/run/lock/footfall-deploy"
        flock -n 9 || die "$BUSY" "$UNCHANGED"
        ;;
    esac
    case "$command" in
    probe) probe ;;
    install) install_release "$incoming" ;;
    take) take_bundle "$incoming" ;;
    verify) verify_release "$incoming" ;;
    rollback) rollback_release ;;
    # The second is what the unit of release 865bbaf says.
    recover-update | settle) go_back --boot ;;
    undo) go_back ;;
    status) show_status ;;
    uninstall) uninstall_all ;;
    *) die "the script on the box knows no $command" 2 ;;
    esac
}
