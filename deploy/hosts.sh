# install, update, rollback, status, logs and uninstall, on this machine or on hosts over ssh. Sourced by deploy.sh.
# shellcheck shell=bash
#
# Exit codes: 0 done, or nothing to do; 1 nothing was changed; 2 the command line; 3 rolled back, the release before is
# counting; 5 a host can't be reached; 6 a box isn't counting. Of many hosts, the worst.

readonly UNREACHABLE=5 AT_ONCE=8
readonly SSH="${FOOTFALL_SSH:-ssh}"

# run_on_host HOST COMMAND: runs it there as root, from standard input to standard output; `local` is this machine.
run_on_host() {
    if [[ "$1" == local ]]; then
        as_root bash -c "$2"
    else
        # shellcheck disable=SC2086 # FOOTFALL_SSH may hold options
        $SSH -o ConnectTimeout=10 -o ServerAliveInterval=10 -o ServerAliveCountMax=6 \
            -o ControlMaster=auto -o ControlPath="$SCRATCH/%C" -o ControlPersist=60 \
            ${BATCH:+-o BatchMode=yes} "$1" "$(with_sudo "$2")"
    fi
}

# with_sudo COMMAND: the same for a shell at the other end, by sudo unless it is root there.
with_sudo() {
    # shellcheck disable=SC2016 # for the other end
    printf 'if [ "$(id -u)" = 0 ]; then exec bash -c %q; else exec sudo -n bash -c %q; fi' "$1" "$1"
}

# run_box_script HOST ARGUMENTS...: runs the script there without leaving anything behind.
run_box_script() {
    local host="$1"
    shift
    box_script | run_on_host "$host" "bash -s -- $(printf '%q ' "$@")"
}

# Runs a command there under the lock of installations, so that two of them never write to the same folder.
readonly WITH_LOCK="mkdir -p /run/lock && flock -n /run/lock/footfall-deploy"

# copy_payload HOST FOLDER TARGET KNOWN-WHEELS: copies what the box lacks into FOLDER there.
copy_payload() {
    payload_tar "$3" "$4" | run_on_host "$1" "$WITH_LOCK true || { echo 'another installation is running on this box; wait until it has ended' >&2; exit 1; }
        $WITH_LOCK bash -c 'rm -rf $2 && mkdir -p $2 && tar -C $2 -xf -'"
}

# copy_file HOST FILE NAME: copies one file there, which only root may read.
copy_file() { run_on_host "$1" "umask 077; cat >$3" <"$2"; }

# copy_all HOST FOLDER TARGET KNOWN-WHEELS: copies the payload; config, password and certificate authority too, if given.
copy_all() {
    local name
    copy_payload "$@" || return
    for name in "${!FILES[@]}"; do
        copy_file "$1" "${FILES[$name]//%h/$(host_name "$1")}" "$2/$name" || return
    done
}

# probe_host HOST: writes target, release and wheels of the box into SCRATCH/HOST.probe.
probe_host() {
    local status=0
    run_box_script "$1" probe ${DRY:+--dry-run} >"$SCRATCH/$1.probe" 2>"$SCRATCH/$1.log" || status=$?
    if [[ $status -ne 0 ]]; then
        [[ $status -ne 255 ]] || status=$UNREACHABLE
        return "$status"
    fi
}

# probed HOST WORD: prints what the probe said under this word.
probed() { sed -n "s/^$2 //p" "$SCRATCH/$1.probe" | tr '\n' ' ' | sed 's/ $//'; }

# act_on_host HOST: runs COMMAND there; its output goes to the terminal.
act_on_host() {
    local host="$1" target folder=/opt/footfall/incoming status=0 release current known
    case "$COMMAND" in
    install | update)
        target="$(probed "$host" target)"
        [[ -z "$DRY" ]] || folder=/run/footfall-dry-run
        [[ -z "$DRY" ]] || step "would: send $(payload_tar "$target" "$(probed "$host" wheel)" | wc -c | awk '{ printf "%.0f MB", $1 / 1e6 }')"
        release="$(<"$STAGE/$target/release")"
        current="$(probed "$host" current)"
        step "$host: $target, release ${current:-none} -> $release"
        known="$(probed "$host" wheel)"
        # Units and script are enough to see whether anything must be repaired.
        [[ -z "$DRY" && "$current" != "$release" ]] || known="$(cd "$STAGE/wheels" && echo *.whl)"
        local options=(${DRY:+--dry-run} ${UNSIGNED:+--unsigned} ${OLDER:+--older})
        [[ "$COMMAND" != update ]] || options+=(--update)
        if copy_all "$host" "$folder" "$target" "$known"; then
            # The script that is there already judges what came, before anything of that is run.
            run_on_host "$host" "status=0; ! grep -qs '^verify_contents' /opt/footfall/box || bash /opt/footfall/box verify ${options[*]-} $folder || status=\$?
                [ \$status != 0 ] || FOOTFALL_PROOF_S=${FOOTFALL_PROOF_S:-} bash $folder/box install ${options[*]-} $folder || status=\$?
                $WITH_LOCK rm -rf $folder; exit \$status" || status=$?
        else
            status=$?
            say "the files could not be copied to $host (see above); nothing was changed"
        fi
        ;;
    rollback) run_on_host "$host" "if [ -e /opt/footfall/box ]; then FOOTFALL_PROOF_S=${FOOTFALL_PROOF_S:-} bash /opt/footfall/box rollback ${DRY:+--dry-run}; else echo \"Footfall isn't installed here\" >&2; exit 1; fi" || status=$? ;;
    status) run_box_script "$host" status || status=$? ;;
    logs) run_box_script "$host" logs "${LOG_OPTIONS[@]}" || status=$? ;;
    uninstall) run_box_script "$host" uninstall ${DRY:+--dry-run} ${PURGE:+--purge} || status=$? ;;
    esac
    case $status in
    0 | 1 | 3 | 6) ;;
    255) status=$UNREACHABLE ;;
    *) status=1 ;; # what some program ended with
    esac
    return "$status"
}

