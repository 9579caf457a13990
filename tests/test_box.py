"""
The script on the box, cut off at every command of a switch: what is there afterwards works.

The real script in a folder of its own (FOOTFALL_PREFIX) on a machine that seems to run no systemd. A trap before each
command kills it where the test says, as a power cut would; then the script runs as it does at boot.
"""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.processes

ROOT = Path(__file__).parent.parent
OLD, NEW = "0.1.0-aaaaaaaa", "0.2.0-bbbbbbbb"
EVERY_STEP = os.environ.get("FOOTFALL_EVERY_STEP") == "1"
SAMPLE = 25
KILLED = -9

_CUT_AT = """
source "$1"
systemd_runs() { false; }
check_clock() { :; }
sync() { :; } # it would wait for the whole machine
step=0
die_here() { step=$((step + 1)); if [[ $step -eq $CUT ]]; then kill -9 $$; fi; }
if [[ $CUT -ge 0 ]]; then set -T; trap die_here DEBUG; fi
box "${@:2}" </dev/null
trap - DEBUG
echo "$step" >"$PREFIX/steps"
"""


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """Make a box with OLD installed and NEW unpacked, and what deploy.sh would send of NEW."""
    script = subprocess.run(
        ["bash", "-c", f"source {ROOT}/deploy.sh; box_script"], check=True, capture_output=True, text=True
    ).stdout
    (tmp_path / "box").write_text(script.replace('\nbox "$@" </dev/null\n', "\n"), encoding="utf-8")
    made = tmp_path / "house"
    unpack(made, OLD)
    (made / "etc/footfall").mkdir(parents=True)
    (made / "etc/footfall/footfall.yaml").write_text("anything")
    incoming = tmp_path / "incoming"
    shutil.copytree(ROOT / "systemd", incoming / "systemd")
    (incoming / "box").write_text(script)
    (incoming / "release").write_text(OLD + "\n")
    assert 0 == run(tmp_path, "install").returncode
    (incoming / "release").write_text(NEW + "\n")
    unpack(made, NEW)
    return tmp_path


def unpack(house: Path, release: str) -> None:
    """Make what an unpacked release looks like; NEW has one unit more, and reads a camera more from the config."""
    folder = house / "opt/footfall/releases" / release
    shutil.copytree(ROOT / "systemd", folder / "systemd")
    (folder / "bin").mkdir()
    cameras = ["door-a"] if release == OLD else ["door-a", "door-b"]
    if release == NEW:
        (folder / "systemd/footfall-extra.service").write_text("[Service]\nExecStart=/bin/true\n")
    (folder / "bin/footfall").write_text("#!/bin/sh\n" + "".join(f"echo {camera}\n" for camera in cameras))
    (folder / "bin/footfall").chmod(0o755)
    (folder / "complete").touch()


