# Who vouches for a release: the list of digests that a box is sent is signed, and says what every package puts on the
# disk. Sourced by deploy.sh.
# shellcheck shell=bash
#
# The key is made when it is first needed, and lies outside the checkout. Whoever has it decides what runs on the boxes:
# keep a copy of it where no box and no build machine can reach it. docs/operations.md says how to change it.

readonly RELEASE_KEY="${FOOTFALL_RELEASE_KEY:-${XDG_CONFIG_HOME:-$HOME/.config}/footfall/release-key}"

# need_release_key: makes the key that signs releases if there is none yet.
need_release_key() {
    [[ ! -e "$RELEASE_KEY" ]] || return 0
    mkdir -p "$(dirname "$RELEASE_KEY")"
    ssh-keygen -q -t ed25519 -N "" -C footfall-release -f "$RELEASE_KEY" ||
        die "the key that signs releases could not be made: $RELEASE_KEY"
    say "made the key that signs releases: $RELEASE_KEY. Keep a copy: boxes take releases signed by it alone"
}

# sign_stage TARGET: signs what a box of this kind is sent: TARGET/SHA256SUMS.sig, and TARGET/signers beside it.
sign_stage() {
    local folder="$STAGE/$1"
    need_release_key
    rm -f "$folder/SHA256SUMS.sig"
    ssh-keygen -q -Y sign -f "$RELEASE_KEY" -n footfall-release "$folder/SHA256SUMS" 2>/dev/null ||
        die "the list of digests could not be signed with $RELEASE_KEY"
    printf 'footfall-release namespaces="footfall-release" %s\n' "$(cut -d' ' -f1,2 "$RELEASE_KEY.pub")" >"$folder/signers"
    # Signed by the key before it, if there is one: a box that knows only that one then takes the new one.
    rm -f "$folder/signers.sig"
    if [[ -e "$RELEASE_KEY.before" ]]; then
        ssh-keygen -q -Y sign -f "$RELEASE_KEY.before" -n footfall-signers "$folder/signers" 2>/dev/null ||
            die "the new key could not be signed with $RELEASE_KEY.before"
    fi
}
