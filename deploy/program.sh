# ./deploy.sh program. Sourced by deploy.sh.
# shellcheck shell=bash

# program: puts `footfall` on this user's PATH, with all that headquarters needs, from this checkout. Nothing runs as root
# and nothing is started; a second run changes nothing.
program() {
    local venv="$ROOT/.venv-program" bin="$HOME/.local/bin" share="${XDG_DATA_HOME:-$HOME/.local/share}" python wish=""
    while [[ $# -gt 0 ]]; do
        case "$1" in
        --python)
            [[ $# -ge 2 ]] || die "$1 needs a value" 2
            wish="$2"
            shift 2
            ;;
        *)
            usage >&2
            die "program knows no $1" 2
            ;;
        esac
    done
    if [[ -e "$bin/footfall" && ! -L "$bin/footfall" ]]; then
        die "$bin/footfall is there already and isn't a link of ours; move it away"
    fi
    python="$(find_python "$wish")"
    need_libseccomp "$python"
    make_venv "$venv" "$python" dependencies deploy headquarters
    mkdir -p "$bin" "$share/bash-completion/completions" "$share/man/man1"
    ln -sfn "$venv/bin/footfall" "$bin/footfall"
    ln -sfn "$ROOT/deploy/completion/footfall.bash" "$share/bash-completion/completions/footfall"
    ln -sfn "$ROOT/deploy/man/footfall.1" "$share/man/man1/footfall.1"
    say "$bin/footfall is $("$bin/footfall" --version), from this checkout"
    if [[ ":$PATH:" != *":$bin:"* ]]; then
        # shellcheck disable=SC2016 # for the reader's shell
        say 'This shell does not look there yet. Type:  export PATH="$HOME/.local/bin:$PATH"'
    fi
}
