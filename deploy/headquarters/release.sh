# One release on headquarters' server. Part of the script on the server.
# shellcheck shell=bash

# probe: prints what kind of server this is, what runs, and which wheels are there.
probe() {
    local wheel
    command -v python3 >/dev/null || apt_install python3 >&2 || die "headquarters needs Debian's python3"
    printf 'target %s-cp3%s\n' "$(uname -m)" "$(python3 -c 'import sys; print(sys.version_info[1])')"
    printf 'current %s\n' "$(basename "$(readlink "$HOUSE/current" || echo none)")"
    for wheel in "$HOUSE"/wheels/*.whl; do
        [[ ! -e "$wheel" ]] || printf 'wheel %s\n' "${wheel##*/}"
    done
}

# need_packages: what Debian has to bring; nothing is installed that is there.
need_packages() {
    local name missing=()
    for name in mosquitto openssl python3-venv "$@"; do
        dpkg-query -W -f '${Status}' "$name" 2>/dev/null | grep -q 'ok installed' || missing+=("$name")
    done
    [[ ${#missing[@]} -eq 0 ]] || change "install ${missing[*]}" apt_install "${missing[@]}" ||
        die "Debian's packages could not be installed; nothing else was changed"
}

# unpack INCOMING RELEASE: makes the release's folder, and proves that its program runs here.
unpack() {
    local incoming="$1" folder="$HOUSE/releases/$2" wheel wheels=()
    rm -rf "$folder"
    while read -r _ wheel; do
        [[ "$wheel" != wheels/* || -e "$incoming/$wheel" ]] || ln "$HOUSE/$wheel" "$incoming/$wheel"
    done <"$incoming/SHA256SUMS"
    (cd "$incoming" && sha256sum --quiet --check SHA256SUMS >&2) || {
        rm -rf "$HOUSE/wheels"
        die "what came or what was kept isn't whole (see above); run the same again. Nothing was changed"
    }
    python3 -m venv --without-pip "$folder"
    for wheel in "$incoming"/wheels/*.whl; do
        [[ "$wheel" == */pip-*.whl ]] || wheels+=("$wheel")
    done
    if ! "$folder/bin/python" "$(echo "$incoming"/wheels/pip-*.whl)/pip" install --quiet --no-index --no-deps --no-cache-dir \
        --disable-pip-version-check --root-user-action=ignore "${wheels[@]}" >"$folder/pip.log" 2>&1 </dev/null ||
        ! "$folder/bin/footfall" --version >>"$folder/pip.log" 2>&1; then
        tail -n 20 "$folder/pip.log" >&2
        die "the packages could not be installed (see above); nothing was changed"
    fi
    mkdir -p "$HOUSE/wheels"
    rm -f "$incoming"/wheels/footfall_edge-*.whl # sent each time: two of them may have one name
    for wheel in "$incoming"/wheels/*.whl; do
        [[ -e "$HOUSE/wheels/${wheel##*/}" ]] || mv "$wheel" "$HOUSE/wheels/"
    done
    cp "$incoming/SHA256SUMS" "$folder/SHA256SUMS"
    sync
    touch "$folder/complete"
}

# switch_to RELEASE
switch_to() {
    [[ ! -e "$HOUSE/current" ]] || link "$(readlink "$HOUSE/current")" "$HOUSE/previous"
    link "releases/$1" "$HOUSE/current"
}

# Throws away releases and wheels that neither the current nor the previous release needs.
prune() {
    local folder wheel
    for folder in "$HOUSE"/releases/*; do
        [[ "releases/${folder##*/}" == "$(readlink "$HOUSE/current")" ||
            "releases/${folder##*/}" == "$(readlink "$HOUSE/previous" || true)" ]] || rm -rf "$folder"
    done
    for wheel in "$HOUSE"/wheels/*.whl; do
        grep -qsF "wheels/${wheel##*/}" "$HOUSE"/releases/*/SHA256SUMS || rm -f "$wheel"
    done
}
