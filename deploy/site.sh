#!/usr/bin/env bash
# Builds the documents as a site with search, in dist/site/VERSION, and a list of versions beside it:
#
#   deploy/site.sh            builds it; a link or an anchor that leads nowhere is an error
#   deploy/site.sh --serve    builds it and serves it on 127.0.0.1:8000
#
# The pages are those of the repository, README.md first, in their own folders, so that every link stays as it is.
set -euo pipefail
# shellcheck source=deploy.sh source-path=SCRIPTDIR/..
source "$(dirname "${BASH_SOURCE[0]}")/../deploy.sh"
cd "$ROOT"

# gather_pages FOLDER: copies what the site is made of; other files of the repository that pages link to come along.
gather_pages() {
    local page
    mkdir -p "$1/models/training"
    cp ./*.md LICENSE constraints.lock .pre-commit-config.yaml "$1"
    cp -r docs "$1/docs"
    cp models/*.md models/head.json "$1/models"
    cp models/training/*.{md,jpg,tsv} "$1/models/training"
    grep -rohP '\]\((\.\./)+\K[^)#]+' docs | sort -u | while read -r page; do
        if [[ -f "$page" && ! -e "$1/$page" ]]; then
            mkdir -p "$1/${page%/*}"
            cp "$page" "$1/$page"
        fi
    done
    {
        printf '# Decisions\n\n'
        for page in docs/adr/*.md; do
            printf -- '- [%s](%s)\n' "$(sed -n '1s/^# //p' "$page")" "${page##*/}"
        done
    } >"$1/docs/adr/index.md"
}

# build_site PYTHON OUT: the site of this version in OUT/VERSION; `versions.json` names all that are there.
build_site() {
    local python="$1" out="$2" version sources said
    version="$(sed -n 's/^__version__ = "\(.*\)"$/\1/p' edge/__init__.py)"
    sources="$(mktemp -d)"
    mkdir -p "$sources/pages" "$out"
    gather_pages "$sources/pages"
    cp deploy/mkdocs.yml "$sources/mkdocs.yml"
    rm -rf "${out:?}/$version"
    # Not --quiet: what it doesn't say, --strict doesn't count.
    if ! said="$(NO_MKDOCS_2_WARNING=1 "$python" -m mkdocs build --strict --config-file "$sources/mkdocs.yml" \
        --site-dir "$(realpath "$out")/$version" 2>&1)"; then
        grep -E 'WARNING|ERROR|Error|Aborted' <<<"$said" >&2 || printf '%s\n' "$said" >&2
        rm -rf "$sources"
        die "the site could not be built; what is wrong stands above"
    fi
    rm -rf "$sources"
    (
        cd "$out"
        printf '['
        for folder in */; do printf '%s{"version":"%s","title":"%s","aliases":[]}' "${comma:-}" "${folder%/}" "${folder%/}"; comma=,; done
        printf ']\n'
    ) >"$out/versions.json"
    printf '<!doctype html><meta http-equiv="refresh" content="0; url=%s/">\n' "$version" >"$out/index.html"
    say "$out/$version/index.html"
}

main_site() {
    local python venv="$ROOT/.venv-docs"
    python="$(find_python)"
    make_venv "$venv" "$python" docs
    build_site "$venv/bin/python" "$ROOT/dist/site"
    if [[ "${1:-}" == --serve ]]; then
        cd "$ROOT/dist/site" && exec "$venv/bin/python" -m http.server --bind 127.0.0.1 8000
    fi
}

if [[ "${BASH_SOURCE[0]}" == "$0" ]]; then
    main_site "$@"
fi
