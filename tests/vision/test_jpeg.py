"""Pictures that come as JPEG: what is unpacked at once, what later, and what can't be unpacked."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from edge.vision.jpeg import JpegReader

SEED = 3
Pixels = npt.NDArray[np.uint8]


def scene(width: int, height: int) -> Pixels:
    """Return a picture with soft and with sharp edges, BGR."""
    random = np.random.default_rng(SEED)
    coarse = random.integers(20, 235, (9, 12, 3), np.uint8)
    picture = np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)
    cv2.circle(picture, (width // 3, height // 2), height // 8, (15, 20, 25), -1)
    return picture


def packed(picture: Pixels, quality: int = 85) -> Pixels:
    return np.asarray(cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], np.uint8)


@pytest.mark.parametrize(
    ("size", "reduced"),
    [
        ((640, 480), (80, 60)),
        ((1280, 720), (160, 90)),
        ((1920, 1080), (240, 135)),
        ((320, 240), (80, 60)),
        ((642, 483), (81, 61)),
        ((176, 144), (88, 72)),
        ((96, 72), (96, 72)),
    ],
)
def test_a_reduced_picture_is_grey_and_averaged(size: tuple[int, int], reduced: tuple[int, int]) -> None:
    """At least 80 columns, where there are as many; each px is the mean of those that it stands for."""
    picture = scene(*size)
    frame = JpegReader().read(packed(picture), 7.0)

    assert frame is not None
    assert (size, 7.0) == (frame.size, frame.t_ms)
    assert reduced == frame.reduced.shape[::-1]
    grey = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)
    beyond = [-side % -(-side // cells) for side, cells in zip(size, reduced, strict=True)]
    # Cells at the right and the lower edge that aren't full go on with the px of the edge.
    grey = cv2.copyMakeBorder(grey, 0, beyond[1], 0, beyond[0], cv2.BORDER_REPLICATE)
    wanted = cv2.resize(grey, reduced, interpolation=cv2.INTER_AREA)
    assert 2.0 > float(cv2.absdiff(frame.reduced, wanted).mean())


def test_all_px_are_unpacked_when_they_are_asked_for() -> None:
    """And no sooner; they are those that OpenCV makes of the file, and are unpacked once."""
    file = packed(scene(640, 480))
    frame = JpegReader().read(file, 0.0)

    assert frame is not None
    assert frame._pixels is None
    assert np.array_equal(np.asarray(cv2.imdecode(file, cv2.IMREAD_COLOR)), frame.pixels)
    assert frame.pixels is frame.pixels


def test_a_camera_may_change_its_size() -> None:
    """Each picture has its own."""
    reader = JpegReader()
    sizes = [(640, 480), (640, 480), (320, 240), (1280, 720), (640, 480)]
    frames = [reader.read(packed(scene(*size)), 0.0) for size in sizes]

    assert sizes == [frame.size for frame in frames if frame is not None]
    assert sizes == [frame.pixels.shape[1::-1] for frame in frames if frame is not None]


def test_a_grey_camera() -> None:
    """A picture without colour has BGR px like any other."""
    file = packed(np.asarray(cv2.cvtColor(scene(640, 480), cv2.COLOR_BGR2GRAY), np.uint8))
    frame = JpegReader().read(file, 0.0)

    assert frame is not None
    assert ((60, 80), (480, 640, 3)) == (frame.reduced.shape, frame.pixels.shape)


def test_a_picture_without_huffman_tables() -> None:
    """Many cameras leave them out of their MJPG: the standard's own are meant, which OpenCV writes too."""
    file = packed(scene(640, 480)).ravel().tobytes()
    bare = without_tables(file)
    frame, whole = (JpegReader().read(np.frombuffer(each, np.uint8), 0.0) for each in (bare, file))

    assert len(bare) < len(file) - 400
    assert frame is not None
    assert whole is not None
    assert np.array_equal(whole.reduced, frame.reduced)
    assert np.array_equal(whole.pixels, frame.pixels)


def without_tables(file: bytes) -> bytes:
    """Return a JPEG file without its DHT segments."""
    kept, at = file[:2], 2
    while file[at + 1] != 0xDA:
        length = 2 + int.from_bytes(file[at + 2 : at + 4], "big")
        if file[at + 1] != 0xC4:
            kept += file[at : at + length]
        at += length
    return kept + file[at:]


@pytest.mark.parametrize("form", [".png", ".bmp", ".webp", ".tiff"])
def test_other_formats_are_none(form: str) -> None:
    """A camera says that it sends JPEG; no other decoder is given what comes."""
    other = np.asarray(cv2.imencode(form, scene(64, 48))[1], np.uint8)

    assert cv2.imdecode(other, cv2.IMREAD_COLOR) is not None
    assert JpegReader().read(other, 0.0) is None


@pytest.mark.parametrize("file", [b"\0", b"\xff\xd8", b"\xff\xd8\xff\xd9", bytes(5000), b"GIF89a" * 50])
def test_what_is_no_picture_is_none(file: bytes) -> None:
    """Also between pictures that are sound."""
    reader = JpegReader()
    sound = packed(scene(640, 480))

    assert reader.read(np.frombuffer(file, np.uint8), 0.0) is None
    assert reader.read(sound, 0.0) is not None
    assert reader.read(np.frombuffer(file, np.uint8), 0.0) is None
    assert reader.read(sound, 0.0) is not None


def test_whatever_is_damaged_has_its_size_or_is_none() -> None:
    """Cut short or with wrong bytes anywhere, a picture raises nothing, and what there is of it has the right shape."""
    random = np.random.default_rng(SEED)
    reader = JpegReader()
    sound = packed(scene(640, 480)).ravel()
    assert reader.read(sound, 0.0) is not None
    for _ in range(40):
        damaged = sound[: int(random.integers(1, len(sound)))].copy()
        places = random.integers(0, len(damaged), 8)
        damaged[places] = random.integers(0, 256, 8)
        frame = reader.read(damaged, 0.0)
        if frame is not None:
            assert frame.size == frame.pixels.shape[1::-1]


def test_a_picture_that_can_only_be_reduced(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is enlarged: a frame that was given has px."""
    frame = JpegReader().read(packed(scene(640, 480)), 0.0)
    assert frame is not None
    monkeypatch.setattr(cv2, "imdecode", lambda *_: None)

    assert (480, 640, 3) == frame.pixels.shape
    assert 3.0 > abs(float(frame.pixels.mean()) - float(frame.reduced.mean()))
