# Whether a release may come onto this box: its list of digests is signed by a key that the box knows, what came is what
# the list names and nothing else, and it isn't older than what has been here. Part of the script on the box.
# shellcheck shell=bash

readonly SIGNERS="$ETC/footfall/release-signers"
readonly NEWEST="$HOUSE/newest"
readonly BESIDE_THE_LIST=(SHA256SUMS SHA256SUMS.sig signers signers.sig release footfall.yaml mqtt.password ca.pem)

# verify_release INCOMING: ends with UNCHANGED if it may not come; UNSIGNED and OLDER let it come all the same. The
# release that runs is none that is older, also after somebody went back to it by hand.
verify_release() {
    local incoming="$1" version
    if [[ -z "${UNSIGNED:-}" ]]; then
        verify_signature "$incoming"
    fi
    if [[ -e "$incoming/SHA256SUMS.sig" ]]; then
        verify_contents "$incoming"
    fi
    version="$(<"$incoming/release")"
    [[ "$version" != "$(in_link current)" ]] || return 0
    version="${version%-*}"
    if [[ -z "${OLDER:-}" && -e "$NEWEST" && "$version" != "$(<"$NEWEST")" ]] &&
        [[ "$(printf '%s\n' "$version" "$(<"$NEWEST")" | sort -V | head -n 1)" == "$version" ]]; then
        die "release $version is older than $(<"$NEWEST"), which has run here: an older one may have faults that are known. To take it all the same, add --older. Nothing was changed" "$UNCHANGED"
    fi
}

verify_signature() {
    local incoming="$1"
    if [[ ! -e "$SIGNERS" && ! -e "$incoming/SHA256SUMS.sig" ]]; then
        say "note: this release isn't signed, and this box knows no key yet"
        return
    fi
    command -v ssh-keygen >/dev/null ||
        die "ssh-keygen isn't installed, so the release's signature can't be checked; type: sudo apt install openssh-client. Nothing was changed" "$UNCHANGED"
    if [[ ! -e "$SIGNERS" ]]; then
        signed_by "$incoming/signers" footfall-release "$incoming/SHA256SUMS" ||
            die "what came isn't signed by the key that came with it. Nothing was changed" "$UNCHANGED"
        return
    fi
    if signed_by "$SIGNERS" footfall-release "$incoming/SHA256SUMS"; then
        return
    fi
    if signed_by "$SIGNERS" footfall-signers "$incoming/signers" &&
        signed_by "$incoming/signers" footfall-release "$incoming/SHA256SUMS"; then
        change "take the new key, which the one before has signed" put "$incoming/signers" "$SIGNERS" 644
        return
    fi
    die "this release isn't signed by a key that this box knows ($SIGNERS). Ask whoever made it; to take it all the same, add --unsigned. Nothing was changed" "$UNCHANGED"
}

# verify_contents INCOMING: each file that came is in the list and has its digest, and the release's name follows from
# the list: an old list under a new name is found out. What the box had already hasn't come; `unpack` holds it against
# the list.
verify_contents() {
    local incoming="$1" name version unlisted
    version="$(sed -n 's|^[0-9a-f]*  wheels/footfall_edge-\([^-]*\)-.*\.whl$|\1|p' "$incoming/SHA256SUMS")"
    name="$version-$(sha256sum <"$incoming/SHA256SUMS" | cut -c1-8)"
    if [[ "$name" != "$(<"$incoming/release")" ]]; then
        die "what came calls itself $(head -c 60 "$incoming/release" | LC_ALL=C tr -cd '\041-\176'), and its list is that of $name. Nothing was changed" "$UNCHANGED"
    fi
    unlisted="$(cd "$incoming" && {
        LC_ALL=C find . -mindepth 1 ! -type d -printf '%P\n' |
            grep -vxF -f <(printf '%s\n' "${BESIDE_THE_LIST[@]}" && cut -c67- SHA256SUMS)
        LC_ALL=C find . -mindepth 1 \( -name '*[!A-Za-z0-9._+@-]*' -o ! -type f ! -type d \) -print
    } | LC_ALL=C tr -cd '\012\041-\176' | head -n 3 | tr '\n' ' ')" || true
    if [[ -n "$unlisted" ]]; then
        die "files came that the list of this release doesn't name: $unlisted. Nothing was changed" "$UNCHANGED"
    fi
    (cd "$incoming" && sha256sum --quiet --check --ignore-missing SHA256SUMS >&2) ||
        die "what came isn't what the list of this release names (see above). Nothing was changed" "$UNCHANGED"
}

