# One release: unpacked, tried out, thrown away. Part of the script on the box; state.sh says what is where.
# shellcheck shell=bash

need_libraries() {
    if ! python3 -c 'import venv' 2>/dev/null; then
        change "install Debian's python3-venv" apt_install python3-venv ||
            die "this Python has no venv, and python3-venv could not be installed; nothing was changed" "$UNCHANGED"
    fi
    if ! python3 -c 'import ctypes; ctypes.CDLL("libseccomp.so.2")' 2>/dev/null; then
        change "install Debian's libseccomp2" apt_install libseccomp2 ||
            die "the process that sees can't be sealed without Debian's libseccomp2; nothing was changed" "$UNCHANGED"
    fi
}

# unpack INCOMING RELEASE: makes the release's folder from what came, and proves that its program runs here.
unpack() {
    local incoming="$1" folder="$HOUSE/releases/$2" wheel free_mb
    forget_releases # those that failed here, or that a power cut left half-made
    free_mb="$(df -Pm "$HOUSE" | awk 'NR == 2 { print $4 }')"
    if [[ "$free_mb" -lt $ROOM_MB ]]; then
        die "there are $free_mb MB free under $HOUSE, and a release needs $ROOM_MB while it is made; nothing was changed" "$UNCHANGED"
    fi
    rm -rf "$folder"
    while read -r _ wheel; do
        if [[ "$wheel" == wheels/* && ! -e "$incoming/$wheel" ]]; then
            ln "$HOUSE/$wheel" "$incoming/$wheel" || true
        fi
    done <"$incoming/SHA256SUMS"
    if ! (cd "$incoming" && sha256sum --quiet --check SHA256SUMS >&2); then
        rm -rf "$HOUSE/wheels" # a worn card may have spoilt one: all of them are sent the next time
        die "what came or what was kept isn't whole (see above); run the same again, and all of it is sent anew. Nothing was changed" "$UNCHANGED"
    fi
    python3 -m venv --without-pip "$folder"
    local wheels=("$incoming"/wheels/*.whl) pip=("$incoming"/wheels/pip-*.whl)
    for wheel in "${!wheels[@]}"; do
        [[ "${wheels[wheel]}" != "${pip[0]}" ]] || unset "wheels[wheel]"
    done
    if ! "$folder/bin/python" "${pip[0]}/pip" install --quiet --no-index --no-deps --no-cache-dir \
        --disable-pip-version-check --root-user-action=ignore "${wheels[@]}" >"$folder/pip.log" 2>&1 </dev/null; then
        tail -n 20 "$folder/pip.log" >&2
        die "the packages could not be installed (see above); nothing was changed" "$UNCHANGED"
    fi
    cp -r "$incoming/systemd" "$folder/systemd"
    try_out "$folder"
    rm -f "$incoming"/wheels/footfall_edge-*.whl # sent each time: two of them may have one name
    mkdir -p "$HOUSE/wheels"
    sync # what is kept by name has to be whole
    for wheel in "$incoming"/wheels/*.whl; do
        [[ -e "$HOUSE/wheels/${wheel##*/}" ]] || mv "$wheel" "$HOUSE/wheels/"
    done
    cp "$incoming/SHA256SUMS" "$folder/SHA256SUMS"
    sync
    touch "$folder/complete"
    sync -f "$folder"
}

# try_out FOLDER: lets the release count its own demo clip, one picture a second: interpreter, model and OpenCV run on
# this machine, or it isn't taken.
try_out() {
    local said clip line inside
    if ! said="$("$1/bin/python" - <<'PY' 2>&1
from edge.technician.demo import read_truth
truth = read_truth()
print(truth.clip, ",".join(map(str, [*truth.line["from"], *truth.line["to"]])), ",".join(map(str, truth.line["inside"])))
PY
    )" || ! { read -r clip line inside <<<"$said" &&
        said="$("$1/bin/footfall" count "$clip" --line "$line" --inside "$inside" --fps 1 --json 2>&1)"; }; then
        say "$said"
        die "the new release can't count on this machine (see above); nothing was changed" "$UNCHANGED"
    fi
}

# Throws away releases that are neither current nor previous.
forget_releases() {
    local folder
    for folder in "$HOUSE"/releases/*; do
        case "${folder##*/}" in
        "$(in_link current)" | "$(in_link previous)") ;;
        *) rm -rf "$folder" ;;
        esac
    done
}

# Throws away those and the wheels that no kept release was made from.
prune() {
    local wheel
    forget_releases
    for wheel in "$HOUSE"/wheels/*.whl; do
        grep -qsF "wheels/${wheel##*/}" "$HOUSE"/releases/*/SHA256SUMS || rm -f "$wheel"
    done
}
