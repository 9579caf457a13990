# The payload of a box: the wheel, the wheels that it needs, the units, the script that it runs. Sourced by deploy.sh.
# shellcheck shell=bash
#
# STAGE holds it, in a checkout (build/stage) and in a bundle (stage/) alike:
#   box                    the script
#   systemd/               units and what goes with them
#   wheels/                wheels for all kinds of boxes
#   TARGET/SHA256SUMS      what a box of this kind is sent, as in aarch64-cp313
#   TARGET/programs        what each package puts on the disk (programs.py)
#   TARGET/SHA256SUMS.sig  the list's signature; signers: by which key (signing.sh)
#   TARGET/release         the release's name: its version and the first digits of SHA256SUMS' own sum, so that what is
#                          called the same is the same

STAGE="$ROOT/build/stage"
[[ -e "$ROOT/pyproject.toml" ]] || STAGE="$ROOT/stage"
readonly STAGE
readonly BOX_PARTS=(say.sh debian.sh place.sh box/state.sh box/verify.sh box/release.sh box/units.sh box/switch.sh box/commands.sh)

# Prints the one script that runs on a box.
box_script() {
    printf '#!/usr/bin/env bash\n'
    (cd "$ROOT/deploy" && cat "${BOX_PARTS[@]}")
    # shellcheck disable=SC2016 # for the box
    printf 'box "$@" </dev/null\n'
}

is_bundle() { [[ "$STAGE" == "$ROOT/stage" ]]; }

# build_wheel: puts Footfall's own wheel into the stage, and sets WHEEL and BUILDER. Once in a run.
WHEEL=""
build_wheel() {
    local python venv="$ROOT/.venv-deploy" scratch
    [[ -z "$WHEEL" ]] || return 0
    python="$(find_python "${PYTHON:-}")"
    BUILDER="$venv/bin/python"
    make_venv "$venv" "$python" deploy
    step "building the wheel"
    mkdir -p "$STAGE/wheels"
    rm -f "$STAGE"/wheels/footfall_edge-*.whl
    scratch="$(mktemp -d)"
    if ! "$BUILDER" -m pip wheel --quiet --disable-pip-version-check --no-build-isolation --no-deps \
        --wheel-dir "$scratch" "$ROOT" >"$scratch/log" 2>&1 </dev/null; then
        cat "$scratch/log" >&2
        die "the wheel could not be built; what pip said stands above"
    fi
    mv "$scratch"/*.whl "$STAGE/wheels/"
    rm -rf "$scratch"
    WHEEL="$(echo "$STAGE"/wheels/footfall_edge-*.whl)"
    rm -rf "$STAGE/systemd"
    cp -r "$ROOT/systemd" "$STAGE/systemd"
    box_script >"$STAGE/box"
}

# ./deploy.sh wheel: the package as one file, for headquarters' own machine.
wheel() {
    local made
    [[ $# -eq 0 ]] || { usage >&2; die "wheel knows no $1" 2; }
    ! is_bundle || die "a bundle has the wheel already, in stage/wheels"
    build_wheel
    mkdir -p "$ROOT/dist"
    made="$ROOT/dist/${WHEEL##*/}"
    cp "$WHEEL" "$made"
    say "$made"
    say "On headquarters' machine, in a virtual environment:  pip install -c constraints.txt '${made##*/}[headquarters]'"
}

# gather TARGET OPTIONS...: makes the stage hold the wheels for this kind of machine, and sets NAMES to their names.
gather() {
    local target="$1" said
    build_wheel
    step "gathering the wheels for $target"
    said="$("$BUILDER" "$ROOT/deploy/wheelhouse.py" --target "$target" --lock "$ROOT/constraints.lock" \
        --folder "$STAGE/wheels" "${@:2}" "$WHEEL")" || exit 1
    mapfile -t NAMES <<<"$said"
}

# name_release TARGET: writes the release's name beside its list.
name_release() {
    local version
    version="$(basename "$WHEEL" | cut -d- -f2)"
    printf '%s-%s\n' "$version" "$(sha256sum "$STAGE/$1/SHA256SUMS" | cut -c1-8)" >"$STAGE/$1/release"
}

