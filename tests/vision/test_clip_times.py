"""When a clip's frames were taken: clips as phones, browsers, recorders and bare streams make them."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.core.errors import CameraMissing, ClipUntimed
from edge.vision.clip import ClipSource
from tests.vision import odd_clips
from tests.vision.odd_clips import FRAMES, number_of

PHONE = [67] * 10 + [200] * 10 + [33] * 10
"""How long a phone's frames last, in ms: it has less light in between, and more at the end."""
BROWSER = [n * 40 + (n * n * 7) % 37 for n in range(FRAMES)]
"""When a browser's frames came, in ms: never evenly."""


def played(path: Path, fps: float = 60, fps_of_clip: float | None = None) -> list[tuple[int, float]]:
    """Return (number, time in ms) of the frames that are given."""
    return play(ClipSource(str(path), fps=fps, fps_of_clip=fps_of_clip))


def play(source: ClipSource, most: int | None = None) -> list[tuple[int, float]]:
    frames: list[tuple[int, float]] = []
    while len(frames) != most and (frame := source.read()) is not None:
        frames.append((number_of(frame.pixels), round(frame.t_ms, 3)))
    source.close()
    return frames


def repeated(source: ClipSource) -> list[tuple[int, float]]:
    """Return what the first three passes of a clip give that repeats."""
    return play(source, most=3 * FRAMES)


@pytest.mark.parametrize("suffix", [".avi", ".mp4", ".webm", ".mkv"])
def test_a_clip_with_a_right_header(tmp_path: Path, suffix: str) -> None:
    """Its times are whole frames of its rate, also where the container rounds each to a ms; nothing is said of it."""
    source = ClipSource(str(odd_clips.write(tmp_path / f"clip{suffix}")), fps=60)

    assert [(n, round(n * 1000 / 15, 3)) for n in range(FRAMES)] == play(source)
    assert ("", 0, 15.0) == (source.times.note, source.missing, round(source.times.fps, 6))


def test_a_phone_whose_rate_changes(tmp_path: Path) -> None:
    """Each frame is at its own time, whatever the header's mean rate says."""
    path = odd_clips.set_mp4_steps(odd_clips.write(tmp_path / "phone.mp4"), PHONE)

    assert [(n, float(sum(PHONE[:n]))) for n in range(FRAMES)] == played(path)


def test_which_frames_are_looked_at(tmp_path: Path) -> None:
    """Of a rate that changes those nearest to the wanted times are given: all of 5 a second, every third of 30."""
    path = odd_clips.set_mp4_steps(odd_clips.write(tmp_path / "phone.mp4"), PHONE)
    given = [number for number, _ in played(path, fps=10)]

    assert list(range(10, 20)) == [number for number in given if 10 <= number < 20]
    assert [23, 26, 29] == [number for number in given if number > 22]


def test_a_browser_that_writes_a_rate_of_1000(tmp_path: Path) -> None:
    """Its stamps are used, and it is said that its header says otherwise."""
    path = odd_clips.set_webm_times(odd_clips.write(tmp_path / "browser.webm"), BROWSER)
    source = ClipSource(str(path), fps=60)

    assert [(n, float(at)) for n, at in enumerate(BROWSER)] == play(source)
    assert source.times.note.startswith("its header says 1000 frames a second, its time stamps say 24.9")
    assert 0 == source.missing


def test_an_avi_that_says_600(tmp_path: Path) -> None:
    """An AVI has no times, so a rate that can't be true leaves none; somebody who knows settles it."""
    path = odd_clips.set_avi_rate(odd_clips.write(tmp_path / "recorder.avi"), 600)

    with pytest.raises(ClipUntimed, match=r"its header says 600 frames a second.*--fps-of-clip N") as untimed:
        ClipSource(str(path), fps=60)
    assert 78 == untimed.value.exit_code
    assert [(n, round(n * 80.0, 3)) for n in range(FRAMES)] == played(path, fps_of_clip=12.5)


def test_a_bare_stream(tmp_path: Path) -> None:
    """It has neither rate nor times, and isn't taken for 25 frames a second."""
    path = odd_clips.write_bare(tmp_path / "camera.mjpeg")

    with pytest.raises(ClipUntimed, match=r"it is a bare stream.*--fps-of-clip N"):
        ClipSource(str(path), fps=60)
    assert [(n, n * 100.0) for n in range(FRAMES)] == played(path, fps_of_clip=10)


