"""`footfall check` and `footfall bench` as a technician starts them: real processes, sealed ones among them."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from edge.config import schema
from edge.core.clock import KernelClock
from edge.core.errors import MeasuringFailed
from edge.core.tally import Flag
from edge.publisher.ledger.view import Pace
from edge.technician import measuring
from edge.technician.check import camera as check_camera
from edge.technician.check import check
from edge.technician.check.check_result import CheckResult
from edge.technician.measuring import Look
from edge.vision import measurement
from tests.publisher.rig import lives, wait_until
from tests.technician.rig import REPOSITORY, Books, footfall, write_config

pytestmark = pytest.mark.processes

PLAIN = {"NO_COLOR": "1"}


def clip(folder: Path, pattern: str, fps: int = 15) -> Path:
    """Make a clip of a few seconds with OpenCV, whose wheel is there anyway; *pattern* is noise or a grey level."""
    path = folder / "clip.avi"
    program = (
        "import sys, cv2, numpy as np\n"
        "path, pattern, fps = sys.argv[1], sys.argv[2], float(sys.argv[3])\n"
        "out = cv2.VideoWriter(path, cv2.VideoWriter.fourcc(*'MJPG'), fps, (320, 240))\n"
        "rng = np.random.default_rng(1)\n"
        "for _ in range(int(4 * fps)):\n"
        "    noise = rng.integers(0, 256, (240, 320, 3), np.uint8)\n"
        "    out.write(noise if pattern == 'noise' else np.full((240, 320, 3), int(pattern), np.uint8))\n"
        "out.release()\n"
    )
    subprocess.run([sys.executable, "-c", program, path, pattern, str(fps)], check=True)
    return path


def found_in(run: subprocess.CompletedProcess[str]) -> dict[str, dict[str, str]]:
    """Return the findings of `check --json` by what was looked at."""
    told: dict[str, Any] = json.loads(run.stdout)
    return {finding["what"]: finding for finding in told["findings"]}


# --- the whole -------------------------------------------------------------------------------------------------------


def test_a_box_with_faults(tmp_path: Path) -> None:
    """One line each for a person, plain and with what to do; 1 because the broker isn't there."""
    run = footfall("check", "--config", write_config(tmp_path, source="/dev/video97"), env=PLAIN)

    assert 1 == run.returncode
    assert "ok    config: " in run.stdout
    assert "fail  camera door-a: camera /dev/video97: there is no such device" in run.stdout
    assert "      -> plug the camera in, or name another `source`" in run.stdout
    assert "ok    model: footfall-head" in run.stdout
    assert "fail  broker TCP: " in run.stdout
    assert re.search(r"^not ready: \d+ of \d+ checks failed$", run.stdout, re.MULTILINE)
    assert "\x1b" not in run.stdout + run.stderr


def test_a_config_with_faults(tmp_path: Path) -> None:
    """Every fault is a line of its own, with file, line and what was meant; the box is looked at all the same."""
    path = write_config(tmp_path, more="fsp: 15\n    size: [640]")
    run = footfall("check", "--config", path, "--json")
    told = json.loads(run.stdout)
    faults = {finding["found"]: finding["advice"] for finding in told["findings"] if finding["what"] == "config"}

    assert 1 == run.returncode
    assert not told["ok"]
    assert {
        f'{path}:7: cameras.door-a.fsp: "fsp" is not a setting': 'did you mean "fps"?',
        f"{path}:8: cameras.door-a.size: must be two whole numbers, as in [640, 480], but is [640]": "correct it",
    } == faults
    assert {"temperature", "throttling", "clock"} <= found_in(run).keys()


def test_no_config(tmp_path: Path) -> None:
    """The first thing that goes wrong on a new box has a sentence, too."""
    run = footfall("check", "--config", tmp_path / "nowhere.yaml", env=PLAIN)

    assert 1 == run.returncode
    assert "nowhere.yaml: can't be read: No such file or directory\n      -> give another with --config" in run.stdout


