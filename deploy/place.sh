# Files put in their place on the machine that is installed on, each in one rename. A part of the scripts for boxes and for
# headquarters' server.
# shellcheck shell=bash

DRY=""
CHANGES=0

# change WHAT COMMAND...: does it; with --dry-run only says so.
change() {
    CHANGES=$((CHANGES + 1))
    if [[ -n "$DRY" ]]; then
        say "would: $1"
    else
        step "$1"
        shift
        "$@"
    fi
}

# link TARGET NAME: makes NAME a symbolic link to TARGET, in one rename.
link() {
    ln -sfn "$1" "$2.new"
    mv -Tf "$2.new" "$2"
}

# put FILE NAME MODE: makes NAME a copy of FILE, in one rename.
put() {
    install -D -m "$3" "$1" "$2.new"
    mv -Tf "$2.new" "$2"
}

systemd_runs() { [[ -d /run/systemd/system ]]; }
