"""A box is left, and taken up again without a network. Goes on with the box of test_box.py."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.system.shop import Shop, needed

pytestmark = needed


def test_uninstall_keeps_the_ledger(counting: Shop) -> None:
    """Everything is gone but ledger and config; with --purge these too."""
    first = counting.box.deploy("uninstall", counting.box.host)
    kept = counting.box.ssh("ls /var/lib/footfall /etc/footfall").stdout
    others = "-not -path '/var/log/*' -not -path '/usr/share/*' -not -path '*/systemd-private-*'"
    left = counting.box.ssh(f"find / -xdev -name '*footfall*' {others}").stdout
    again = counting.box.deploy("uninstall", counting.box.host)
    second = counting.box.deploy("uninstall", counting.box.host, "--purge")

    assert (0, 0, 0) == (first.returncode, again.returncode, second.returncode), first.stderr + second.stderr
    assert "nothing to change" in again.stderr
    assert "ledger.sqlite" in kept
    assert "footfall.yaml" in kept
    assert {"/etc/footfall", "/etc/footfall/footfall.yaml", "/var/lib/footfall"} == {
        path for path in left.splitlines() if ".service.d" not in path and not path.startswith("/sys")
    }
    assert not counting.box.ssh("ls -d /run/footfall /etc/footfall /var/lib/footfall", check=False).stdout
    assert not counting.box.ssh("getent passwd footfall-vision footfall-publisher", check=False).stdout
    assert "footfall" not in counting.box.ssh("systemctl list-units --all --no-legend 'footfall*.service'").stdout


def test_a_first_installation_that_sees_nothing(shop: Shop, tmp_path: Path) -> None:
    """Where there is no camera nothing stays started, and the last line says what to put right."""
    config = tmp_path / "footfall.yaml"
    config.write_text(shop.config.read_text().replace("door.mp4", "nothing.mp4"))
    said = shop.box.deploy("install", shop.box.host, "--config", str(config))
    print(said.stderr)

    assert 3 == said.returncode, said.stderr
    assert "nothing.mp4" in said.stderr.splitlines()[-1]
    assert "" == shop.release()
    assert not shop.box.ssh("systemctl list-units --no-legend --state=active,activating 'footfall-*.service'").stdout
    assert 0 == shop.box.deploy("uninstall", shop.box.host, "--purge").returncode


def test_a_bundle_on_a_stick(shop: Shop, tmp_path: Path) -> None:
    """
    One file, unpacked on a box that nobody reaches, installs with --local. With the units as they are released,
    `footfall privacy` is green, and names the release and its signature.
    """
    shop.box.ssh("rm -r /etc/systemd/system/footfall-*.service.d; systemctl daemon-reload")
    target = shop.box.ssh("python3 -c 'import sys; print(\"x86_64-cp3%d\" % sys.version_info[1])'").stdout.strip()
    made = shop.box.deploy("bundle", "--for", target, "--out", str(tmp_path / "stick.tar"))
    assert 0 == made.returncode, made.stderr
    print(made.stderr)
    shutil.copy(tmp_path / "stick.tar", shop.box.root / "home/tech/stick.tar")
    shutil.copy(shop.config, shop.box.root / "home/tech/footfall.yaml")
    said = shop.box.ssh(
        "cd /home/tech && tar xf stick.tar && footfall-*/deploy.sh install --local --config footfall.yaml",
        check=False,
        timeout_s=900,
    )
    print(said.stderr)

    assert 0 == said.returncode, said.stderr
    assert 0 == shop.box.deploy("status", shop.box.host).returncode
    with shop.witness.away():
        told = shop.box.ssh("footfall privacy", check=False)
    print(told.stdout)
    assert 0 == told.returncode, told.stdout + told.stderr
    verdict = told.stdout.splitlines()[-1]
    assert verdict.startswith("Pictures can't leave")
    assert f"the programs are those of release {shop.release()}, digest " in verdict
    assert verdict.endswith(", signed.")