# in_bundle TARGET: whether this is a bundle, which then has to hold this kind of machine.
in_bundle() {
    is_bundle || return 1
    [[ -e "$STAGE/$1/SHA256SUMS" ]] ||
        die "this bundle has nothing for $1; it has: $(cd "$STAGE" && echo *-cp3*). Make one with ./deploy.sh bundle --for $1"
}

# stage TARGET: makes the stage hold everything for this kind of box, or of headquarters' server (*-headquarters).
stage() {
    local target="$1" NAMES=()
    if [[ "$target" == *-headquarters ]]; then
        stage_headquarters "$target"
        return
    fi
    ! in_bundle "$target" || return 0
    gather "$target"
    mkdir -p "$STAGE/$target"
    (cd "$STAGE/wheels" && "$BUILDER" "$ROOT/deploy/programs.py" "${NAMES[@]}") >"$STAGE/$target/programs"
    (cd "$STAGE" && { printf 'wheels/%s\n' "${NAMES[@]}" && find systemd -type f && echo box; } | LC_ALL=C sort |
        xargs -d '\n' sha256sum) >"$STAGE/$target/SHA256SUMS"
    (cd "$STAGE/$target" && sha256sum programs) >>"$STAGE/$target/SHA256SUMS"
    sign_stage "$target"
    name_release "$target"
}

# payload_tar TARGET KNOWN-WHEELS: writes a tar of what a box of this kind lacks to standard output.
payload_tar() {
    local target="$1" known="$2" name files=() list
    list=("$target/SHA256SUMS" "$target/release")
    for name in SHA256SUMS.sig signers signers.sig; do
        [[ ! -e "$STAGE/$target/$name" ]] || list+=("$target/$name")
    done
    while read -r _ name; do
        [[ "$name" != programs ]] || name="$target/programs"
        [[ "$name" == wheels/* && " $known " == *" ${name#wheels/} "* ]] || files+=("$name")
    done <"$STAGE/$target/SHA256SUMS"
    tar -C "$STAGE" -cf - --owner=0 --group=0 --transform="s|^$target/||" "${list[@]}" "${files[@]}"
}

readonly BUNDLE_TARGETS=(aarch64-cp311 aarch64-cp313 x86_64-cp311 x86_64-cp313)

bundle() {
    local targets=() out="" name
    while [[ $# -gt 0 ]]; do
        case "$1" in
        --for | --out)
            [[ $# -ge 2 ]] || die "$1 needs a value" 2
            case "$1" in
            --for) targets+=("$2") ;;
            --out) out="$2" ;;
            esac
            shift 2
            ;;
        *)
            usage >&2
            die "bundle knows no $1" 2
            ;;
        esac
    done
    if is_bundle; then
        die "this is a bundle already"
    fi
    if [[ ${#targets[@]} -eq 0 ]]; then
        targets=("${BUNDLE_TARGETS[@]}")
    fi
    local target files=()
    for target in "${targets[@]}"; do
        stage "$target"
    done
    name="footfall-$(cut -d- -f1 "$STAGE/${targets[0]}/release")"
    out="${out:-$ROOT/dist/$name.tar}"
    mkdir -p "$(dirname "$out")"
    for target in "${targets[@]}"; do
        mapfile -t -O "${#files[@]}" files < <(sed -n 's|^[^ ]*  wheels/|stage/wheels/|p' "$STAGE/$target/SHA256SUMS")
        files+=("stage/$target")
    done
    [[ ! -e "$STAGE/headquarters" ]] || files+=(stage/headquarters)
    mapfile -t files < <(printf '%s\n' "${files[@]}" stage/systemd stage/box | sort -u)
    tar -cf "$out.new" --owner=0 --group=0 --transform="s|^|$name/|" -C "$ROOT" deploy.sh deploy \
        -C "$(dirname "$STAGE")" "${files[@]}"
    mv "$out.new" "$out"
    say "$out: $(du -h "$out" | cut -f1), for ${targets[*]}"
    say "On a box without a network:  tar xf ${out##*/} && sudo $name/deploy.sh install --local --config FILE"
}