def run(folder: Path, *arguments: str, cut: int = -1, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run the script on the box; die before its *cut*th command. Programs in *path* come before the machine's own."""
    command = [*arguments, str(folder / "incoming")] if arguments[0] == "install" else arguments
    return subprocess.run(
        ["bash", "-c", _CUT_AT, "bash", folder / "box", *command],
        check=False,
        capture_output=True,
        text=True,
        timeout=300,
        env={
            **os.environ,
            "FOOTFALL_PREFIX": str(folder / "house"),
            "CUT": str(cut),
            "PATH": f"{path or ''}:{os.environ['PATH']}",
        },
    )


def looks_like(folder: Path, release: str) -> None:
    """Assert that a boot runs this release, whole: program, units, cameras."""
    house = folder / "house/opt/footfall"
    units = folder / "house/etc/systemd/system"
    cameras = {"door-a"} if release == OLD else {"door-a", "door-b"}
    wants = {link.name for link in (units / "footfall.target.wants").iterdir() if not link.name.endswith(".new")}

    assert f"releases/{release}" == str((house / "current").readlink())
    assert (house / "current/complete").exists()
    assert not (house / "trial").exists()
    assert {"footfall-publisher.service"} | {
        part.format(camera) for camera in cameras for part in ("footfall-vision@{}.service", "footfall-diode@{}.socket")
    } == wants
    for unit in (house / "current/systemd").glob("*.*"):
        if unit.is_file():
            assert f"/opt/footfall/current/systemd/{unit.name}" == str((units / unit.name).readlink())


def test_a_switch_that_is_not_cut_off(house: Path) -> None:
    """The new release is current, the old one is the one to go back to, and nothing else is kept."""
    said = run(house, "install")

    assert 0 == said.returncode, said.stderr
    looks_like(house, NEW)
    assert f"releases/{OLD}" == str((house / "house/opt/footfall/previous").readlink())


def test_a_second_run_changes_nothing(house: Path) -> None:
    """Installing what is installed says so step by step: there is none."""
    run(house, "install")
    said = run(house, "install")

    assert (0, []) == (said.returncode, [line for line in said.stderr.splitlines() if line.startswith("->")])


def test_the_tab_key_is_told_of_the_command(house: Path) -> None:
    """Command, completion and manual are links through the release that runs; taking it off takes all along."""
    run(house, "install")
    links = [
        house / "house/usr/local/bin/footfall",
        house / "house/usr/local/share/bash-completion/completions/footfall",
        house / "house/usr/local/share/man/man1/footfall.1",
    ]

    assert ["bin/footfall", "share/bash-completion/completions/footfall", "share/man/man1/footfall.1"] == [
        str(link.readlink()).removeprefix("/opt/footfall/current/") for link in links
    ]
    run(house, "uninstall")
    assert not [link for link in links if link.is_symlink()]


def test_what_is_brought_is_written_once(house: Path, tmp_path: Path) -> None:
    """Config, password and authority are written where there are none, with their rights, and kept where there are."""
    folder, incoming = tmp_path / "house/etc/footfall", tmp_path / "incoming"
    for name in ("footfall.yaml", "mqtt.password", "ca.pem"):
        (incoming / name).write_text("first")
    run(house, "install")
    (incoming / "ca.pem").write_text("second")
    again = run(house, "install")
    written = {file.name: (file.read_text(), f"{file.stat().st_mode & 0o777:o}") for file in folder.iterdir()}

    assert {
        "footfall.yaml": ("anything", "644"),
        "mqtt.password": ("first", "600"),
        "ca.pem": ("first", "644"),
    } == written
    assert "ca.pem is there already and is kept" in again.stderr


def test_there_and_back(house: Path) -> None:
    """Rollback takes units and cameras of the release before, and a second one goes forward again."""
    run(house, "install")
    back = run(house, "rollback")
    looks_like(house, OLD)
    forward = run(house, "rollback")
    looks_like(house, NEW)

    assert (0, 0) == (back.returncode, forward.returncode)


def test_power_cut_at_any_command(house: Path, tmp_path: Path) -> None:
    """Wherever the script dies, the next boot runs a whole release, and the same command then brings the new one."""
    run(house, "install", cut=1_000_000)
    steps = int((tmp_path / "house/steps").read_text())
    run(house, "rollback")
    seed = random.randrange(2**32)
    print(f"seed {seed}, {steps} commands")
    cuts = range(1, steps) if EVERY_STEP else sorted(random.Random(seed).sample(range(1, steps), SAMPLE))
    kept = tmp_path / "kept"
    shutil.copytree(tmp_path / "house", kept, symlinks=True)
    unfinished = 0
    for cut in cuts:
        shutil.rmtree(tmp_path / "house")
        shutil.copytree(kept, tmp_path / "house", symlinks=True)

        assert KILLED == run(house, "install", cut=cut).returncode, cut

        unfinished += (tmp_path / "house/opt/footfall/trial").exists()
        recovered = run(house, "recover-update", "--boot")

        assert 0 == recovered.returncode, (cut, recovered.stderr)
        current = str((tmp_path / "house/opt/footfall/current").readlink()).removeprefix("releases/")
        looks_like(house, current)
        assert 0 == run(house, "install").returncode, cut
        looks_like(house, NEW)
    print(f"{len(cuts)} cuts, {unfinished} of them inside a trial")


def test_a_first_installation_that_is_cut_off(house: Path, tmp_path: Path) -> None:
    """With nothing to go back to, nothing is started at boot, and the same command finishes the work."""
    run(house, "install", cut=1_000_000)
    steps = int((tmp_path / "house/steps").read_text())
    home = tmp_path / "house/opt/footfall"
    for cut in random.Random(steps).sample(range(1, steps), 8):
        shutil.rmtree(tmp_path / "house")
        unpack(tmp_path / "house", NEW)
        (tmp_path / "house/etc/footfall").mkdir(parents=True)
        (tmp_path / "house/etc/footfall/footfall.yaml").write_text("anything")
        run(house, "install", cut=cut)
        run(house, "recover-update", "--boot")
        started = (tmp_path / "house/etc/systemd/system/multi-user.target.wants/footfall.target").is_symlink()

        assert started == (home / "current").is_symlink(), cut
        assert 0 == run(house, "install").returncode
        looks_like(house, NEW)


@pytest.mark.parametrize("purge", [False, True])
def test_an_uninstallation_that_is_cut_off(house: Path, tmp_path: Path, *, purge: bool) -> None:
    """The same command goes on where it was cut off, and leaves nothing but what it says."""
    arguments = ["uninstall", *(["--purge"] if purge else [])]
    root = tmp_path / "house"
    (root / "var/lib/footfall").mkdir(parents=True)
    (root / "var/lib/footfall/ledger.sqlite").write_text("counts")
    kept = tmp_path / "kept"
    shutil.copytree(root, kept, symlinks=True)
    run(house, *arguments, cut=1_000_000)
    steps = int((root / "steps").read_text())
    for cut in random.Random(steps).sample(range(1, steps), 4):
        shutil.rmtree(root)
        shutil.copytree(kept, root, symlinks=True)
        run(house, *arguments, cut=cut)
        said = run(house, *arguments)
        left = {str(path.relative_to(root)) for path in root.rglob("*") if not path.is_dir() or path.is_symlink()}

        assert 0 == said.returncode, (cut, said.stderr)
        assert left - {"run/lock/footfall-deploy", "steps"} == (
            set() if purge else {"etc/footfall/footfall.yaml", "var/lib/footfall/ledger.sqlite"}
        ), cut


@pytest.fixture
def arrived(house: Path) -> Path:
    """Make NEW something that has come and isn't unpacked, of which the box had a wheel already."""
    shutil.rmtree(house / "house/opt/footfall/releases" / NEW)
    wheel = house / "house/opt/footfall/wheels/numpy-2.whl"
    wheel.parent.mkdir()
    wheel.write_text("a wheel")
    (house / "incoming/wheels").mkdir()
    sums = f"{hashlib.sha256(b'a wheel').hexdigest()}  wheels/numpy-2.whl\n"
    (house / "incoming/SHA256SUMS").write_text(sums)
    return house


def test_a_wheel_that_the_card_has_spoilt(arrived: Path) -> None:
    """What was kept is held against its sum; nothing is changed, and kept wheels are sent anew the next time."""
    home = arrived / "house/opt/footfall"
    (home / "wheels/numpy-2.whl").write_text("a wheeze")
    said = run(arrived, "install")
    probed = run(arrived, "probe")

    assert 1 == said.returncode
    assert "wheels/numpy-2.whl: FAILED" in said.stderr
    assert "run the same again, and all of it is sent anew. Nothing was changed" in said.stderr
    assert "wheel " not in probed.stdout
    looks_like(arrived, OLD)


def test_a_card_without_room(arrived: Path, tmp_path: Path) -> None:
    """Releases that failed are thrown away before room is looked for; where there is too little, nothing is changed."""
    home = arrived / "house/opt/footfall"
    unpack(arrived / "house", "0.1.9-cccccccc")
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "df").write_text("#!/bin/sh\nprintf 'Filesystem\\n/dev/x 999 100 899 1%% /\\n'\n")
    (programs / "df").chmod(0o755)
    said = run(arrived, "install", path=programs)

    assert 1 == said.returncode
    assert "there are 899 MB free under" in said.stderr
    assert [OLD] == [path.name for path in (home / "releases").iterdir()]
    looks_like(arrived, OLD)


