"""
What goes wrong on a box that counts: broken releases, a config that can't be used, a camera that is away, a network
that drops, two technicians at once, and the plug. Goes on with the box of test_box.py.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import time

import pytest

from tests.system.boxes import FOLDER, wait_until
from tests.system.shop import Shop, needed
from tests.system.versions import Version

pytestmark = needed
CUTS = int(os.environ.get("FOOTFALL_SYSTEM_CUTS", "3"))


def broken_model(version: Version) -> None:
    (version.folder / "models" / "head.tflite").write_bytes(b"not a model")


def broken_unit(version: Version) -> None:
    version.change("systemd/footfall-vision@.service", "^User=.*", "User=nobody-knows")


def publisher_crashes(version: Version) -> None:
    version.change("edge/publisher/process.py", "^    read_password", '    raise OSError("boom")\n    read_password')


def vision_says_nothing(version: Version) -> None:
    summary = '        """Write one record, whole or not at all."""'
    version.change("edge/vision/odometer.py", f"^{summary}$", f"{summary}\n        return")


@pytest.mark.parametrize(
    ("damage", "code", "reason"),
    [
        (broken_model, 1, "can't count on this machine"),
        (broken_unit, 3, "footfall-vision@door.service does not start"),
        (publisher_crashes, 3, "footfall-publisher.service does not start"),
        (vision_says_nothing, 3, "no reading of camera door"),
    ],
    ids=lambda part: getattr(part, "__name__", ""),
)  # fmt: skip
def test_a_broken_release_goes_back(counting: Shop, damage: object, code: int, reason: str) -> None:
    """What doesn't count here isn't kept: the release before counts again, the reason is said, and no count is lost."""
    before = counting.release()
    counting.version.set("0.3.0")
    damage(counting.version)  # type: ignore[operator]
    said = counting.update(code)

    assert reason in said
    assert before == counting.release()
    assert 0 == counting.box.deploy("status", counting.box.host).returncode
    counting.settle()


def test_a_config_that_can_not_be_used(counting: Shop) -> None:
    """
    It stops vision for good instead of starting it again and again; an update leaves all as it is and says why; when
    it is mended the same command brings the box back.
    """
    config = counting.box.root / "etc/footfall/footfall.yaml"
    good = config.read_text()
    before = counting.release()
    config.write_text(good.replace("site:", "sight:"))
    counting.box.ssh("systemctl restart --no-block footfall-vision@door")
    wait_until(lambda: counting.told("footfall-vision@door", "ActiveState") == ["failed"], "vision to give up", 60)
    restarts, code = counting.told("footfall-vision@door", "NRestarts", "ExecMainStatus")
    counting.version.set("0.2.1")
    said = counting.update(1)
    config.write_text(good)
    again = counting.box.deploy("install", counting.box.host)

    assert ("0", "78") == (restarts, code)
    assert "the config can't be used (see above)" in said
    assert "sight" in said
    assert before == counting.release()
    assert 0 == again.returncode, again.stderr
    assert "start what isn't running" in again.stderr
    counting.settle()


def test_a_camera_that_is_away_holds_up_no_update(counting: Shop) -> None:
    """It isn't waited for, which is said; when it is back, it is counted without anybody's doing."""
    clip = counting.box.root / FOLDER.lstrip("/") / "door.mp4"
    clip.rename(clip.with_suffix(".away"))
    counting.box.ssh("systemctl restart --no-block footfall-vision@door")
    wait_until(lambda: counting.told("footfall-vision@door", "ExecMainStatus") == ["74"], "vision to miss it", 60)
    counting.version.set("0.2.2")
    said = counting.update()
    clip.with_suffix(".away").rename(clip)
    counting.counting()

    assert counting.release().startswith("0.2.2-")
    assert "not counting before, and not waited for: door" in said
    counting.settle()


def test_a_dropped_ssh_and_a_second_technician(counting: Shop) -> None:
    """An update whose ssh and deploy.sh are killed ends all the same; meanwhile nobody else can disturb it."""
    before = counting.release()
    counting.version.set("0.2.3")
    update = counting.begin_update()
    counting.under_trial(before)
    counting.box.ssh("systemctl kill --signal=STOP --kill-whom=main footfall-deploy")
    os.killpg(update.pid, signal.SIGKILL)
    update.communicate()
    other = counting.box.deploy("install", counting.box.host)
    counting.box.ssh("systemctl kill --signal=CONT --kill-whom=main footfall-deploy")
    wait_until(lambda: not (counting.box.root / "opt/footfall/trial").exists(), "the trial to end", 300)
    counting.counting()

    assert 1 == other.returncode
    assert "another installation is running on this box" in other.stderr
    assert counting.release().startswith("0.2.3-")
    counting.settle()


def test_a_killed_update_goes_back_at_once(counting: Shop) -> None:
    """SIGKILL for the script on the box while a release is on trial: systemd goes back, without a boot."""
    before = counting.release()
    counting.version.set("0.5.0")
    vision_says_nothing(counting.version)
    update = counting.begin_update()
    counting.under_trial(before)
    counting.box.ssh("systemctl kill --signal=KILL --kill-whom=main footfall-deploy")
    said = update.communicate()[1]
    counting.counting()

    assert 1 == update.returncode
    assert f"this was cut off on the box; {before} goes on" in said
    assert before == counting.release()


def test_a_power_cut_inside_a_trial(counting: Shop) -> None:
    """Power fails while a broken release is on trial: after the boot, the one before counts."""
    before = counting.release()
    counting.version.set("0.4.0")
    vision_says_nothing(counting.version)
    update = counting.begin_update()
    counting.under_trial(before)
    counting.box.kill()
    update.communicate()
    counting.box.boot()
    counting.counting()

    assert 5 == update.returncode
    assert before == counting.release()
    assert not (counting.box.root / "opt/footfall/trial").exists()
    assert "went back from 0.4.0" in counting.box.ssh("cat /opt/footfall/history").stdout


def test_power_cuts_at_any_moment_of_an_update(counting: Shop) -> None:
    """Whenever power fails, the box counts after the boot, with the old release or the new; then the update goes on."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    took_s = 60.0
    for number in range(CUTS):
        before = counting.release()
        counting.version.set(f"0.6.{number}")
        update = counting.begin_update()
        wait_until((counting.box.root / "opt/footfall/incoming/release").exists, "it to begin on the box", 600)
        after_s = chance.uniform(0, took_s)
        time.sleep(after_s)
        counting.box.kill()
        update.communicate()
        counting.box.boot()
        counting.counting()
        found = counting.release()
        print(f"cut after {after_s:.1f} s: {found}")

        assert found == before or found.startswith(f"0.6.{number}-")
        began = time.monotonic()
        counting.update()
        took_s = time.monotonic() - began
        assert counting.release().startswith(f"0.6.{number}-")