# signed_by SIGNERS NAMESPACE FILE: whether FILE.sig is a signature of FILE by one of SIGNERS.
signed_by() {
    local signers="$1" scratch fine=1
    [[ -e "$signers" && -e "$3.sig" ]] || return 1
    scratch="$(mktemp)"
    # A key signs for the namespaces that its line names; here it is asked for one.
    sed 's/ namespaces="[^"]*"//' "$signers" >"$scratch"
    ssh-keygen -Y verify -f "$scratch" -I footfall-release -n "$2" -s "$3.sig" <"$3" >/dev/null 2>&1 || fine=""
    rm -f "$scratch"
    [[ -n "$fine" ]]
}

# remember_release INCOMING: once it counts, its key is the one that this box knows, and none older comes without asking.
remember_release() {
    local incoming="$1" version
    version="$(<"$incoming/release")"
    if [[ ! -e "$SIGNERS" && -e "$incoming/signers" ]]; then
        put "$incoming/signers" "$SIGNERS" 644
        say "from here on this box takes releases signed by $(ssh-keygen -lf <(cut -d' ' -f3- "$SIGNERS") 2>/dev/null | cut -d' ' -f2)"
    fi
    printf '%s\n' "${version%-*}" >"$NEWEST"
}

# take_bundle FILE: installs from a bundle, as deploy.sh makes it. This script judges it, and runs nothing of it before.
take_bundle() {
    local scratch="$HOUSE/bundle" incoming="$HOUSE/incoming" target stage name status=0
    [[ -n "$(in_link current)" ]] ||
        die "Footfall isn't installed here: unpack the bundle and use its ./deploy.sh install --local" "$UNCHANGED"
    [[ -r "$1" ]] || die "there is no bundle $1, or it can't be read" "$UNCHANGED"
    trap 'rm -rf "$HOUSE/bundle" "$HOUSE/incoming"' EXIT
    rm -rf "$scratch" "$incoming"
    mkdir -p "$scratch" "$incoming"
    tar -C "$scratch" --no-same-owner -xf "$1" || die "$1 is no bundle (see above). Nothing was changed" "$UNCHANGED"
    target="$(probe | sed -n 's/^target //p')"
    stage="$(dirname "$(find "$scratch" -mindepth 3 -maxdepth 3 -path "*/stage/$target" -type d | head -n 1)")"
    [[ -e "$stage/$target/SHA256SUMS" ]] ||
        die "this bundle has nothing for $target. Make one with ./deploy.sh bundle --for $target. Nothing was changed" "$UNCHANGED"
    for name in SHA256SUMS SHA256SUMS.sig signers signers.sig release; do
        [[ ! -e "$stage/$target/$name" ]] || mv "$stage/$target/$name" "$incoming/$name"
    done
    [[ -n "${UNSIGNED:-}" ]] || verify_signature "$incoming"
    while read -r _ name; do
        [[ "/$name/" != */../* ]] || die "the list names $name, outside the release. Nothing was changed" "$UNCHANGED"
        mkdir -p "$(dirname "$incoming/$name")"
        if [[ "$name" == programs ]]; then
            mv "$stage/$target/$name" "$incoming/$name"
        elif [[ -f "$stage/$name" ]]; then
            mv "$stage/$name" "$incoming/$name"
        fi
    done <"$incoming/SHA256SUMS"
    rm -rf "$scratch"
    verify_release "$incoming"
    exec 9>&- # the installation takes the lock itself
    bash "$incoming/box" install --update ${UNSIGNED:+--unsigned} ${OLDER:+--older} "$incoming" || status=$?
    return "$status"
}
