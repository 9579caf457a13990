# Where headquarters' server keeps hours: a file, or Debian's PostgreSQL. Part of the script on the server.
# shellcheck shell=bash

# as_postgres PROGRAM...: as the server's own superuser, from a folder that it may read.
as_postgres() { (cd / && runuser -u postgres -- "$@"); }

# sql STATEMENT: one statement; prints its rows.
sql() { as_postgres psql -X -q -A -t -v ON_ERROR_STOP=1 "${2:-postgres}" -c "$1"; }

# need_database: Debian's PostgreSQL runs, and has the database and its owner.
need_database() {
    systemctl is-active --quiet postgresql || change "start PostgreSQL" systemctl start postgresql
    if [[ -z "$(sql "SELECT 1 FROM pg_roles WHERE rolname = '$OWNER'")" ]]; then
        change "make the role $OWNER" sql "CREATE ROLE $OWNER LOGIN"
    fi
    if [[ -z "$(sql "SELECT 1 FROM pg_database WHERE datname = '$DATABASE'")" ]]; then
        change "make the database $DATABASE" as_postgres createdb -O "$OWNER" -E UTF8 -T template0 "$DATABASE"
    fi
}

# make_roles: the owner may make roles only as long as this takes.
make_roles() {
    local status=0
    sql "ALTER ROLE $OWNER CREATEROLE"
    footfall roles --store "$(setting STORE)" --writer "$WRITER" --reader "$READER" >&2 || status=$?
    sql "ALTER ROLE $OWNER NOCREATEROLE"
    return "$status"
}

# prepare_store: the tables are there, and who needs them may use them.
prepare_store() {
    if [[ "$(setting STORE)" == postgresql:* ]]; then
        need_database
        if [[ -n "$SWITCHED" || -z "$(sql "SELECT 1 FROM pg_roles WHERE rolname = '$WRITER'")" ]]; then
            change "make the tables, and the roles $WRITER and $READER" make_roles
        fi
    fi
}
