# What happens on headquarters' server. deploy.sh sends this as one script, made of say.sh, debian.sh, place.sh and the
# files in this folder, this one first.
# shellcheck shell=bash
#
# /opt/footfall-hq/releases/NAME   one release: a virtual environment; `complete` is written last
# /opt/footfall-hq/current         link to the release that runs; previous: the one before
# /opt/footfall-hq/wheels          wheels that are kept, so that an update brings only those that aren't here
# /etc/footfall                    headquarters.env (made here), headquarters.yaml, sites.yaml, sales.csv, staff.csv,
#                                  and the secrets that headquarters.yaml names
# /etc/mosquitto/footfall          the broker's folder, made by `footfall broker`; beside it the authority's key
# /var/lib/footfall-hq             hours.sqlite, unless PostgreSQL has the hours
# /var/lib/footfall-report         the nightly report, for a web server
set -euo pipefail

readonly HOUSE=/opt/footfall-hq ETC=/etc/footfall STATE=/var/lib/footfall-hq REPORT=/var/lib/footfall-report
readonly UNITS=/etc/systemd/system BROKER=/etc/mosquitto/footfall ENVIRONMENT=$ETC/headquarters.env
readonly DATABASE=footfall OWNER=footfall_hq WRITER=footfall_collect READER=footfall_read
readonly ACCOUNT=headquarters
readonly PROOF_S="${FOOTFALL_PROOF_S:-120}"

# setting NAME: prints what headquarters.env says, or nothing.
setting() { [[ ! -e "$ENVIRONMENT" ]] || sed -n "s/^$1=//p" "$ENVIRONMENT"; }

# keep FILE NAME MODE [OWNER]: NAME is a copy of FILE.
keep() {
    if ! cmp -s "$1" "$2"; then
        change "write $2" put "$1" "$2" "$3"
    fi
    [[ "$(stat -c %a "$2")" == "$3" ]] || chmod "$3" "$2"
    [[ -z "${4:-}" || "$(stat -c %U:%G "$2")" == "$4" ]] || chown "$4" "$2"
}

# keep_text TEXT NAME MODE [OWNER]: NAME holds TEXT.
keep_text() {
    local made
    made="$(mktemp)"
    printf '%s' "$1" >"$made"
    keep "$made" "${@:2}"
    rm -f "$made"
}

# As the account that owns the hours; the program in the release that runs.
footfall() { runuser -u "$OWNER" -- "$HOUSE/current/bin/footfall" "$@"; }
