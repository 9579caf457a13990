# Backup and restoring of headquarters' server: hours, settings, accounts, and the authority. Part of the script on the
# server.
# shellcheck shell=bash
#
# What the broker holds for a collector that is away isn't in it: boxes send again what is younger than 48 hours.

# backup: writes a tar to standard output, while everything runs.
backup() {
    local folder
    [[ -e "$ENVIRONMENT" ]] || die "headquarters isn't installed here"
    folder="$(mktemp -d "$STATE/backup.XXXXXX")"
    # shellcheck disable=SC2064 # the folder as it is called now
    trap "rm -rf '$folder'" EXIT
    mkdir -p "$folder/mosquitto"
    if [[ "$(setting STORE)" == postgresql:* ]]; then
        as_postgres pg_dump -Fc "$DATABASE" >"$folder/hours.dump"
    elif [[ -e "$STATE/hours.sqlite" ]]; then
        # SQLite's own copy of a file that others write to; as its owner, whose the files beside it stay.
        chown "$OWNER" "$folder"
        runuser -u "$OWNER" -- python3 - "$STATE/hours.sqlite" "$folder/hours.sqlite" <<'PYTHON'
import sqlite3
import sys

source, copy = (sqlite3.connect(path) for path in sys.argv[1:])
with copy:
    source.backup(copy, pages=2000)
for connection in (source, copy):
    connection.close()
PYTHON
    fi
    cp -a "$ETC" "$folder/etc"
    tar -C "${BROKER%/*}" -cf - --exclude="${BROKER##*/}/state" "${BROKER##*/}" "${BROKER##*/}-authority" |
        tar -C "$folder/mosquitto" -xpf -
    tar -C "$folder" -cf - .
}

# take_settings TAR: puts settings and accounts of a backup in their place.
take_settings() {
    mkdir -p "$ETC" "${BROKER%/*}"
    tar -C "$ETC" -xpf "$1" --strip-components=2 ./etc
    tar -C "${BROKER%/*}" -xpf "$1" --strip-components=2 ./mosquitto
}

# take_hours TAR: puts the hours of a backup in place of those that are there. Nothing of ours runs meanwhile.
take_hours() {
    local scratch
    scratch="$(mktemp -d "$STATE/restore.XXXXXX")"
    if [[ "$(setting STORE)" == postgresql:* ]]; then
        chmod 711 "$STATE" "$scratch"
        tar -C "$scratch" -xf "$1" ./hours.dump
        chmod 644 "$scratch/hours.dump"
        as_postgres dropdb --if-exists --force "$DATABASE"
        as_postgres createdb -O "$OWNER" -E UTF8 -T template0 "$DATABASE"
        as_postgres pg_restore --exit-on-error --no-privileges --no-owner --role="$OWNER" -d "$DATABASE" "$scratch/hours.dump"
        chmod 750 "$STATE"
    elif tar -C "$scratch" -xf "$1" ./hours.sqlite; then
        rm -f "$STATE"/hours.sqlite-wal "$STATE"/hours.sqlite-shm
        install -o "$OWNER" -g "$OWNER" -m 640 "$scratch/hours.sqlite" "$STATE/hours.sqlite.new"
        mv -f "$STATE/hours.sqlite.new" "$STATE/hours.sqlite"
    fi
    rm -rf "$scratch"
}