def test_warnings_alone_are_no_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The exit code is 0, and the last line says that something is worth a look."""
    findings = [CheckResult("one", "ok", "well"), CheckResult("two", "warn", "hm", "look")]
    monkeypatch.setattr(check, "_steps", lambda _path: iter([("all", iter(findings))]))

    assert 0 == check.run(tmp_path, as_json=False)
    assert 0 == check.run(tmp_path, as_json=True)


# --- camera and picture ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "flag", "plain"), [("5", "dark", True), ("128", None, True), ("noise", None, False)]
)
def test_pictures_that_show_nothing(tmp_path: Path, pattern: str, flag: str | None, plain: bool) -> None:
    """A sealed process looks through the camera and tells dark and plain from a picture with something in it."""
    path = write_config(tmp_path, source=clip(tmp_path, pattern))
    look = measuring.look(path, "door-a", 7.0)

    assert (320, 240) == (look.width, look.height)
    # Seven seconds of 15 frames each; a busy machine looks at fewer, and then makes up for them.
    assert 2 <= look.frames <= 7 * 15 + 1
    assert look.fps > 0
    assert (flag in look.flags) == (flag is not None)
    assert plain == look.plain
    assert not {"dark", "covered"} & set(look.flags) - {flag}


def test_a_picture_that_stands_still(tmp_path: Path) -> None:
    """Exactly the same picture for ten seconds is no camera's."""
    path = write_config(tmp_path, source=clip(tmp_path, "128"))

    assert "frozen" in measuring.look(path, "door-a", check_camera.LOOK_S).flags


LIVE = Look(width=640, height=480, fps=15.0, frames=180, flags=())


@pytest.mark.parametrize(
    ("look", "states"),
    [
        (LIVE, ["ok", "ok"]),
        (Look(640, 480, 9.0, 100, ()), ["warn", "ok"]),
        (Look(640, 480, 4.5, 45, ()), ["fail", "ok"]),
        (Look(640, 480, 3.0, 30, ()), ["fail", "ok"]),
        (Look(1280, 720, 15.0, 180, ()), ["warn", "ok"]),
        (Look(640, 480, 15.0, 180, ("dark",)), ["ok", "fail"]),
        (Look(640, 480, 15.0, 180, ("covered", "frozen")), ["ok", "fail", "fail"]),
        (Look(640, 480, 15.0, 180, (), plain=True), ["ok", "warn"]),
        (Look(0, 0, 0.0, 0, ()), ["fail"]),
    ],
)
def test_what_a_camera_gives_is_held_against_what_was_asked(look: Look, states: Sequence[str]) -> None:
    """Size and rate as asked, or a warning; no picture, or one that shows nothing, is a failure."""
    camera = schema.Camera.model_validate(
        {"source": "/dev/video0", "lines": {"a": {"from": [0.1, 0.5], "to": [0.9, 0.5], "inside": [0.5, 0.9]}}}
    )
    found = list(check_camera.judge(camera, "door-a", look))

    assert states == [finding.state for finding in found]
    assert all(finding.advice for finding in found if finding.state != "ok")


@pytest.mark.parametrize("source", ["/dev/video0", "door.mp4", "csi:0"])
def test_one_picture_a_second_follows_nobody(source: str) -> None:
    """Also where one a second was asked for, and from a clip as well: nobody can be followed by it."""
    line = {"from": [0.1, 0.5], "to": [0.9, 0.5], "inside": [0.5, 0.9]}
    camera = schema.Camera.model_validate({"source": source, "fps": 1, "lines": {"a": line}})
    clock = KernelClock()
    (given, _), (held, _) = (
        list(check_camera.judge(camera, "door-a", Look(640, 480, 1.0, 13, ()))),
        list(check_camera.ask(camera, "door-a", Pace(clock.boot_id, clock.boot_ms(), None, 1.0, 1.0, Flag(0)))),
    )

    assert ("fail", "fail") == (given.state, held.state)
    assert "640 x 480 at 1 a second, asked for 1: too few to follow anybody" == given.found
    assert "set `fps` to 15" == given.advice
    assert held.found.endswith("too few to follow anybody")


