# install, update, rollback, status, logs and uninstall, on this machine or on hosts over ssh. Sourced by deploy.sh.
# shellcheck shell=bash
#
# Exit codes: 0 done, or nothing to do; 1 nothing was changed; 2 the command line; 3 rolled back, the release before is
# counting; 5 a host can't be reached; 6 a box isn't counting. Of many hosts, the worst.

readonly UNREACHABLE=5 AT_ONCE=8
readonly SSH="${FOOTFALL_SSH:-ssh}"

# reach HOST COMMAND: runs it there as root, from standard input to standard output; `local` is this machine.
reach() {
    if [[ "$1" == local ]]; then
        as_root bash -c "$2"
    else
        # shellcheck disable=SC2086 # FOOTFALL_SSH may hold options
        $SSH -o ConnectTimeout=10 -o ServerAliveInterval=10 -o ServerAliveCountMax=6 \
            -o ControlMaster=auto -o ControlPath="$SCRATCH/%C" -o ControlPersist=60 \
            ${BATCH:+-o BatchMode=yes} "$1" "$(as_superuser "$2")"
    fi
}

# as_superuser COMMAND: the same for a shell at the other end, by sudo unless it is root there.
as_superuser() {
    # shellcheck disable=SC2016 # for the other end
    printf 'if [ "$(id -u)" = 0 ]; then exec bash -c %q; else exec sudo -n bash -c %q; fi' "$1" "$1"
}

# on_box HOST ARGUMENTS...: runs the script there without leaving anything behind.
on_box() {
    local host="$1"
    shift
    box_script | reach "$host" "bash -s -- $(printf '%q ' "$@")"
}

# Said there before what touches the folder that is sent: an installation that is under way keeps its own.
readonly ALONE="mkdir -p /run/lock && flock -n /run/lock/footfall-deploy"

# send HOST FOLDER TARGET KNOWN-WHEELS: puts what the box lacks into FOLDER there.
send() {
    parcel "$3" "$4" | reach "$1" "$ALONE true || { echo 'somebody else is installing here just now; wait until they are done' >&2; exit 1; }
        $ALONE bash -c 'rm -rf $2 && mkdir -p $2 && tar -C $2 -xf -'"
}

# give HOST FILE NAME: puts one file there, for root's eyes.
give() { reach "$1" "umask 077; cat >$3" <"$2"; }

# deliver HOST FOLDER TARGET KNOWN-WHEELS: sends everything; config, password and authority too, if there are any.
deliver() {
    local name
    send "$@" || return
    for name in "${!BROUGHT[@]}"; do
        give "$1" "${BROUGHT[$name]//%h/$(host_name "$1")}" "$2/$name" || return
    done
}

# probe_host HOST: writes what deploy.sh must know into SCRATCH/HOST.probe.
probe_host() {
    local status=0
    on_box "$1" probe ${DRY:+--dry-run} >"$SCRATCH/$1.probe" 2>"$SCRATCH/$1.log" || status=$?
    if [[ $status -ne 0 ]]; then
        [[ $status -ne 255 ]] || status=$UNREACHABLE
        return "$status"
    fi
}

# of_probe HOST WORD
of_probe() { sed -n "s/^$2 //p" "$SCRATCH/$1.probe" | tr '\n' ' ' | sed 's/ $//'; }

