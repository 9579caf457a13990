#!/usr/bin/env bash
# Writes both lists of pinned packages from pyproject.toml:
#
#   constraints.txt    the versions that are tested, for people and for `pip install -c`
#   constraints.lock   the same with the SHA-256 of each file; deploy.sh and tests/run.sh install nothing else
#
#   deploy/lock.sh             keeps every pin that still fits, adds what is new, drops what nothing needs any more
#   deploy/lock.sh --upgrade   takes the newest version of everything
#
# For Python 3.11 to 3.13 on x86-64, 64-bit ARM and 32-bit ARM. Needs a network; uv comes into a temporary environment.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

scratch="$(mktemp -d)"
trap 'rm -rf "$scratch"' EXIT
python3 -m venv "$scratch/venv"
"$scratch/venv/bin/python" -m pip install --quiet --disable-pip-version-check uv

# The first two lines keep the old numpy and OpenCV of 32-bit ARM from becoming everybody's: with one pin for all, the
# oldest would win. The third is a bound that uv ignores: backports-strenum 1.3 needs a Python older than 3.11.
cat >"$scratch/bounds.in" <<'LIST'
numpy>=2; platform_machine != 'armv7l'
opencv-python-headless>=4.12; platform_machine != 'armv7l'
backports-strenum<1.3; platform_machine != 'armv7l'
LIST

kept=(--constraints constraints.txt)
[[ "${1:-}" != --upgrade ]] || kept=(--upgrade)
"$scratch/venv/bin/uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes \
    --extra test --extra demo --extra deploy --extra headquarters --extra docs \
    --no-annotate --no-header --no-emit-index-url --no-emit-find-links "${kept[@]}" \
    pyproject.toml "$scratch/bounds.in" --output-file "$scratch/lock" >/dev/null

{
    echo "# What is tested, with the digest of each file. Written by deploy/lock.sh, never by hand."
    cat "$scratch/lock"
} >constraints.lock
{
    echo "# What is tested, pinned: pip install -c constraints.txt '.[test,demo,deploy,headquarters,docs]'"
    echo "# Written by deploy/lock.sh from pyproject.toml; a pin that is changed here is kept by the next run."
    sed -n 's/ \\$//; /^[a-z]/p' "$scratch/lock"
} >constraints.txt
