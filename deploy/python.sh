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

# list_requirements PYTHON GROUP...: prints what pyproject.toml asks for, one requirement a line. A group is the name
# of an extra, or `dependencies` for the package's own.
list_requirements() {
    "$1" - "$ROOT/pyproject.toml" "${@:2}" <<'PYTHON'
import sys
import tomllib

with open(sys.argv[1], "rb") as file:
    project = tomllib.load(file)["project"]
groups = {"dependencies": project["dependencies"], **project["optional-dependencies"]}
for group in sys.argv[2:]:
    print("\n".join(groups[group]))
PYTHON
}

# make_stamp PYTHON GROUP...: prints what a virtual environment depends on, as one number. The settings of linters and
# tests in pyproject.toml aren't part of it.
make_stamp() {
    {
        sed '/^\[tool\./,$d' "$ROOT/pyproject.toml"
        cat "$ROOT/constraints.lock"
        "$1" -c 'import sys; print(sys.version, sys.base_prefix)'
        printf '%s\n' "$ROOT" "${@:2}"
    } | sha256sum | cut -d' ' -f1
}

# check_digests FOLDER: each file in it is one that constraints.lock names. Wheels for 32-bit ARM come from Raspberry
# Pi OS's own index, which builds them itself and so isn't in the lock: FOOTFALL_UNLOCKED_WHEELS=1 lets them come.
check_digests() {
    local digest name
    [[ "$(uname -m)" != armv7l || -z "${FOOTFALL_UNLOCKED_WHEELS:-}" ]] || return 0
    while read -r digest name; do
        grep -q -- "--hash=sha256:$digest" "$ROOT/constraints.lock" ||
            die "$name is not the file that constraints.lock names; nothing of it was installed. Is the package index the right one?"
    done < <(cd "$1" && sha256sum -- *)
}

# run_pip FOLDER ARGUMENTS...: runs the pip of the virtual environment in FOLDER, and shows what it said if it fails.
run_pip() {
    local venv="$1"
    shift
    if ! "$venv/bin/python" -m pip "$@" --disable-pip-version-check --progress-bar off 2>&1 </dev/null |
        tee "$venv/pip.log" | show_moving; then
        tail -n 30 "$venv/pip.log" >&2
        die "pip could not install the packages; what it said stands above"
    fi
}

# make_venv FOLDER PYTHON GROUP...: a virtual environment with these groups of requirements, in the versions and with
# the digests of constraints.lock; with the group `dependencies`, this checkout too. Built again only when the pins,
# the requirements or the Python changed.
make_venv() {
    local venv="$1" python="$2" stamp
    shift 2
    stamp="$(make_stamp "$python" "$@")"
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
    list_requirements "$python" "$@" >"$venv/requirements.txt"
    step "fetching the packages that constraints.lock names; up to 120 MB the first time"
    run_pip "$venv" download --only-binary=:all: --constraint "$ROOT/constraints.txt" \
        --requirement "$venv/requirements.txt" --dest "$venv/wheels"
    check_digests "$venv/wheels"
    step "installing them"
    run_pip "$venv" install --no-index --no-deps "$venv"/wheels/*.whl
    rm -rf "$venv/wheels"
    if [[ " $* " == *" dependencies "* ]]; then
        run_pip "$venv" install --no-index --no-deps --no-build-isolation --editable "$ROOT"
    fi
    printf '%s\n' "$stamp" >"$venv/footfall-stamp"
}

need_libseccomp() {
    "$1" -c 'import ctypes; ctypes.CDLL("libseccomp.so.2")' 2>/dev/null && return
    apt_install libseccomp2 || die "the process that sees can't be sealed without Debian's libseccomp2"
}
