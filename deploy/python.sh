# Pythons and virtual environments on the machine that deploy.sh runs on. Sourced by deploy.sh.
# shellcheck shell=bash

fits() {
    "$1" -c "import sys; sys.exit(not (3, $OLDEST_PYTHON) <= sys.version_info[:2] <= (3, $NEWEST_PYTHON))" \
        >/dev/null 2>&1
}

# find_python [PROGRAM]: prints the path of a Python that fits, PROGRAM if it was given.
find_python() {
    local minor name
    if [[ -n "${1:-}" ]]; then
        fits "$1" || die "$1 is no Python 3.$OLDEST_PYTHON to 3.$NEWEST_PYTHON"
        command -v "$1"
        return
    fi
    if ! command -v python3 >/dev/null; then
        apt_install python3 python3-venv || die "Footfall needs Debian's python3 and python3-venv"
    fi
    for name in python3 $(for ((minor = NEWEST_PYTHON; minor >= OLDEST_PYTHON; minor--)); do echo "python3.$minor"; done); do
        if command -v "$name" >/dev/null && fits "$name"; then
            command -v "$name"
            return
        fi
    done
    die "Footfall runs on Python 3.$OLDEST_PYTHON to 3.$NEWEST_PYTHON, and this machine has $(python3 --version 2>&1); Debian 12 and 13 bring one that fits"
}

# make_stamp EXTRAS PYTHON: prints what a virtual environment depends on, as one number.
make_stamp() {
    {
        cat "$ROOT/pyproject.toml" "$ROOT/constraints.txt"
        "$2" -c 'import sys; print(sys.version, sys.base_prefix)'
        printf '%s %s\n' "$1" "$ROOT"
    } | sha256sum | cut -d' ' -f1
}

# make_venv FOLDER EXTRAS PYTHON: a virtual environment with this checkout installed in it, as constraints.txt pins it.
make_venv() {
    fill_venv "$1" "$(make_stamp "$2" "$3")" "$3" -e "$ROOT${2:+[$2]}"
}

# fill_venv FOLDER STAMP PYTHON PIP-ARGUMENTS...: a virtual environment with what pip is told to install, as
# constraints.txt pins it. Built again only when the pins, the package's needs or the Python changed.
fill_venv() {
    local venv="$1" stamp="$2" python="$3"
    shift 3
    if [[ -x "$venv/bin/python" && "$(cat "$venv/footfall-stamp" 2>/dev/null)" == "$stamp" ]]; then
        return
    fi
    if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
        apt_install python3-venv || die "$python can't make virtual environments without Debian's python3-venv"
        "$python" -c 'import ensurepip, venv' 2>/dev/null || die "$python can't make virtual environments: it has no ensurepip"
    fi
    step "making a virtual environment in ${venv#"$ROOT"/} with $("$python" --version)"
    rm -rf "$venv"
    "$python" -m venv "$venv"
    step "installing the packages that constraints.txt pins; up to 120 MB to fetch the first time"
    if ! "$venv/bin/python" -m pip install --disable-pip-version-check --progress-bar off \
        -c "$ROOT/constraints.txt" "$@" 2>&1 </dev/null | tee "$venv/pip.log" | show_moving; then
        tail -n 30 "$venv/pip.log" >&2
        die "pip could not install the packages; what it said stands above"
    fi
    printf '%s\n' "$stamp" >"$venv/footfall-stamp"
}

need_libseccomp() {
    "$1" -c 'import ctypes; ctypes.CDLL("libseccomp.so.2")' 2>/dev/null && return
    apt_install libseccomp2 || die "the process that sees can't be sealed without Debian's libseccomp2"
}
