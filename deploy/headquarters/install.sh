# The installation of headquarters' server, from nothing or from any other release. Part of the script on the server.
# shellcheck shell=bash

readonly TIMERS=(footfall-alert.timer footfall-report.timer footfall-weekly.timer)
SWITCHED=""

declare -A WISH=()

# install_all INCOMING [--name=NAME] [--host=NAME] [--postgresql] [--language=CODE] [--years=N]
install_all() {
    local incoming="$1" release before option restored=""
    release="$(<"$incoming/release")"
    for option in "${@:2}"; do
        option="${option#--}"
        WISH[${option%%=*}]="${option#*=}"
    done
    mkdir -p /run/lock
    exec 9>/run/lock/footfall-headquarters
    flock -n 9 || die "another installation is running on this server; wait until it has ended"
    [[ ! -e "$incoming/backup.tar" ]] || restored=1
    need_packages
    make_users
    before="$(readlink "$HOUSE/current" || true)"
    mkdir -p "$HOUSE/releases"
    if [[ ! -e "$HOUSE/releases/$release/complete" ]]; then
        change "unpack release $release" unpack "$incoming" "$release"
    fi
    check_files "$incoming" "$HOUSE/releases/$release"
    if [[ "$before" != "releases/$release" ]]; then
        SWITCHED=1
        change "switch from ${before:-nothing} to releases/$release" switch_to "$release"
    fi
    link_program
    if [[ -n "$restored" ]]; then
        change "stop what runs" stop_all
        change "restore settings and accounts" take_settings "$incoming/backup.tar"
    fi
    write_settings
    place_files "$incoming"
    if [[ "$(setting STORE)" == postgresql:* ]]; then
        need_packages postgresql
        need_database
    fi
    if [[ -n "$restored" ]]; then
        change "restore the hours" take_hours "$incoming/backup.tar"
        SWITCHED=1
    fi
    prepare_store
    prepare_broker "$incoming"
    place_units "$incoming"
    start_all
    prune
    if [[ $CHANGES -eq 0 ]]; then
        say "nothing to change: $release collects from $(setting BROKER)"
    else
        say "$release collects from $(setting BROKER)"
    fi
}

make_users() {
    keep_text "# The account of what headquarters runs, and the one that only collects where PostgreSQL keeps the hours.
u $OWNER - \"Footfall headquarters\" $STATE
u $WRITER - \"Footfall collector\" /nonexistent
" /etc/sysusers.d/footfall-hq.conf 644
    if ! id "$OWNER" "$WRITER" >/dev/null 2>&1; then
        change "make the users $OWNER and $WRITER" systemd-sysusers /etc/sysusers.d/footfall-hq.conf
    fi
    install -d -m 755 "$ETC"
    install -d -m 750 -o "$OWNER" -g "$OWNER" "$STATE"
    install -d -m 755 -o "$OWNER" -g "$OWNER" "$REPORT"
}

# check_files INCOMING RELEASE: what people keep can be understood, or nothing is changed.
check_files() {
    "$2/bin/python" - "$1" <<'PYTHON' || die "mend that file and run the same again; nothing was changed"
import sys
from pathlib import Path

from edge.core.errors import EdgeError
from edge.headquarters import sales, sites
from edge.headquarters.alerts import settings

folder = Path(sys.argv[1])
readers = {"headquarters.yaml": settings.load, "sites.yaml": sites.load, "sales.csv": sales.read_sales, "staff.csv": sales.read_staff}
for name, read in readers.items():
    try:
        if (folder / name).exists():
            read(folder / name)
    except EdgeError as exc:
        sys.exit(str(exc).replace(f"{folder}/", ""))
PYTHON
}

link_program() {
    local program=/usr/local/bin/footfall target="$HOUSE/current/bin/footfall"
    [[ "$(readlink "$program")" == "$target" ]] && return
    if [[ -e "$program" || -L "$program" ]]; then
        say "note: $program is there already and stays; the one of headquarters is $target"
    else
        change "make the command footfall" link "$target" "$program"
    fi
}

