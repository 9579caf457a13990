"""Sources of pictures, and the thread that keeps only the newest of them."""

from __future__ import annotations

import os
import queue
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.config.schema import Camera
from edge.core.clock import ManualClock
from edge.core.errors import CameraError, CameraLost, CameraMissing
from edge.vision.camera import Capture, Source, open_source
from edge.vision.clip import ClipSource
from edge.vision.csi_camera import CsiSource
from edge.vision.scene import Frame
from tests.publisher.rig import lives, wait_until

LINES = {"line": {"from": [0.1, 0.5], "to": [0.9, 0.5], "inside": [0.5, 0.9]}}
LOST = CameraLost("/dev/video0", "it gives no more pictures", "look at its plug and cable")


def camera(source: str, **settings: object) -> Camera:
    return Camera.model_validate({"source": source, "lines": LINES, **settings})


def picture(number: int) -> Frame:
    return Frame(np.full((2, 2, 3), number, np.uint8), float(number))


# --- the thread ------------------------------------------------------------------------------------------------------


class Hose:
    """A source whose frames, losses and end a test pours in by hand."""

    def __init__(self) -> None:
        self._poured: queue.Queue[Frame | CameraError | None] = queue.Queue()
        self.reads = 0
        self.closed = False

    def pour(self, *items: Frame | CameraError | None) -> None:
        """Let the source give *items*, one a read; None is its end."""
        for item in items:
            self._poured.put(item)

    def read(self) -> Frame | None:
        self.reads += 1
        item = self._poured.get()
        if isinstance(item, CameraError):
            raise item
        return item

    def close(self) -> None:
        self.closed = True
        self._poured.put(None)


@pytest.fixture(name="capture")
def _capture() -> Iterator[Callable[..., Capture]]:
    """Make captures, and end their threads."""
    made: list[tuple[Capture, Hose | None]] = []

    def make(hose: Hose | None, reopen: Callable[[], Source] | None = None, *, every_frame: bool = False) -> Capture:
        capture = Capture(hose, reopen, every_frame=every_frame)
        made.append((capture, hose))
        capture.start()
        return capture

    yield make
    for capture, hose in made:
        if hose is not None:
            hose.pour(None)
        capture.stop()


def numbers(capture: Capture, count: int) -> list[float | None]:
    """Return the numbers of the next *count* frames that are taken, without waiting for any."""
    frames = [capture.take(0) for _ in range(count)]
    return [None if frame is None else frame.t_ms for frame in frames]


MakeCapture = Callable[..., Capture]


def test_only_the_newest_frame_is_kept(capture: MakeCapture) -> None:
    """Frames that came while nobody looked are dropped, never queued, and none is given twice."""
    hose = Hose()
    thread = capture(hose)
    hose.pour(*(picture(n) for n in range(10)))
    wait_until(lambda: hose.reads == 11, "the eleventh read")

    assert [9, None] == numbers(thread, 2)


def test_a_frame_is_waited_for(capture: MakeCapture) -> None:
    """Taking waits until a frame comes, and no longer than it was told to."""
    hose = Hose()
    thread = capture(hose)
    nothing = thread.take(0.01)
    hose.pour(picture(1))
    frame = thread.take(10)

    assert nothing is None
    assert frame is not None
    assert 1 == frame.t_ms


def test_a_clip_that_is_replayed_fast_loses_no_frame(capture: MakeCapture) -> None:
    """With *every_frame* the source waits until each frame was taken."""
    hose = Hose()
    thread = capture(hose, every_frame=True)
    hose.pour(*(picture(n) for n in range(5)), None)
    frames = [thread.take(10) for _ in range(5)]

    assert [0, 1, 2, 3, 4] == [frame.t_ms for frame in frames if frame]
    assert thread.take(10) is None
    assert thread.over


def test_a_clip_is_over_when_its_last_frame_was_taken(capture: MakeCapture) -> None:
    """Its end doesn't swallow the frame before it, and closes the source."""
    hose = Hose()
    thread = capture(hose)
    hose.pour(picture(1), None)
    wait_until(lambda: hose.closed, "the source's end")
    before = thread.over

    assert [1] == numbers(thread, 1)
    assert (False, True) == (before, thread.over)