@pytest.mark.parametrize(("fps", "state"), [(None, "warn"), (15.0, "ok"), (9.0, "warn"), (3.0, "fail")])
def test_the_rate_of_a_camera_that_the_service_holds(fps: float | None, state: str) -> None:
    """A service of which one reading is known has no rate yet, and isn't called well for that."""
    camera = schema.Camera.model_validate(
        {"source": "/dev/video0", "lines": {"a": {"from": [0.1, 0.5], "to": [0.9, 0.5], "inside": [0.5, 0.9]}}}
    )
    clock = KernelClock()
    pace = Pace(clock.boot_id, clock.boot_ms(), None, fps, 1.0, Flag(0))
    found = list(check_camera.ask(camera, "door-a", pace))

    assert [state, "ok"] == [finding.state for finding in found]
    assert "0.0" not in found[0].found


# --- beside the service ----------------------------------------------------------------------------------------------


@pytest.fixture(name="service")
def _service(tmp_path: Path) -> Iterator[str]:
    """Run something that the kernel knows as `footfall vision CAMERA`; give the camera's name."""
    camera = f"door-{os.getpid()}"
    program = tmp_path / "footfall"
    program.write_text("import sys\nprint('up', flush=True)\nsys.stdin.read()\n")
    with subprocess.Popen(
        [sys.executable, program, "vision", camera], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert "up\n" == process.stdout.readline()
        yield camera


@pytest.mark.parametrize(
    ("flags", "state", "words"),
    [
        (Flag(0), "ok", "looks at"),
        (Flag.CLOSED, "ok", "closed now"),
        (Flag.CAMERA_LOST, "fail", "it is gone"),
        (Flag.DARK, "ok", "looks at"),
    ],
)
def test_a_camera_that_the_service_holds(tmp_path: Path, service: str, flags: Flag, state: str, words: str) -> None:
    """It isn't opened a second time: the readings of the last minute tell, and it is said that they do."""
    path = write_config(tmp_path, camera=service, source="/dev/video97", more="fps: 5")
    kernel = KernelClock()
    books = Books(path, kernel.wall_ms(), boot_ms=kernel.boot_ms() - 120_000)
    books.let(2, flags=int(flags), frames=50)
    books.close()
    found = {f.what: f for f in check_camera.check_camera(path, schema.load(path), service)}

    assert state == found[f"camera {service}"].state
    assert "the service holds it" in found[f"camera {service}"].found
    assert words in found[f"camera {service}"].found
    if flags is Flag.DARK:
        assert "fail" == found[f"picture {service}"].state


def test_a_service_that_says_nothing(tmp_path: Path, service: str) -> None:
    """It holds the camera, but no reading has come for half a minute."""
    path = write_config(tmp_path, camera=service, source="/dev/video97")
    kernel = KernelClock()
    books = Books(path, kernel.wall_ms(), boot_ms=max(0, kernel.boot_ms() - 600_000))
    books.let(2)
    books.close()
    found = {f.what: f for f in check_camera.check_camera(path, schema.load(path), service)}

    assert ["warn"] == [finding.state for finding in found.values()]
    assert "no reading has come" in found[f"camera {service}"].found


# --- model and speed -------------------------------------------------------------------------------------------------


def test_the_stages_are_timed(tmp_path: Path) -> None:
    """Each stage has its p50 and p95, of elapsed and of CPU time, and what can be held follows from them."""
    run = footfall("bench", "--config", write_config(tmp_path), "--seconds", "2", "--json")
    told = json.loads(run.stdout)
    stages = told["stages"]

    assert 0 == run.returncode
    assert ["decode", "picture check", "gate", "detector", "tracker", "line", "all"] == list(stages)
    assert all(0 <= share["p50"] <= share["p95"] for share in stages.values())
    assert all(0 <= share["cpu_p50"] <= share["cpu_p95"] for share in stages.values())
    assert stages["detector"]["p50"] <= stages["all"]["p50"]
    assert 0 < stages["detector"]["cpu_p50"] <= stages["all"]["cpu_p50"]
    assert told["fps"] == pytest.approx(1000 / stages["all"]["p95"], rel=0.02)
    assert told["cpu_fps"] == pytest.approx(1000 / stages["all"]["cpu_p95"], rel=0.02)
    assert told["cpu_share"] > 0
    assert "1" in told["threads"]
    assert 20 < told["memory_mb"] < 2_000


def test_bench_for_a_person(tmp_path: Path) -> None:
    """A table and a verdict, plain where it isn't a terminal."""
    run = footfall("bench", "--config", write_config(tmp_path), "--seconds", "1", env=PLAIN)

    assert 0 == run.returncode
    assert "detector" in run.stdout
    assert "pictures a second can be held while people walk" in run.stdout
    assert "\x1b" not in run.stdout + run.stderr


def test_a_stage_that_waits_takes_no_cpu_time() -> None:
    """Elapsed time counts the wait, CPU time doesn't: so a busy box is told from a slow one."""
    watch = measurement._Stopwatch()
    for _ in range(3):
        with watch("detector"), watch("all"):
            time.sleep(0.05)
        watch.end_of_frame(keep=True)
    found = watch.percentiles()["all"]

    assert found["p50"] >= 50
    assert found["cpu_p95"] < 25
    assert watch.cpu_share() < 0.5


@pytest.mark.parametrize(("cpu_fps", "state"), [(20.0, "ok"), (9.0, "warn"), (2.0, "fail")])
def test_a_busy_box_is_not_called_slow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cpu_fps: float, state: str
) -> None:
    """The verdict is from CPU time, however few pictures a second were held beside something else."""
    stages = measuring.Stages({}, 1.5, cpu_fps, 0.1, 30, {}, 100, "ai_edge_litert", "footfall-head")
    monkeypatch.setattr(measuring, "time_stages", lambda *_: stages)
    path = write_config(tmp_path)
    _, speed = check_camera.check_model(path, schema.load(path))

    assert ("speed", state) == (speed.what, speed.state)
    assert f"{cpu_fps:g} pictures a second can be held" in speed.found