# visit HOST: does COMMAND there; what it says goes to the terminal.
visit() {
    local host="$1" target folder=/opt/footfall/incoming status=0 release current known
    case "$COMMAND" in
    install | update)
        target="$(of_probe "$host" target)"
        [[ -z "$DRY" ]] || folder=/run/footfall-dry-run
        [[ -z "$DRY" ]] || step "would: send $(parcel "$target" "$(of_probe "$host" wheel)" | wc -c | awk '{ printf "%.0f MB", $1 / 1e6 }')"
        release="$(<"$STAGE/$target/release")"
        current="$(of_probe "$host" current)"
        step "$host: $target, release ${current:-none} -> $release"
        known="$(of_probe "$host" wheel)"
        # The small things are enough to see whether anything has to be put right.
        [[ -z "$DRY" && "$current" != "$release" ]] || known="$(cd "$STAGE/wheels" && echo *.whl)"
        local options=(${DRY:+--dry-run} ${UNSIGNED:+--unsigned} ${OLDER:+--older})
        [[ "$COMMAND" != update ]] || options+=(--update)
        if deliver "$host" "$folder" "$target" "$known"; then
            reach "$host" "FOOTFALL_PROOF_S=${FOOTFALL_PROOF_S:-} bash $folder/box install ${options[*]-} $folder; status=\$?; $ALONE rm -rf $folder; exit \$status" || status=$?
        else
            status=$?
            say "what $host needs could not be put there (see above); nothing was changed"
        fi
        ;;
    rollback) reach "$host" "if [ -e /opt/footfall/box ]; then FOOTFALL_PROOF_S=${FOOTFALL_PROOF_S:-} bash /opt/footfall/box rollback ${DRY:+--dry-run}; else echo \"Footfall isn't installed here\" >&2; exit 1; fi" || status=$? ;;
    status) on_box "$host" status || status=$? ;;
    logs) on_box "$host" logs "${LOG_OPTIONS[@]}" || status=$? ;;
    uninstall) on_box "$host" uninstall ${DRY:+--dry-run} ${PURGE:+--purge} || status=$? ;;
    esac
    case $status in
    0 | 1 | 3 | 6) ;;
    255) status=$UNREACHABLE ;;
    *) status=1 ;; # what some program ended with
    esac
    return "$status"
}

host_name() { sed 's/.*@//; s/:.*//' <<<"$1"; }

# visit_quietly HOST: the same, into SCRATCH/HOST.log; the code goes into SCRATCH/HOST.code.
visit_quietly() {
    local status=0 began=$SECONDS
    visit "$1" >>"$SCRATCH/$1.log" 2>&1 || status=$?
    printf '%d %d\n' "$status" "$((SECONDS - began))" >"$SCRATCH/$1.code"
    return "$status"
}

# in_parallel FUNCTION HOST...: eight at a time.
in_parallel() {
    local function="$1" host
    shift
    for host in "$@"; do
        while [[ "$(jobs -rp | wc -l)" -ge $AT_ONCE ]]; do
            wait -n || true
        done
        "$function" "$host" &
    done
    wait
}

# probe_quietly HOST: a code file is left only where it failed.
probe_quietly() {
    local status=0
    probe_host "$1" || status=$?
    [[ $status -eq 0 ]] || printf '%d 0\n' "$status" >"$SCRATCH/$1.code"
}

# show_table HOST...: one line a host, and sets WORST.
show_table() {
    local host code seconds width=4
    WORST=0
    for host in "$@"; do
        [[ ${#host} -le $width ]] || width=${#host}
    done
    printf "%-${width}s  %-13s  %5s  %s\n" host result s "in its last words"
    for host in "$@"; do
        read -r code seconds 2>/dev/null <"$SCRATCH/$host.code" || { code=1 seconds=0; }
        [[ $code -le $WORST ]] || WORST=$code
        printf "%-${width}s  %-13s  %5d  %s\n" "$host" "$(outcome "$host" "$code")" "$seconds" "$(tail -n 1 "$SCRATCH/$host.log" 2>/dev/null)"
    done
}

outcome() {
    [[ -e "$SCRATCH/$1.code" ]] || { echo "not tried"; return; }
    case "$2" in
    0) echo ok ;;
    3) echo "rolled back" ;;
    5) echo unreachable ;;
    6) echo "NOT COUNTING" ;;
    *) echo "not changed" ;;
    esac
}

