"""
A mark that a picture carries, and a search that knows it again: in any bytes, raw or encoded, whatever was done to it.

The mark is a row of black and white bars, repeated down the picture. Whatever the picture's scale, number of channels
or kind of number, a row of it is a sequence of long and short runs of high and low values, and the ratios of their
lengths stay. So the search looks for runs, not for pictures, and needs to know neither width nor format.
"""

from __future__ import annotations

import base64
import binascii
import random
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

_WIDTHS, _TIMES = (1, 2, 3), 8
"""Widths of the bars, and how many there are of each: fewer, or mostly narrow ones, are found in any memory."""
_LEAST_UNIT = 1.6
"""Samples that the narrowest bar must be wide: the mark is found in pictures down to about 80 px of width."""
_TOLERANCE = 0.55
"""Of the narrowest bar's width, by which any bar may be wrong: scaling rounds, JPEG blurs."""
_DARK, _LIGHT = 24, 232
_CHUNK, _OVERLAP = 1 << 23, 1 << 16
_MOST_HITS = 300
_PICTURES = re.compile(rb"\xff\xd8\xff|\x89PNG\r\n\x1a\n|RIFF....WEBP", re.DOTALL)
_PACKED = re.compile(rb"\x78[\x01\x5e\x9c\xda]|\x1f\x8b\x08")
_BASE64, _HEX = re.compile(rb"[A-Za-z0-9+/\-_]{256,}"), re.compile(rb"(?:[0-9a-fA-F]{2}){256,}")


@dataclass(frozen=True, slots=True)
class Mark:
    """Widths of the bars, in units."""

    bars: tuple[int, ...]

    @classmethod
    def of(cls, seed: int) -> Mark:
        """Return the mark that belongs to *seed*."""
        bars = list(_WIDTHS * _TIMES)
        random.Random(seed).shuffle(bars)
        return cls(tuple(bars))

    def row(self, width: int) -> npt.NDArray[np.uint8]:
        """Return one row of the mark, (width,) uint8."""
        edges = np.cumsum((0, *self.bars)) * width / sum(self.bars)
        bar = np.searchsorted(edges, np.arange(width) + 0.5) - 1
        return np.where(bar % 2, _LIGHT, _DARK).astype(np.uint8)

    def paint(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """Return *pixels*, (height, width, 3), with the mark over its upper and lower fifth."""
        painted = pixels.copy()
        height, width = pixels.shape[:2]
        row = self.row(width)[None, :, None]
        painted[: height // 5] = row
        painted[-height // 5 :] = row
        return painted

    def found_in(self, data: bytes, *, depth: int = 2) -> bool:
        """Tell whether *data* holds a picture with the mark: raw, or encoded up to *depth* times."""
        if any(self._in_samples(view) for view in _views(data)):
            return True
        return depth > 0 and any(self.found_in(inner, depth=depth - 1) for inner in _decoded(data))

    def found_in_file(self, path: Path) -> bool:
        """Tell whether a file, or its name, holds the mark; a clip's first frames are looked at, too."""
        if self.found_in(path.name.encode()) or self.found_in(path.read_bytes()):
            return True
        clip = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
        try:
            good, pixels = clip.read()
            return bool(good) and self.found_in(pixels.tobytes(), depth=0)
        finally:
            clip.release()

    def _in_samples(self, high: npt.NDArray[np.bool_]) -> bool:
        """Tell whether the runs of high and low in *high*, (n,), have the ratios of the bars."""
        # A row's first and last bar run together with those of its neighbours.
        bars = np.array(self.bars[1:-1])
        runs = np.diff(np.flatnonzero(high[1:] != high[:-1]))
        if len(runs) < len(bars):
            return False
        ends = np.concatenate(((0,), np.cumsum(runs)))
        units = (ends[len(bars) :] - ends[: -len(bars)]) / bars.sum()
        at = np.flatnonzero(units >= _LEAST_UNIT)
        for index, bar in enumerate(bars):
            at = at[np.abs(runs[at + index] / units[at] - bar) < _TOLERANCE]
        return bool(at.size)


def _views(data: bytes) -> Iterator[npt.NDArray[np.bool_]]:
    """Yield what is high and what is low in *data*, read as each kind of number that a picture may be kept in."""
    for start in range(0, max(1, len(data)), _CHUNK):
        chunk = data[start : start + _CHUNK + _OVERLAP]
        samples = np.frombuffer(chunk, np.uint8)
        # Bytes with a sign have the same runs, the other way round. Three equal channels only make each bar wider.
        high = samples > 127
        yield high
        # YUYV, 16 bits, and pictures with an alpha channel.
        for step in (2, 4):
            for offset in range(step):
                yield high[offset::step]
        numbers = np.frombuffer(chunk[: len(chunk) // 4 * 4], "<f4")
        with np.errstate(invalid="ignore"):
            for threshold in (0.0, 0.5, 127.5):
                yield numbers > threshold


def _decoded(data: bytes) -> Iterator[bytes]:
    """Yield what *data* holds in encoded form."""
    for hit in _hits(_PICTURES, data):
        # A JPEG without its end isn't decoded, so it gets one.
        pixels = cv2.imdecode(np.frombuffer(data[hit : hit + _CHUNK] + b"\xff\xd9", np.uint8), cv2.IMREAD_COLOR)
        if pixels is not None:
            yield pixels.tobytes()
    for hit in _hits(_PACKED, data):
        for format_ in (15, 31):
            try:
                unpacked = zlib.decompressobj(format_).decompress(data[hit : hit + _CHUNK], _CHUNK)
            except zlib.error:
                continue
            if len(unpacked) > 256:  # a row
                yield unpacked
    for match in list(_HEX.finditer(data))[:_MOST_HITS]:
        yield binascii.unhexlify(match[0])
    for match in list(_BASE64.finditer(data))[:_MOST_HITS]:
        text = match[0].translate(bytes.maketrans(b"-_", b"+/"))
        yield base64.b64decode(text[: len(text) // 4 * 4])


def _hits(pattern: re.Pattern[bytes], data: bytes) -> list[int]:
    return [match.start() for match in pattern.finditer(data)][:_MOST_HITS]
