"""
Small clips whose times are odd in the ways that phones, browsers and recorders make them: written by OpenCV, and then
changed where their containers hold rates and times.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

import cv2
import numpy as np

FRAMES = 30
SIZE = (64, 48)
_ANCESTORS = (b"moov", b"trak", b"mdia", b"minf", b"stbl")
"""The boxes around an MP4's table of times, outermost first."""


def picture(number: int) -> np.ndarray:
    """Return frame *number*: a grey level of its own, among thirty."""
    return np.full((SIZE[1], SIZE[0], 3), 8 * (number % 30), np.uint8)


def number_of(pixels: np.ndarray) -> int:
    """Return which frame this is."""
    return round(float(pixels.mean()) / 8)


def write(path: Path, fps: float = 15, frames: int = FRAMES) -> Path:
    """Write a clip of so many frames; the suffix says which container and codec."""
    codec = {".avi": "MJPG", ".mp4": "mp4v", ".webm": "VP80", ".mkv": "MJPG"}[path.suffix]
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*codec), fps, SIZE)
    assert writer.isOpened(), f"OpenCV can't write {path.suffix} here"
    for number in range(frames):
        writer.write(picture(number))
    writer.release()
    return path


def write_bare(path: Path, frames: int = FRAMES) -> Path:
    """Write pictures one after another without a container, as `rpicam-vid --codec mjpeg` does."""
    path.write_bytes(b"".join(cv2.imencode(".jpg", picture(number))[1].tobytes() for number in range(frames)))
    return path


def set_avi_rate(path: Path, fps: int) -> Path:
    """Make the header of an AVI say *fps*."""
    data = bytearray(path.read_bytes())
    struct.pack_into("<II", data, data.index(b"strh") + 28, 1, fps)
    struct.pack_into("<I", data, data.index(b"avih") + 8, round(1e6 / fps))
    path.write_bytes(data)
    return path


def set_mp4_steps(path: Path, steps_ms: Sequence[int]) -> Path:
    """Give each frame of an MP4 a length of its own, as phones do; in ms."""
    data = bytearray(path.read_bytes())
    # The edit list says which part of the old length is shown.
    data = data.replace(b"edts", b"free")
    mdhd = data.index(b"mdhd") + 4
    struct.pack_into(">II", data, mdhd + 12, 1000, sum(steps_ms))
    start = data.index(b"stts") - 4
    (old,) = struct.unpack_from(">I", data, start)
    entries = [(len(list(group)), step) for step, group in groupby(steps_ms)]
    new = struct.pack(">I4sII", 16 + 8 * len(entries), b"stts", 0, len(entries))
    new += b"".join(struct.pack(">II", *entry) for entry in entries)
    assert data.index(b"mdat") < data.index(b"moov"), "the pictures would move"
    for name in _ANCESTORS:
        at = data.index(name) - 4
        (size,) = struct.unpack_from(">I", data, at)
        struct.pack_into(">I", data, at, size + len(new) - old)
    data[start : start + old] = new
    path.write_bytes(data)
    return path


def set_webm_times(path: Path, times_ms: Sequence[int]) -> Path:
    """Give each frame of a WebM a time of its own, and take rate and length out, as browsers write it."""
    data = bytearray(path.read_bytes())
    for element in (b"\x23\xe3\x83\x84", b"\x44\x89\x88"):  # DefaultDuration and Duration become Void
        start, size = data.index(element), len(element) + element[-1] - 0x80
        data[start : start + size] = bytes([0xEC, 0x80 + size - 2]) + bytes(size - 2)
    at = 0
    for number, time_ms in enumerate(times_ms):
        at = data.index(b"\x81" + struct.pack(">h", round(number * 1000 / 15)), at)  # track 1, then the block's time
        struct.pack_into(">h", data, at + 1, time_ms)
    path.write_bytes(data)
    return path


def cut(path: Path, share: float) -> Path:
    """Cut a clip short: keep this share of its bytes."""
    data = path.read_bytes()
    path.write_bytes(data[: round(share * len(data))])
    return path


def move_index_first(path: Path) -> Path:
    """Put an MP4's list of frames before its pictures, as files for the web have it."""
    data = path.read_bytes()
    mdat, moov = data.index(b"mdat") - 4, data.index(b"moov") - 4
    boxes = bytearray(data[moov:])
    at = boxes.index(b"stco") + 4
    (count,) = struct.unpack_from(">I", boxes, at + 4)
    for entry in range(count):
        (offset,) = struct.unpack_from(">I", boxes, at + 8 + 4 * entry)
        struct.pack_into(">I", boxes, at + 8 + 4 * entry, offset + len(boxes))
    path.write_bytes(data[:mdat] + bytes(boxes) + data[mdat:moov])
    return path