# fleet HOST...: the first that can be reached is the canary; the others follow when it sings.
fleet() {
    local reachable=() host canary
    BATCH=1
    step "looking at ${#} hosts"
    in_parallel probe_quietly "$@"
    for host in "$@"; do
        [[ -e "$SCRATCH/$host.code" ]] || reachable+=("$host")
    done
    if [[ ${#reachable[@]} -gt 0 ]]; then
        stage_for "${reachable[@]}"
        if [[ "$COMMAND" =~ ^(install|update|rollback)$ && -z "$DRY" ]]; then
            canary="${reachable[0]}"
            reachable=("${reachable[@]:1}")
            step "$canary goes first"
            if ! visit_quietly "$canary"; then
                say "$canary did not come through, so the others are left alone:"
                sed 's/^/   /' "$SCRATCH/$canary.log" >&2
                reachable=()
            fi
        fi
        if [[ ${#reachable[@]} -gt 0 ]]; then
            step "${#reachable[@]} hosts, $AT_ONCE at a time"
            in_parallel visit_quietly "${reachable[@]}" || true
        fi
    fi
    show_table "$@"
    return "$WORST"
}

# stage_for HOST...: everything for the kinds of boxes that these are.
stage_for() {
    local target
    [[ "$COMMAND" =~ ^(install|update)$ ]] || return 0
    for target in $(for host in "$@"; do of_probe "$host" target; echo; done | sort -u); do
        [[ "$target" != *-none || -z "$DRY" ]] || die "a box has no Python yet: install brings Debian's, and only then more can be said"
        [[ "$target" != *-none ]] || die "a box has no Python, and apt-get could not install one"
        stage "$target"
    done
}

# manage COMMAND ARGUMENTS...
manage() {
    local hosts=() file="" host brought
    declare -gA BROUGHT=()
    COMMAND="$1" DRY="" UNSIGNED="" OLDER="" PURGE="" BATCH="" LOG_OPTIONS=(--lines=100)
    shift
    while [[ $# -gt 0 ]]; do
        case "$1:$COMMAND" in
        --dry-run:install | --dry-run:update | --dry-run:rollback | --dry-run:uninstall) DRY=1 ;;
        --unsigned:install | --unsigned:update) UNSIGNED=1 ;;
        --older:install | --older:update) OLDER=1 ;;
        --purge:uninstall) PURGE=1 ;;
        --follow:logs | -f:logs) LOG_OPTIONS+=(--follow) ;;
        --local:*) hosts+=(local) ;;
        --config:install | --password-file:install | --ca-file:install | --hosts:* | --lines:logs)
            [[ $# -ge 2 ]] || die "$1 needs a value" 2
            case "$1" in
            --config) BROUGHT[footfall.yaml]="$2" ;;
            --password-file) BROUGHT[mqtt.password]="$2" ;;
            --ca-file) BROUGHT[ca.pem]="$2" ;;
            --hosts) file="$2" ;;
            --lines) LOG_OPTIONS+=("--lines=$2") ;;
            esac
            shift
            ;;
        -*)
            usage >&2
            die "$COMMAND knows no $1" 2
            ;;
        *) hosts+=("$1") ;;
        esac
        shift
    done
    if [[ -n "$file" ]]; then
        [[ -r "$file" ]] || die "--hosts: $file can't be read" 2
        mapfile -t -O "${#hosts[@]}" hosts < <(sed 's/#.*//; s/[[:space:]]//g; /^$/d' "$file")
    fi
    [[ ${#hosts[@]} -gt 0 ]] || die "$COMMAND needs a host, --hosts FILE or --local" 2
    mapfile -t hosts < <(printf '%s\n' "${hosts[@]}" | awk '!seen[$0]++')
    for host in "${hosts[@]}"; do
        [[ "$host" != */* ]] || die "$host is no host as ssh knows it: [user@]name; a port belongs into ~/.ssh/config" 2
        for brought in "${BROUGHT[@]}"; do
            brought="${brought//%h/$(host_name "$host")}"
            [[ -r "$brought" ]] || die "$brought can't be read; it is for $host" 2
        done
        [[ "$host" != local ]] || may_be_root || die "--local needs root, or sudo without a password" 1
    done
    trap clean_up EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    SCRATCH="$(mktemp -d)"
    if [[ ${#hosts[@]} -gt 1 ]]; then
        [[ "$COMMAND" != logs ]] || die "logs shows one host at a time" 2
        fleet "${hosts[@]}"
        return
    fi
    host="${hosts[0]}"
    if [[ "$COMMAND" =~ ^(install|update)$ ]]; then
        probe_host "$host" || { host=$?; cat "$SCRATCH"/*.log >&2; die "${hosts[0]} can't be asked (see above); nothing was changed" "$host"; }
        stage_for "$host"
    fi
    visit "$host"
}