@pytest.mark.parametrize("head", [b"\0\0\0\1\x67", b"\0\0\1\x67", b"\0\0\0\1\x40\x01\x0c", b"\0\0\1\xb0"])
def test_bare_h264_h265_and_mpeg4(tmp_path: Path, head: bytes) -> None:
    """A start code where a container would be: no clip's times are taken from it, were it decoded or not."""
    path = tmp_path / "camera.h264"
    path.write_bytes(head + bytes(100))

    with pytest.raises((ClipUntimed, CameraMissing)):
        ClipSource(str(path), fps=60)


def test_somebody_who_knows_counts_more_than_good_stamps(tmp_path: Path) -> None:
    """`--fps-of-clip` is used whatever the clip says, as for a slow-motion recording."""
    assert [(n, n * 25.0) for n in range(FRAMES)] == played(odd_clips.write(tmp_path / "slow.mp4"), fps_of_clip=40)


@pytest.mark.parametrize(("name", "frames"), [("short.mp4", 30), ("short.avi", 30), ("short.mkv", 90)])
def test_a_clip_that_was_cut_short(tmp_path: Path, name: str, frames: int) -> None:
    """What is there is given, and what isn't is known: together they are the frames that the header promises."""
    path = odd_clips.write(tmp_path / name, frames=frames)
    if path.suffix == ".mp4":
        odd_clips.move_index_first(path)
    source = ClipSource(str(odd_clips.cut(path, 0.6)), fps=60)
    given = len(play(source))

    assert 0 < given < frames
    assert frames == given + source.missing


def test_a_whole_clip_with_its_index_first_misses_nothing(tmp_path: Path) -> None:
    """So what is missing above is missing because of the cut."""
    source = ClipSource(str(odd_clips.move_index_first(odd_clips.write(tmp_path / "web.mp4"))), fps=60)

    assert FRAMES == len(play(source))
    assert 0 == source.missing


def test_an_mp4_without_its_index(tmp_path: Path) -> None:
    """Cut before its list of frames it can't be read at all; it is said why."""
    path = odd_clips.cut(odd_clips.write(tmp_path / "torn.mp4"), 0.6)

    with pytest.raises(CameraMissing, match="its list of frames is missing or damaged; the recording was cut short"):
        ClipSource(str(path), fps=60)


def test_a_clip_that_repeats_goes_on_in_its_own_times(tmp_path: Path) -> None:
    """The second pass begins where the last frame of the first would end."""
    path = odd_clips.set_mp4_steps(odd_clips.write(tmp_path / "phone.mp4"), PHONE)
    source = ClipSource(str(path), fps=60, loop=True)
    frames = [source.read() for _ in range(FRAMES + 2)]
    source.close()
    times = [frame.t_ms for frame in frames if frame is not None]

    assert FRAMES + 2 == len(times)
    assert times[FRAMES] - times[FRAMES - 1] == pytest.approx(67.0, abs=1)  # the middle one of its steps
    assert times[FRAMES + 1] - times[FRAMES] == 67


@pytest.mark.parametrize("suffix", [".avi", ".mp4", ".webm", ".mkv"])
def test_each_container_repeats_from_its_first_frame(tmp_path: Path, suffix: str) -> None:
    """All three passes have every frame, in order, and time goes on evenly."""
    source = ClipSource(str(odd_clips.write(tmp_path / f"clip{suffix}")), fps=60, loop=True)

    assert repeated(source) == [(n % FRAMES, round(n * 1000 / 15, 3)) for n in range(3 * FRAMES)]


def test_clips_that_cannot_be_wound_back_repeat(tmp_path: Path) -> None:
    """A browser's clip and a bare stream are opened anew for each pass."""
    browser = odd_clips.set_webm_times(odd_clips.write(tmp_path / "browser.webm"), BROWSER)
    bare = odd_clips.write_bare(tmp_path / "camera.mjpeg")
    frames = repeated(ClipSource(str(browser), fps=60, loop=True))

    assert [number for number, _ in frames] == 3 * list(range(FRAMES))
    assert [t_ms for _, t_ms in frames] == sorted({t_ms for _, t_ms in frames})
    assert repeated(ClipSource(str(bare), fps=60, loop=True, fps_of_clip=10)) == [
        (n % FRAMES, n * 100.0) for n in range(3 * FRAMES)
    ]
