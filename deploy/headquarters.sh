# ./deploy.sh headquarters: everything that headquarters runs, on one Debian server. Sourced by deploy.sh.
# shellcheck shell=bash
#
# The server needs ssh, root or sudo, and Debian's packages; no package index: the wheels come from here.

readonly SERVER_PARTS=(say.sh debian.sh place.sh headquarters/state.sh headquarters/release.sh headquarters/store.sh headquarters/backup.sh headquarters/install.sh)

# Prints the one script that runs on the server.
server_script() {
    printf '#!/usr/bin/env bash\n'
    (cd "$ROOT/deploy" && cat "${SERVER_PARTS[@]}")
    # shellcheck disable=SC2016 # for the server
    printf 'server "$@" </dev/null\n'
}

# run_server_script HOST ARGUMENTS...: runs the script there without leaving anything behind.
run_server_script() {
    local host="$1"
    shift
    server_script | run_on_host "$host" "bash -s -- $(printf '%q ' "$@")"
}

# stage_headquarters TARGET: makes the stage hold everything for this kind of server, as in x86_64-cp311-headquarters.
stage_headquarters() {
    local target="$1" NAMES=()
    ! in_bundle "$target" || return 0
    gather "${target%-headquarters}" --extra headquarters
    rm -rf "$STAGE/headquarters"
    cp -r "$ROOT/deploy/headquarters" "$STAGE/headquarters"
    server_script >"$STAGE/headquarters/server"
    mkdir -p "$STAGE/$target"
    (cd "$STAGE" && { printf 'wheels/%s\n' "${NAMES[@]}" && find headquarters/units headquarters/server -type f; } |
        LC_ALL=C sort | xargs -d '\n' sha256sum) >"$STAGE/$target/SHA256SUMS"
    name_release "$target"
}

# headquarters ARGUMENTS...
headquarters() {
    local host="" name="" boxes="" backup="" restore="" target folder=/opt/footfall-hq/incoming status=0 path
    local files=() options=()
    # shellcheck disable=SC2034 # hosts.sh reads it
    BATCH=""
    while [[ $# -gt 0 ]]; do
        case "$1" in
        --local) host=local ;;
        --postgresql) options+=(--postgresql) ;;
        --name | --boxes | --config | --secret | --sites | --sales | --staff | --language | --years | --backup | --restore)
            [[ $# -ge 2 ]] || die "$1 needs a value" 2
            case "$1" in
            --name) name="$2" ;;
            --boxes) boxes="$2" files+=("boxes=$2") ;;
            --config) files+=("headquarters.yaml=$2") ;;
            --secret) files+=("secret.$(basename "$2")=$2") ;;
            --sites) files+=("sites.yaml=$2") ;;
            --sales | --staff) files+=("${1#--}.csv=$2") ;;
            --language | --years) options+=("$1=$2") ;;
            --backup) backup="$2" ;;
            --restore) restore="$2" files+=("backup.tar=$2") ;;
            esac
            shift
            ;;
        -*)
            usage >&2
            die "headquarters knows no $1" 2
            ;;
        *)
            [[ -z "$host" ]] || die "headquarters is one server" 2
            host="$1"
            ;;
        esac
        shift
    done
    [[ -n "$host" ]] || die "headquarters needs a host or --local" 2
    [[ -z "$backup" || -z "$restore$boxes" ]] || die "--backup goes alone" 2
    [[ "$host" != local ]] || may_be_root || die "--local needs root, or sudo without a password" 1
    for path in "${files[@]}"; do
        [[ -r "${path#*=}" ]] || die "${path#*=} can't be read" 2
    done
    trap clean_up EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    SCRATCH="$(mktemp -d)"
    if [[ -n "$backup" ]]; then
        back_up "$host" "$backup"
        return
    fi
    run_server_script "$host" probe >"$SCRATCH/$host.probe" || {
        status=$?
        [[ $status -ne 255 ]] || die "$host can't be reached" "$UNREACHABLE"
        die "$host could not be probed (see above); nothing was changed"
    }
    target="$(probed "$host" target)-headquarters"
    stage "$target"
    step "$host: $target, release $(probed "$host" current) -> $(<"$STAGE/$target/release")"
    [[ -z "$name" ]] || options+=("--name=$name")
    [[ "$host" == local ]] || options+=("--host=$(host_name "$host")")
    payload_tar "$target" "$(probed "$host" wheel)" |
        run_on_host "$host" "rm -rf $folder && mkdir -p $folder && chmod 700 $folder && tar -C $folder -xf -" ||
        die "the files could not be copied to $host (see above); nothing was changed"
    for path in "${files[@]}"; do
        copy_file "$host" "${path#*=}" "$folder/${path%%=*}"
    done
    run_on_host "$host" "status=0; bash $folder/headquarters/server install $folder $(printf '%q ' "${options[@]}") || status=\$?
        rm -rf $folder; exit \$status"
}

# back_up HOST FILE: writes what the server keeps into FILE, which only its owner may read.
back_up() {
    local status=0
    (umask 077 && run_server_script "$1" backup >"$2.new") || status=$?
    if [[ $status -ne 0 ]]; then
        rm -f "$2.new"
        [[ $status -ne 255 ]] || die "$1 can't be reached; no backup was written" "$UNREACHABLE"
        die "no backup was written (see above)"
    fi
    tar -tf "$2.new" >/dev/null || die "what came isn't whole: $2.new"
    mv "$2.new" "$2"
    say "$2: $(du -h "$2" | cut -f1). It holds the accounts' passwords and the authority's key: keep it as you keep keys"
}
