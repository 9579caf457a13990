"""The search for a marked picture finds it in whatever was made of it, and nowhere else."""

from __future__ import annotations

import base64
import contextlib
import gzip
import os
import sqlite3
import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from edge.core.head_model import shipped
from tests.sealed.marks import Mark

Picture = npt.NDArray[np.uint8]
MARK = Mark.of(431_623)


def door() -> Picture:
    """Return a frame of the demo clip."""
    clip = cv2.VideoCapture(str(shipped("demo") / "door.mp4"))
    good, pixels = clip.read()
    clip.release()
    assert good
    return np.asarray(pixels, np.uint8)


def scaled(pixels: Picture, width: int) -> Picture:
    height = round(pixels.shape[0] * width / pixels.shape[1])
    return np.asarray(cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def encoded(pixels: Picture, kind: str, *options: int) -> bytes:
    good, data = cv2.imencode(kind, pixels, options)
    assert good
    return bytes(data.tobytes())


def grey(pixels: Picture) -> Picture:
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY), np.uint8)


def in_a_database(pixels: Picture) -> bytes:
    with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as ledger:
        ledger.execute("CREATE TABLE hours (payload BLOB)")
        ledger.execute("INSERT INTO hours VALUES (?)", (grey(pixels).tobytes(),))
        return ledger.serialize()


LEAKS: dict[str, Callable[[Picture], bytes]] = {
    "raw": lambda p: p.tobytes(),
    "amid other bytes": lambda p: os.urandom(100_001) + p.tobytes() + os.urandom(1000),
    "grey": lambda p: grey(p).tobytes(),
    "a thumbnail 80 px wide": lambda p: grey(scaled(p, 80)).tobytes(),
    "as the model sees it": lambda p: scaled(p, 320).tobytes(),
    "quantised": lambda p: (scaled(p, 320).astype(np.int16) - 128).astype(np.int8).tobytes(),
    "normalised": lambda p: (scaled(p, 320) / 255).astype(np.float32).tobytes(),
    "of mean 0": lambda p: (scaled(p, 320) / 127.5 - 1).astype(np.float32).tobytes(),
    "as the camera gives it": lambda p: np.asarray(cv2.cvtColor(p, cv2.COLOR_BGR2YUV_I420)).tobytes(),
    "YUYV": lambda p: np.stack((grey(p), np.full_like(grey(p), 128)), axis=2).tobytes(),
    "with alpha": lambda p: np.asarray(cv2.cvtColor(p, cv2.COLOR_BGR2BGRA)).tobytes(),
    "a few rows": lambda p: p[:4].tobytes(),
    "JPEG, small and bad": lambda p: encoded(scaled(p, 160), ".jpg", cv2.IMWRITE_JPEG_QUALITY, 20),
    "PNG": lambda p: encoded(p, ".png"),
    "WebP": lambda p: encoded(p, ".webp", cv2.IMWRITE_WEBP_QUALITY, 30),
    "packed": lambda p: zlib.compress(p.tobytes()),
    "gzip of a JPEG": lambda p: gzip.compress(encoded(p, ".jpg")),
    "base64 of a JPEG in JSON": lambda p: b'{"face": "%s"}' % base64.b64encode(encoded(p, ".jpg")),
    "half a JPEG": lambda p: encoded(p, ".jpg")[: len(encoded(p, ".jpg")) // 2],
    "hexadecimal in a log": lambda p: b"camera: " + grey(scaled(p, 160)).tobytes().hex().encode(),
    "a row of a database": in_a_database,
}


@pytest.mark.parametrize("leak", LEAKS.values(), ids=LEAKS)
def test_a_leak_is_found(leak: Callable[[Picture], bytes]) -> None:
    """A marked picture is known again in each form in which it could be kept or sent."""
    assert MARK.found_in(leak(MARK.paint(door())))


@pytest.mark.parametrize("leak", LEAKS.values(), ids=LEAKS)
def test_nothing_else_is_found(leak: Callable[[Picture], bytes]) -> None:
    """Neither the same picture without the mark, nor the same with another mark, is taken for it."""
    other = Mark.of(1)

    assert not MARK.found_in(leak(door()))
    assert not MARK.found_in(leak(other.paint(door())))


def test_a_clip_is_found(tmp_path: Path) -> None:
    """A clip in a file is decoded and known again."""
    path = tmp_path / "clip.mp4"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 15, (320, 240))
    for _ in range(5):
        writer.write(MARK.paint(scaled(door(), 320)))
    writer.release()

    assert MARK.found_in_file(path)


@pytest.mark.parametrize(
    "noise",
    [b"", bytes(1_000_000), os.urandom(5_000_000), b'{"in": 41, "out": 38}\n' * 50_000],
    ids=["nothing", "zeros", "random bytes", "text"],
)
def test_noise_is_no_mark(noise: bytes) -> None:
    """No bytes, zeros, random bytes and text aren't taken for a picture."""
    assert not MARK.found_in(noise)