# write_settings: headquarters.env, from what was asked for and what is there.
write_settings() {
    local store broker language years
    store="$(setting STORE)"
    broker="$(setting BROKER)"
    language="${WISH[language]:-$(setting LANGUAGE)}"
    years="${WISH[years]:-$(setting YEARS)}"
    [[ -z "$years" || "$years" =~ ^[0-9]+$ && "$years" -ge 2 ]] || die "--years needs a whole number from 2 on" 2
    if [[ -z "$store" ]]; then
        store="$STATE/hours.sqlite"
        [[ -z "${WISH[postgresql]+x}" ]] || store="postgresql:///$DATABASE?host=/var/run/postgresql"
    elif [[ -n "${WISH[postgresql]+x}" && "$store" != postgresql:* ]]; then
        die "the hours are in $store; to have PostgreSQL, install on another server" 2
    fi
    if [[ -n "${WISH[name]:-}" ]]; then
        broker="mqtts://${WISH[name]}:8883"
    elif [[ -z "$broker" && -n "${WISH[host]:-}" ]]; then
        broker="mqtts://${WISH[host]}:8883"
    fi
    [[ -n "$broker" ]] || die "say what boxes call the broker: --name mqtt.example.com" 2
    keep_text "# Made by deploy.sh headquarters, which reads it again. Units take it as it stands.
STORE=$store
BROKER=$broker
LANGUAGE=${language:-en}
YEARS=$years
" "$ENVIRONMENT" 644
}

# place_files INCOMING: what people keep; a file that wasn't sent stays, and one that was never there is empty.
place_files() {
    local name path
    declare -A empty=(
        [headquarters.yaml]=$'# Who is told what: docs/headquarters.md, "Alerts". After a change nothing needs to be started again.\n{}\n'
        [sites.yaml]=$'# Names, regions, opening hours, holidays: docs/headquarters.md, "sites.yaml".\n{}\n'
        [sales.csv]=$'site,date,transactions,revenue\n'
        [staff.csv]=$'site,date,staff_hours\n'
    )
    for name in "${!empty[@]}"; do
        if [[ -e "$1/$name" ]]; then
            keep "$1/$name" "$ETC/$name" 644
        elif [[ ! -e "$ETC/$name" ]]; then
            keep_text "${empty[$name]}" "$ETC/$name" 644
        fi
    done
    for path in "$1"/secret.*; do
        [[ ! -e "$path" ]] || keep "$path" "$ETC/${path##*/secret.}" 640 "root:$OWNER"
    done
}

# prepare_broker INCOMING: accounts, certificate, and Debian's service with this configuration and nothing else.
prepare_broker() {
    local name port before after boxes=()
    name="$(setting BROKER)"
    name="${name#mqtts://}"
    port="${name##*:}"
    name="${name%:*}"
    before="$(broker_sum)"
    [[ ! -e "$1/boxes" ]] || boxes=(--boxes "$1/boxes")
    "$HOUSE/current/bin/footfall" broker "$BROKER" --host "$name" --port "$port" --collector "$ACCOUNT" "${boxes[@]}" >"$HOUSE/broker.log" || {
        cat "$HOUSE/broker.log" >&2
        die "the broker's accounts could not be made (see above)"
    }
    after="$(broker_sum)"
    if [[ "$before" != "$after" ]]; then
        CHANGES=$((CHANGES + 1))
        step "$(grep ' accounts, ' "$HOUSE/broker.log")"
        say "   Each new box's files are in $BROKER/accounts/NAME: take them to the box"
    fi
    [[ ! -e "$BROKER/accounts/$ACCOUNT/mqtt.password" ]] || keep "$BROKER/accounts/$ACCOUNT/mqtt.password" "$ETC/collect.password" 600
    keep "$BROKER/ca.pem" "$ETC/ca.pem" 644
    if ! cmp -s "$BROKER/mosquitto.service.d/footfall.conf" "$UNITS/mosquitto.service.d/footfall.conf"; then
        keep "$BROKER/mosquitto.service.d/footfall.conf" "$UNITS/mosquitto.service.d/footfall.conf" 644
        systemctl daemon-reload
        systemctl restart mosquitto
    fi
    systemctl is-active --quiet mosquitto || change "start the broker" systemctl restart mosquitto
    systemctl is-enabled --quiet mosquitto || change "enable the broker" systemctl enable --quiet mosquitto
    # The collector runs beside the broker, and checks its certificate's name like everybody else.
    if [[ ! "$name" =~ ^[0-9.]+$|: ]] && ! is_here "$name"; then
        change "write $name into /etc/hosts, so that it is this server here" add_host "$name"
    fi
}