def test_a_lost_camera_is_looked_for(
    capture: MakeCapture, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is closed, opened again after rests that double up to 30 s, and said once to be lost and once to be back."""
    rests: list[float] = []
    monkeypatch.setattr(Capture, "_pause", lambda _self, seconds: rests.append(seconds))
    first, second = Hose(), Hose()
    attempts = iter(range(8))

    def reopen() -> Source:
        if next(attempts) < 7:
            raise LOST
        return second

    with caplog.at_level("INFO"):
        thread = capture(first, reopen)
        first.pour(LOST)
        wait_until(lambda: second.reads, "the camera's return")
        lost = thread.lost
        second.pour(picture(3))
        frame = thread.take(10)
    second.pour(None)

    assert first.closed
    assert lost
    assert frame is not None
    assert not thread.lost
    assert [1, 2, 4, 8, 16, 30, 30, 30] == rests
    assert ["WARNING", "INFO"] == [record.levelname for record in caplog.records]


def test_rests_begin_anew_once_a_frame_has_come(capture: MakeCapture, monkeypatch: pytest.MonkeyPatch) -> None:
    """A camera that opens and then gives nothing is rested longer each time; one that gave a picture isn't."""
    rests: list[float] = []
    monkeypatch.setattr(Capture, "_pause", lambda _self, seconds: rests.append(seconds))
    hoses = [Hose() for _ in range(4)]
    for hose in hoses[:2]:
        hose.pour(LOST)
    hoses[2].pour(picture(1), LOST)
    later = iter(hoses[1:])
    thread = capture(hoses[0], lambda: next(later))
    wait_until(lambda: hoses[3].reads, "the fourth opening")
    hoses[3].pour(None)

    assert [1, 2, 1] == rests
    assert thread.lost


def test_a_camera_that_can_not_be_opened_again(capture: MakeCapture) -> None:
    """Without a way to open it again a loss is raised to whoever takes, every time; it isn't a clip's end."""
    hose = Hose()
    thread = capture(hose)
    hose.pour(LOST)

    for _ in range(2):
        with pytest.raises(CameraLost, match="look at its plug and cable"):
            thread.take(10)
    assert hose.closed
    assert not thread.over


def test_the_last_frame_before_a_loss_is_given(capture: MakeCapture) -> None:
    """What came before the loss is looked at first."""
    hose = Hose()
    thread = capture(hose)
    hose.pour(picture(1), LOST)
    wait_until(lambda: hose.closed, "the loss")

    assert [1] == numbers(thread, 1)
    with pytest.raises(CameraLost):
        thread.take(10)


def test_stopping_closes_the_source(capture: MakeCapture) -> None:
    """Also while the camera is being looked for, at once and not after the rest."""
    hose = Hose()
    thread = capture(hose, Hose)
    hose.pour(LOST)
    wait_until(lambda: thread.lost, "the loss")
    began = time.monotonic()
    thread.stop()

    assert time.monotonic() - began < 1.0
    assert not thread._thread.is_alive()


# --- clips -----------------------------------------------------------------------------------------------------------


CLIP_FPS = 10
CLIP_FRAMES = 20


@pytest.fixture(name="clip", scope="module")
def _clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a clip of 2 s at 10 frames a second, each of them 10 grey levels brighter than the one before."""
    path = tmp_path_factory.mktemp("clip") / "grey.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), CLIP_FPS, (64, 48))
    for number in range(CLIP_FRAMES):
        writer.write(np.full((48, 64, 3), 10 * number, np.uint8))
    writer.release()
    return path


def played(source: Source, most: int = 1000) -> list[tuple[int, float]]:
    """Return (number, time in ms) of the frames of the grey clip that *source* gives."""
    frames: list[tuple[int, float]] = []
    while len(frames) < most and (frame := source.read()) is not None:
        frames.append((round(float(frame.pixels.mean()) / 10), frame.t_ms))
    source.close()
    return frames


def test_a_clip_is_given_whole(clip: Path) -> None:
    """Each frame once, with its time from the first."""
    source = ClipSource(str(clip), fps=60)

    assert (CLIP_FRAMES, (64, 48)) == (source.frames, source.size)
    assert [(n, 100.0 * n) for n in range(CLIP_FRAMES)] == played(source)
    assert CLIP_FRAMES == source.position


@pytest.mark.parametrize(("fps", "kept"), [(10, 20), (5, 10), (2.5, 5), (4, 8), (1, 2), (15, 20)])
def test_fewer_frames_are_given_if_fewer_are_wanted(clip: Path, fps: float, kept: int) -> None:
    """Those between are skipped evenly: no two that are given are nearer than asked for, less half a frame."""
    frames = played(ClipSource(str(clip), fps=fps))
    steps = np.diff([t for _, t in frames])

    assert kept == len(frames)
    assert steps.min() >= 1000 / fps - 50 or fps > CLIP_FPS
    assert all(t == 100.0 * number for number, t in frames)


def test_a_clip_at_its_own_pace(clip: Path) -> None:
    """No frame comes sooner after the first than the clip's own time says."""
    source = ClipSource(str(clip), fps=10, pace=True)
    came: list[float] = []
    for _ in range(5):
        source.read()
        came.append(time.monotonic())
    source.close()

    assert all(moment - came[0] >= 0.1 * number - 0.02 for number, moment in enumerate(came))


def test_a_clip_again_and_again(clip: Path) -> None:
    """It begins again at its end, and its times go on."""
    frames = played(ClipSource(str(clip), fps=10, loop=True), most=50)

    assert [(n % CLIP_FRAMES, 100.0 * n) for n in range(50)] == frames


def test_what_is_no_clip(tmp_path: Path) -> None:
    """A file that isn't there, an empty one and one of text are told apart from a clip before anything is read."""
    (tmp_path / "empty.mp4").write_bytes(b"")
    (tmp_path / "text.mp4").write_text("no clip")

    with pytest.raises(CameraMissing, match="there is no such clip"):
        ClipSource(str(tmp_path / "nothing.mp4"), fps=10)
    for name in ("empty.mp4", "text.mp4"):
        with pytest.raises(CameraMissing, match="it isn't a clip that can be decoded"):
            ClipSource(str(tmp_path / name), fps=10)


def test_a_clip_that_was_cut_short(clip: Path, tmp_path: Path) -> None:
    """What can be decoded is given, and then it is over."""
    cut = tmp_path / "cut.avi"
    cut.write_bytes(clip.read_bytes()[: clip.stat().st_size * 9 // 10])
    frames = played(ClipSource(str(cut), fps=60))

    assert 0 < len(frames) < CLIP_FRAMES


# --- Raspberry Pi cameras --------------------------------------------------------------------------------------------


@pytest.fixture(name="rpicam")
def _rpicam(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Put a program called rpicam-vid on the PATH that notes its arguments and then does what it is told to."""
    noted = tmp_path / "arguments"

    def make(script: str) -> Path:
        program = tmp_path / "rpicam-vid"
        program.write_text(
            f"#!{sys.executable}\nimport sys, time\nopen({str(noted)!r}, 'w').write(' '.join(sys.argv[1:]))\n"
            f"out = sys.stdout.buffer\n{script}"
        )
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
        return noted

    return make


MakeRpicam = Callable[[str], Path]

TWO_FRAMES = """
size = 320 * 240
for luma in (81, 145):
    out.write(bytes([luma]) * size + bytes([90]) * (size // 4) + bytes([240]) * (size // 4))
    out.flush()
"""
"""Red and then brighter red in YUV 4:2:0."""


def test_a_raspberry_pi_camera(rpicam: MakeRpicam) -> None:
    """It is asked for raw frames of the wanted size and rate, which come as BGR with the boot time of their arrival."""
    noted = rpicam(TWO_FRAMES + "time.sleep(60)")
    clock = ManualClock(boot=5_000)
    source = open_source(camera("csi:1", size=[320, 240], fps=12), clock)
    first = source.read()
    clock.advance(80)
    second = source.read()
    source.close()

    assert isinstance(source, CsiSource)
    assert (
        "--camera 1 --codec yuv420 --output - --width 320 --height 240 --framerate 12 --timeout 0 --nopreview --flush"
        == noted.read_text()
    )
    assert first is not None
    assert second is not None
    assert ((240, 320, 3), 5_000, 5_080) == (first.pixels.shape, first.t_ms, second.t_ms)
    blue, green, red = map(int, first.pixels[120, 160])
    assert red > 200
    assert max(blue, green) < 60
    assert second.pixels.mean() > first.pixels.mean()


def test_the_helper_is_ended(rpicam: MakeRpicam) -> None:
    """Closing ends rpicam-vid, even while it has more to say; closing twice does no harm."""
    rpicam("while True: out.write(bytes(115200))")
    source = CsiSource(camera("csi:0", size=[320, 240]), ManualClock())
    source.read()
    source.close()
    source.close()

    assert source._helper.returncode is not None


OPENS_IT = """
import sys, time
from edge.config.schema import Camera
from edge.core.clock import KernelClock
from edge.vision.csi_camera import CsiSource
line = {"from": [0.1, 0.5], "to": [0.9, 0.5], "inside": [0.5, 0.9]}
source = CsiSource(Camera.model_validate({"source": "csi:0", "size": [320, 240], "lines": {"l": line}}), KernelClock())
source.read()
print(source._helper.pid, flush=True)
time.sleep(1000)
"""
"""A process that opens the camera, tells its helper's number, and hangs."""


def test_a_stalled_helper_dies_with_whoever_started_it(rpicam: MakeRpicam) -> None:
    """Also if that one is killed, with no chance to clean up: nobody goes on holding the camera."""
    rpicam(TWO_FRAMES + "time.sleep(1000)")
    with subprocess.Popen([sys.executable, "-c", OPENS_IT], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        helper = int(process.stdout.readline())
        command = Path(f"/proc/{helper}/cmdline").read_bytes()
        process.kill()

    assert b"rpicam-vid" in command
    wait_until(lambda: not lives(helper), "the helper's end")


@pytest.mark.processes
def test_nothing_is_started_for_a_process_that_has_gone(tmp_path: Path) -> None:
    """The program looks whether the one that asked for it still is its parent, once the kernel has promised to tell."""
    started = tmp_path / "started"
    script = [sys.executable, "-m", "edge.sandbox.die_with_parent", "1", "/usr/bin/touch", str(started)]
    done = subprocess.run(script, check=True)

    assert 0 == done.returncode
    assert not started.exists()


@pytest.mark.parametrize("script", ["", "out.write(bytes(1000))", TWO_FRAMES + "out.write(bytes(1000))"])
def test_a_helper_that_ends_is_a_lost_camera(rpicam: MakeRpicam, script: str) -> None:
    """At once, within a picture or after some: what isn't a whole picture is never given."""
    rpicam(script)
    source = CsiSource(camera("csi:0", size=[320, 240]), ManualClock())
    if script.startswith(TWO_FRAMES):
        source.read()
        source.read()

    with pytest.raises(CameraLost, match="rpicam-vid ended; run `rpicam-hello --list-cameras`"):
        source.read()
    source.close()


@pytest.mark.parametrize("size", [(600, 480), (640, 481)])
def test_a_size_that_raw_frames_can_not_have(rpicam: MakeRpicam, size: tuple[int, int]) -> None:
    """Its rows would be padded, and the picture skewed; it is refused with what to write instead."""
    rpicam("")

    with pytest.raises(CameraMissing, match="use a width that divides by 64 and an even height"):
        CsiSource(camera("csi:0", size=list(size)), ManualClock())


def test_without_the_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sentence says what to install."""
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(CameraMissing, match="run: sudo apt install rpicam-apps"):
        CsiSource(camera("csi:0"), ManualClock())


# --- V4L2 ------------------------------------------------------------------------------------------------------------


def test_a_camera_that_is_not_there() -> None:
    """There is no such device, and OpenCV isn't even asked."""
    with pytest.raises(CameraMissing, match="there is no such device; plug the camera in"):
        open_source(camera("/dev/video99"), ManualClock())


def test_a_device_that_is_no_camera(capfd: pytest.CaptureFixture[str]) -> None:
    """It can't be opened; the sentence says so and the library's own warning isn't shown."""
    with pytest.raises(CameraMissing, match="it can't be opened; another program may hold it"):
        open_source(camera("/dev/null"), ManualClock())

    assert "" == capfd.readouterr().err
