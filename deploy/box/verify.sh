# Whether a release may come onto this box: its list of digests is signed by a key that the box knows, and it isn't older
# than what has been here. Part of the script on the box.
# shellcheck shell=bash

readonly SIGNERS="$ETC/footfall/release-signers"
readonly NEWEST="$HOUSE/newest"

# verify_release INCOMING: ends with UNCHANGED if it may not come; UNSIGNED and OLDER let it come all the same.
verify_release() {
    local incoming="$1" version
    if [[ -z "${UNSIGNED:-}" ]]; then
        verify_signature "$incoming"
    fi
    version="$(<"$incoming/release")"
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