# is_here NAME: whether it is an address of this server.
is_here() {
    local addresses
    addresses="$(getent ahosts "$1" | awk '{ print $1 }')" || return 1
    grep -qxFf <(ip -o address | awk '{ print $4 }' | cut -d/ -f1) <<<"$addresses"
}

add_host() { printf '127.0.0.1 %s # footfall\n' "$1" >>/etc/hosts; }

# What isn't there yet is no error here, nor in what_collects.
broker_sum() { { cat "$BROKER"/{passwords,acl,mosquitto.conf,broker.pem} 2>/dev/null || true; } | sha256sum; }

# place_units INCOMING
place_units() {
    local unit
    for unit in "$1"/headquarters/units/*; do
        keep "$unit" "$UNITS/${unit##*/}" 644
    done
    if [[ "$(setting STORE)" == postgresql:* ]]; then
        keep_text "# With PostgreSQL the collector has a role that can add hours and nothing else.
[Unit]
After=postgresql.service
[Service]
User=$WRITER
Group=$WRITER
" "$UNITS/footfall-collect.service.d/postgresql.conf" 644
    fi
}

# what_collects: changes with everything that the collector reads when it starts.
what_collects() {
    {
        readlink "$HOUSE/current"
        cat "$ENVIRONMENT" "$ETC/sites.yaml" "$ETC/collect.password" "$ETC/ca.pem" \
            "$UNITS"/footfall-collect.service "$UNITS"/footfall-collect.service.d/* 2>/dev/null || true
    } | sha256sum
}

stop_all() {
    local unit
    for unit in footfall-collect.service "${TIMERS[@]}" footfall-retain.timer \
        footfall-alert.service footfall-report.service footfall-weekly.service footfall-retain.service; do
        systemctl stop "$unit" 2>/dev/null || true
    done
}

start_all() {
    local unit timers=("${TIMERS[@]}") now
    systemctl daemon-reload
    if [[ -n "$(setting YEARS)" ]]; then
        timers+=(footfall-retain.timer)
    elif systemctl is-enabled --quiet footfall-retain.timer 2>/dev/null; then
        change "keep hours for ever" systemctl disable --quiet --now footfall-retain.timer
    fi
    for unit in "${timers[@]}" footfall-collect.service; do
        systemctl is-enabled --quiet "$unit" || change "enable $unit" systemctl enable --quiet "$unit"
    done
    for unit in "${timers[@]}"; do
        systemctl is-active --quiet "$unit" || change "start $unit" systemctl start "$unit"
    done
    now="$(what_collects)"
    if ! systemctl is-active --quiet footfall-collect.service || [[ "$(cat "$HOUSE/collects" 2>/dev/null)" != "$now" ]]; then
        change "start the collector" start_collector
        printf '%s\n' "$now" >"$HOUSE/collects"
    fi
}

# start_collector: it runs, and the broker knows it.
start_collector() {
    local since until=$((SECONDS + PROOF_S))
    since="$(date '+%F %T')"
    systemctl reset-failed footfall-collect.service 2>/dev/null || true
    systemctl restart footfall-collect.service || true
    until [[ "$(journalctl -q --no-pager -u footfall-collect.service --since "$since")" == *"connected to"* ]]; do
        if [[ $SECONDS -gt $until ]]; then
            journalctl -q --no-pager -o cat -n 20 -u footfall-collect.service --since "$since" >&2 || true
            die "the collector has no connection to the broker after $PROOF_S s (see above)"
        fi
        sleep 1
    done
}

# server COMMAND ARGUMENTS...
server() {
    local command="$1"
    shift
    case "$command" in
    probe) probe ;;
    install) install_all "$@" ;;
    backup) backup ;;
    *) die "there is no $command" 2 ;;
    esac
}