def test_a_busy_moment_changes_no_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where other programs had the core, nobody is told to set another rate, nor to change camera, plug or light."""
    path = write_config(tmp_path)
    config = schema.load(path)
    advice = []
    for share in (0.3, 1.0):
        stages = measuring.Stages({}, 1.5, 9.0, share, 30, {}, 100, "ai_edge_litert", "footfall-head")
        monkeypatch.setattr(measuring, "time_stages", lambda *_, stages=stages: stages)
        advice.append(list(check_camera.check_model(path, config))[1].advice)
    camera = schema.Camera.model_validate(
        {**config.cameras["door-a"].model_dump(by_alias=True), "source": "/dev/video0"}
    )
    for fps in (9.0, 3.0):
        busy, quiet = (
            next(iter(check_camera.judge(camera, "door-a", Look(640, 480, fps, 100, ()), busy=on)))
            for on in (True, False)
        )
        assert "warn" == busy.state
        assert "busy with other programs" in busy.found
        assert "change no setting" in busy.advice
        assert "change no setting" not in quiet.advice

    assert "change no setting" in advice[0]
    assert "`fps: 9`" in advice[1]


@pytest.mark.parametrize(("load", "busy"), [(0.5, False), (64.0, True)])
def test_a_service_on_a_busy_box(monkeypatch: pytest.MonkeyPatch, load: float, busy: bool) -> None:
    """The line says that the box is busy, from the load of the last minute, in place of blaming light or heat."""
    camera = schema.Camera.model_validate(
        {"source": "/dev/video0", "lines": {"a": {"from": [0.1, 0.5], "to": [0.9, 0.5], "inside": [0.5, 0.9]}}}
    )
    monkeypatch.setattr(os, "getloadavg", lambda: (load, load, load))
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    clock = KernelClock()
    pace = Pace(clock.boot_id, clock.boot_ms(), None, 9.0, 1.0, Flag(0))
    found = next(iter(check_camera.ask(camera, "door-a", pace)))

    assert ("warn", busy) == (found.state, "busy with other programs" in found.found)


def test_an_interpreter_that_dies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As one does that was built for another numpy: the check survives it, and says what it is."""
    package = tmp_path / "packages" / "ai_edge_litert"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "interpreter.py").write_text(
        "import os, signal\n\ndef Interpreter(**_):\n    os.kill(os.getpid(), signal.SIGSEGV)\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(package.parent))
    with pytest.raises(MeasuringFailed, match="killed by SIGSEGV"):
        measuring.time_stages(write_config(tmp_path), "door-a", 1.0)


def test_a_model_that_isnt_the_contracts(tmp_path: Path) -> None:
    """The finding is the sentence that the service would end with."""
    contract = json.loads((REPOSITORY / "models" / "head.json").read_text())
    shutil.copy(REPOSITORY / "models" / "head.tflite", tmp_path)
    (tmp_path / "head.json").write_text(json.dumps({**contract, "sha256": "0" * 64}))
    path = write_config(tmp_path)
    path.write_text(path.read_text() + f"model: {tmp_path}/head.json\n")
    (found,) = check_camera.check_model(path, schema.load(path))

    assert ("model", "fail", "install the package again") == (found.what, found.state, found.advice)
    assert "sha256" in found.found


@pytest.mark.parametrize(
    ("stages", "load", "found", "advice"),
    [
        ([], 0.1, "this box ran out of time", "the card or the box is too slow"),
        ([], 100.0, "this box ran out of time", "end what keeps this box busy"),
        (["opening"], 0.1, "it can't be opened within", "look at the camera's plug and cable"),
        (["opening"], 100.0, "this box ran out of time", "end what keeps this box busy"),
        (["opening", "looking"], 0.1, "this box ran out of time", "the card or the box is too slow"),
    ],
)
def test_a_measurement_that_hangs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stages: Sequence[str], load: float, found: str, advice: str
) -> None:
    """The camera is blamed only if it was being opened, on a box that had time for it."""
    _stand_in(tmp_path, monkeypatch, stages, "signal.pause()")
    monkeypatch.setattr(measuring, "_HUNG_S", 0.5)
    monkeypatch.setattr(measuring, "_TICK_S", 0.1)
    monkeypatch.setattr(os, "getloadavg", lambda: (load, load, load))
    with (
        pytest.raises(MeasuringFailed) as late,
        measuring.Measuring(tmp_path / "footfall.yaml", "door-a", 0.1, look=True) as running,
    ):
        running.figures()

    assert late.value.cause.startswith(found)
    assert late.value.advice.startswith(advice)