def test_pulling_the_plug_loses_nothing_that_was_written(counting: Shop) -> None:
    """Power fails while counting: after the boot hours go on, and only what came after the last reading is missing."""
    wait_until(lambda: len(counting.hq.hours()) >= 3, "hours", 300)
    before = counting.hq.hours()
    counting.box.kill()
    counting.box.boot()
    wait_until(lambda: len(counting.hq.hours()) > len(before) + 1, "hours after the boot", 300)
    after = counting.hq.hours()

    for start, hour in list(before.items())[:-1]:
        assert json.dumps(hour) == json.dumps(after[start]), start


def test_a_read_only_root(counting: Shop) -> None:
    """With nothing writable but the ledger's folder the box counts, and headquarters hears of it."""
    counting.box.kill()
    state = counting.box.scratch / "state"
    shutil.copytree(counting.box.root / "var/lib/footfall", state)
    owner = (counting.box.root / "var/lib/footfall").stat()
    for path in (state, *state.iterdir()):
        os.chown(path, owner.st_uid, owner.st_gid)
    heard = len(counting.hq.hours())
    counting.box.boot("--read-only", f"--bind={state}:/var/lib/footfall", "--tmpfs=/tmp")
    wait_until(lambda: len(counting.hq.hours()) > heard + 1, "hours from a read-only box", 300)

    assert counting.box.ssh("touch /etc/x", check=False).returncode != 0
    assert ["sealed"] == counting.told("footfall-vision@door", "StatusText")
    counting.box.kill()
    counting.box.boot()