host_name() { sed 's/.*@//; s/:.*//' <<<"$1"; }

# act_on_host_logged HOST: the same, into SCRATCH/HOST.log; the code goes into SCRATCH/HOST.code.
act_on_host_logged() {
    local status=0 began=$SECONDS
    act_on_host "$1" >>"$SCRATCH/$1.log" 2>&1 || status=$?
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

# probe_host_logged HOST: a code file is left only where it failed.
probe_host_logged() {
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
    printf "%-${width}s  %-13s  %5s  %s\n" host result s "last line of its log"
    for host in "$@"; do
        read -r code seconds 2>/dev/null <"$SCRATCH/$host.code" || { code=1 seconds=0; }
        [[ $code -le $WORST ]] || WORST=$code
        printf "%-${width}s  %-13s  %5d  %s\n" "$host" "$(result_word "$host" "$code")" "$seconds" "$(tail -n 1 "$SCRATCH/$host.log" 2>/dev/null)"
    done
}

result_word() {
    [[ -e "$SCRATCH/$1.code" ]] || { echo "not tried"; return; }
    case "$2" in
    0) echo ok ;;
    3) echo "rolled back" ;;
    5) echo unreachable ;;
    6) echo "NOT COUNTING" ;;
    *) echo "not changed" ;;
    esac
}

# run_fleet HOST...: the first host that can be reached is the canary; the others follow once it counts.
run_fleet() {
    local reachable=() host canary
    BATCH=1
    step "probing ${#} hosts"
    in_parallel probe_host_logged "$@"
    for host in "$@"; do
        [[ -e "$SCRATCH/$host.code" ]] || reachable+=("$host")
    done
    if [[ ${#reachable[@]} -gt 0 ]]; then
        stage_for "${reachable[@]}"
        if [[ "$COMMAND" =~ ^(install|update|rollback)$ && -z "$DRY" ]]; then
            canary="${reachable[0]}"
            reachable=("${reachable[@]:1}")
            step "$canary goes first"
            if ! act_on_host_logged "$canary"; then
                say "$canary failed, so the other hosts were not touched:"
                sed 's/^/   /' "$SCRATCH/$canary.log" >&2
                reachable=()
            fi
        fi
        if [[ ${#reachable[@]} -gt 0 ]]; then
            step "${#reachable[@]} hosts, $AT_ONCE at a time"
            in_parallel act_on_host_logged "${reachable[@]}" || true
        fi
    fi
    show_table "$@"
    return "$WORST"
}

# stage_for HOST...: everything for the kinds of boxes that these are.
stage_for() {
    local target
    [[ "$COMMAND" =~ ^(install|update)$ ]] || return 0
    for target in $(for host in "$@"; do probed "$host" target; echo; done | sort -u); do
        [[ "$target" != *-none || -z "$DRY" ]] || die "a box has no Python yet: install brings Debian's, and only then more can be said"
        [[ "$target" != *-none ]] || die "a box has no Python, and apt-get could not install one"
        stage "$target"
    done
}

# manage COMMAND ARGUMENTS...
manage() {
    local hosts=() file="" host path
    declare -gA FILES=()
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
            --config) FILES[footfall.yaml]="$2" ;;
            --password-file) FILES[mqtt.password]="$2" ;;
            --ca-file) FILES[ca.pem]="$2" ;;
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
        for path in "${FILES[@]}"; do
            path="${path//%h/$(host_name "$host")}"
            [[ -r "$path" ]] || die "$path can't be read; it is for $host" 2
        done
        [[ "$host" != local ]] || may_be_root || die "--local needs root, or sudo without a password" 1
    done
    trap clean_up EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    SCRATCH="$(mktemp -d)"
    if [[ ${#hosts[@]} -gt 1 ]]; then
        [[ "$COMMAND" != logs ]] || die "logs shows one host at a time" 2
        run_fleet "${hosts[@]}"
        return
    fi
    host="${hosts[0]}"
    if [[ "$COMMAND" =~ ^(install|update)$ ]]; then
        probe_host "$host" || { host=$?; cat "$SCRATCH"/*.log >&2; die "${hosts[0]} could not be probed (see above); nothing was changed" "$host"; }
        stage_for "$host"
    fi
    act_on_host "$host"
}