def test_a_slow_box_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A measurement that goes on using CPU time doesn't hang, however long it takes."""
    _stand_in(tmp_path, monkeypatch, ["opening"], "while time.process_time() < 2: pass\nprint('{\"frames\": 1}')")
    monkeypatch.setattr(measuring, "_HUNG_S", 1.0)
    monkeypatch.setattr(measuring, "_TICK_S", 0.1)
    monkeypatch.setattr(os, "getloadavg", lambda: (100.0, 100.0, 100.0))
    with measuring.Measuring(tmp_path / "footfall.yaml", "door-a", 0.0, look=True) as running:
        figures = running.figures()

    assert {"frames": 1} == figures


def _stand_in(folder: Path, monkeypatch: pytest.MonkeyPatch, stages: Sequence[str], then: str) -> None:
    """Put a program in Python's place that says how far it is, and *then* does something."""
    said = "".join(f"print('{json.dumps({'stage': stage})}', flush=True)\n" for stage in stages)
    program = folder / "python"
    program.write_text(f"#!{sys.executable}\nimport signal, time\n{said}{then}\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))


def test_a_stalled_pi_camera(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`check` says what the camera does, in the time that it looks for, and leaves nothing behind that holds it."""
    program = tmp_path / "rpicam-vid"
    for frames, found in ((0, "it opens, but gives no picture"), (3, "it gave pictures, and then no more")):
        program.write_text(
            f"#!{sys.executable}\nimport os, sys, time\n"
            f"for _ in range({frames}):\n    sys.stdout.buffer.write(os.urandom(320 * 240 * 3 // 2))\n"
            "sys.stdout.flush()\ntime.sleep(1000)\n"
        )
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
        monkeypatch.setattr(check_camera, "LOOK_S", 4.0)
        path = write_config(tmp_path, source="csi:0", more="size: [320, 240]")
        (result,) = check_camera.check_camera(path, schema.load(path), "door-a")

        assert ("fail", True) == (result.state, found in result.found), result
        wait_until(lambda: not _running(program), "the end of rpicam-vid")


def _running(program: Path) -> list[str]:
    """Return the numbers of the processes that run *program*."""
    commands = subprocess.run(["ps", "-eo", "pid,args"], capture_output=True, text=True, check=True).stdout
    return [line.split()[0] for line in commands.splitlines() if f"{program} --camera" in line]


def test_measuring_is_sealed(tmp_path: Path) -> None:
    """The process that looks through the camera seals itself first, and says nothing but figures."""
    shutil.copy(REPOSITORY / "models" / "demo" / "door.mp4", tmp_path / "door.mp4")
    path = write_config(tmp_path, source=tmp_path / "door.mp4")
    with measuring.Measuring(path, "door-a", 3.0, look=True) as running:
        filters = _wait_for_filters(running.pid)
        figures = running.figures()

    assert filters >= 2
    assert {"width", "height", "fps", "frames", "flags", "plain"} == figures.keys()


@pytest.mark.parametrize("look", [["--look"], []])
def test_measuring_dies_with_whoever_asked_for_it(tmp_path: Path, look: list[str]) -> None:
    """Also if that one is killed, with no chance to clean up: nobody goes on holding the camera or the processor."""
    shutil.copy(REPOSITORY / "models" / "demo" / "door.mp4", tmp_path / "door.mp4")
    path = write_config(tmp_path, source=tmp_path / "door.mp4")
    measure = [sys.executable, "-m", "edge", "measure", "door-a", "--config", str(path), "--seconds", "600", *look]
    asks = f"import subprocess\nprocess = subprocess.Popen({measure!r})\nprint(process.pid, flush=True)\nprocess.wait()"
    with subprocess.Popen([sys.executable, "-c", asks], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as asking:
        assert asking.stdout is not None
        pid = int(asking.stdout.readline())
        _wait_for_filters(pid)
        asking.kill()

    wait_until(lambda: not lives(pid), "the measurement's end")


def _wait_for_filters(pid: int) -> int:
    def filters() -> int:
        status = Path(f"/proc/{pid}/status").read_text()
        fields = dict(line.split(":", 1) for line in status.splitlines())
        return int(fields.get("Seccomp_filters", "0"))

    wait_until(lambda: filters() >= 2, "both filters", 30)
    return filters()


def test_measuring_a_camera_that_isnt_in_the_config(tmp_path: Path) -> None:
    """78, as for every fault of the config."""
    assert 78 == footfall("bench", "--config", write_config(tmp_path), "--camera", "nowhere").returncode