def recovers(folder: Path, name: str) -> bool:
    """Tell whether the unit that goes back from an interrupted update is there and enabled under this name."""
    units = folder / "house/etc/systemd/system"
    link = units / "multi-user.target.wants" / name
    return link.is_symlink() and f"../{name}" == str(link.readlink()) and (units / name).is_file()


def as_865bbaf_left_it(folder: Path) -> None:
    """Give the recovery unit the name that it had until release 865bbaf."""
    units = folder / "house/etc/systemd/system"
    (units / "footfall-recover-update.service").rename(units / "footfall-settle.service")
    (units / "multi-user.target.wants/footfall-recover-update.service").unlink()
    (units / "multi-user.target.wants/footfall-settle.service").symlink_to("../footfall-settle.service")


def test_the_recovery_units_old_name_is_taken_along(house: Path, tmp_path: Path) -> None:
    """A box of 865bbaf gets the unit under its new name and loses the old one; at each moment one of them is whole."""
    as_865bbaf_left_it(house)
    kept = tmp_path / "kept"
    shutil.copytree(tmp_path / "house", kept, symlinks=True)
    run(house, "install", cut=1_000_000)
    steps = int((tmp_path / "house/steps").read_text())
    at_the_end = recovers(house, "footfall-recover-update.service"), recovers(house, "footfall-settle.service")
    seed = random.randrange(2**32)
    print(f"seed {seed}, {steps} commands")
    cuts = range(1, steps) if EVERY_STEP else sorted(random.Random(seed).sample(range(1, steps), SAMPLE))
    for cut in cuts:
        shutil.rmtree(tmp_path / "house")
        shutil.copytree(kept, tmp_path / "house", symlinks=True)
        run(house, "install", cut=cut)

        assert recovers(house, "footfall-recover-update.service") or recovers(house, "footfall-settle.service"), cut

    assert (True, False) == at_the_end
    assert not list((tmp_path / "house/etc/systemd/system").rglob("footfall-settle.service.new"))


def test_the_old_units_command_still_goes_back(house: Path) -> None:
    """After a power cut before the unit is renamed, the script that is there knows what 865bbaf's unit calls."""
    assert 0 == run(house, "settle", "--boot").returncode


def test_nothing_of_it_stays(house: Path) -> None:
    """Uninstalling takes the recovery unit under both names."""
    as_865bbaf_left_it(house)
    run(house, "install")
    as_865bbaf_left_it(house)

    assert 0 == run(house, "uninstall").returncode
    assert not list((house / "house/etc/systemd/system").rglob("footfall-settle*"))
    assert not list((house / "house/etc/systemd/system").rglob("footfall-recover-update*"))
