"""
A USB camera (UVC 1.0) as seen from its own side: descriptors, control requests, packets of pictures. No transport.

It is of high speed and gives MJPG over a bulk endpoint. It can do what cameras in shops do: be pulled and plugged in,
share its serial number with another, hang while it still answers, and give broken pictures.
"""

from __future__ import annotations

import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from tests.publisher.rig import wait_until

WIDTH, HEIGHT, RATE = 640, 480, 15
PAYLOAD = 16_384
"""Bytes of a packet: a header of twelve, then a part of a picture."""
_HEADER = 12
_LOOK_S = 0.02
"""How often the camera looks at its clock, s."""
_LARGEST = WIDTH * HEIGHT * 2
_INTERVAL = 10_000_000 // RATE
"""Between two pictures, as the camera promises, in units of 100 ns."""
_PICTURE_ID, _END_OF_PICTURE, _END_OF_HEADER = 1, 2, 0x80
_VIDEO, _CONTROL, _STREAMING = 0x0E, 1, 2
_DEVICE = struct.pack("<BBHBBBBHHHBBBB", 18, 1, 0x0200, 0xEF, 2, 1, 64, 0x1D6B, 0x0102, 0x0100, 1, 2, 3, 1)
_QUALIFIER = struct.pack("<BBHBBBBBB", 10, 6, 0x0200, 0xEF, 2, 1, 64, 1, 0)
_GET_DESCRIPTOR, _GET_STATUS, _CLEAR_FEATURE, _SET_FEATURE = 6, 0, 1, 3
_A_DEVICE, _A_CONFIGURATION, _A_TEXT, _A_QUALIFIER = 1, 2, 3, 6
_OF_STANDARD, _OF_CLASS, _KIND = 0, 0x20, 0x60
_PROBE, _COMMIT = 1, 2
_SET, _GET, _GET_MIN, _GET_MAX, _GET_LEN, _GET_INFO, _GET_DEFAULT = 1, 0x81, 0x82, 0x83, 0x85, 0x86, 0x87

Send = Callable[[int, bytes], None]
"""Answers the request for a bulk packet that has this number."""


@dataclass(slots=True)
class Camera:
    """
    One camera.

    Args:
        pictures: JPEGs, given in turn, each once.
        fps: Pictures a second that it gives; it promises `RATE` whatever this is.
        now_s: The clock that it goes by, s.
        serial: The serial number; two cameras of one type may share it.

    Attributes:
        commits: How often a kernel has asked it to stream.
        given: How many pictures a kernel has taken in whole.
        stalled: While set, it answers and gives no picture, as one whose firmware hangs.
        spoil: What becomes of each JPEG before it is sent; None leaves it whole.
    """

    pictures: Iterator[bytes]
    fps: float
    now_s: Callable[[], float] = time.monotonic
    serial: str = "0001"
    stalled: bool = False
    spoil: Callable[[bytes], bytes] | None = None
    commits: int = 0
    given: int = 0
    send: Send | None = field(default=None, repr=False)
    _probe: bytes = struct.pack("<HBBIHHHHHII", 1, 1, 1, _INTERVAL, 0, 0, 0, 0, 0, _LARGEST, PAYLOAD)
    _streaming: bool = False
    _over: bool = False
    _pending: deque[int] = field(default_factory=deque)
    _changed: threading.Condition = field(default_factory=threading.Condition)

    def start(self) -> None:
        """Begin to feed pictures whenever a kernel streams."""
        threading.Thread(target=self._feed, name="camera", daemon=True).start()

    def end(self) -> None:
        """Stop for good."""
        with self._changed:
            self._over = True
            self._changed.notify_all()

    @property
    def streams(self) -> bool:
        """Whether a kernel takes pictures from it."""
        return self._streaming and bool(self._pending)

    def give(self, more: int) -> None:
        """Return when it has given so many pictures more."""
        goal = self.given + more
        wait_until(lambda: self.given >= goal, f"{more} pictures more than {self.given}", 1_500)

    # --- what a kernel asks ------------------------------------------------------------------------------------------

    def control(self, request: int, kind: int, value: int, index: int, length: int, data: bytes) -> bytes | None:
        """Answer a control request; None refuses it."""
        if kind & _KIND == _OF_STANDARD:
            return self._standard(request, kind, value, length)
        if kind & _KIND == _OF_CLASS and index & 255 == 1 and value >> 8 in (_PROBE, _COMMIT):
            return self._video(request, commit=value >> 8 == _COMMIT, data=data)
        return None

    def ask(self, number: int) -> None:
        """Take the request for a bulk packet."""
        with self._changed:
            self._pending.append(number)
            self._changed.notify_all()

    def take_back(self, number: int) -> bool:
        """Forget a request; return whether it was still open."""
        with self._changed:
            if number not in self._pending:
                return False
            self._pending.remove(number)
            return True

    def stop(self) -> None:
        """Stop streaming, as when the kernel closes it."""
        with self._changed:
            self._streaming = False
            self._changed.notify_all()

    def forget(self) -> None:
        """Stop streaming and forget every request, as when the plug is pulled or the device is reset."""
        with self._changed:
            self._pending.clear()
        self.stop()

    def _standard(self, request: int, kind: int, value: int, length: int) -> bytes | None:
        if request == _GET_DESCRIPTOR:
            found = self._descriptor(value >> 8, value & 255)
            return None if found is None else found[:length]
        if request == _GET_STATUS:
            return b"\0\0"[:length]
        # Of an endpoint: so a kernel says that it stops streaming.
        if request == _CLEAR_FEATURE and kind & 31 == 2:
            self.stop()
        return b"" if request in (_CLEAR_FEATURE, _SET_FEATURE) else None

    def _descriptor(self, kind: int, number: int) -> bytes | None:
        if kind == _A_TEXT:
            texts = {1: "Footfall tests", 2: "UVC camera", 3: self.serial}
            return b"\x04\x03\x09\x04" if number == 0 else _text(texts[number]) if number in texts else None
        return {_A_DEVICE: _DEVICE, _A_CONFIGURATION: _configuration(), _A_QUALIFIER: _QUALIFIER}.get(kind)

    def _video(self, request: int, *, commit: bool, data: bytes) -> bytes | None:
        if request != _SET:
            known = dict.fromkeys((_GET, _GET_MIN, _GET_MAX, _GET_DEFAULT), self._probe)
            return {**known, _GET_LEN: struct.pack("<H", len(self._probe)), _GET_INFO: b"\3"}.get(request)
        wanted = bytearray(data[: len(self._probe)].ljust(len(self._probe), b"\0"))
        struct.pack_into("<BBI", wanted, 2, 1, 1, _INTERVAL)
        struct.pack_into("<II", wanted, 18, _LARGEST, PAYLOAD)
        self._probe = bytes(wanted)
        if commit:
            with self._changed:
                self.commits += 1
                self._streaming = True
                self._changed.notify_all()
        return b""

    # --- pictures ----------------------------------------------------------------------------------------------------

    def _feed(self) -> None:
        picture_id, due_s = 0, 0.0
        while not self._over:
            with self._changed:
                if not self._changed.wait_for(lambda: self._over or (self._streaming and not self.stalled), 0.5):
                    continue
            due_s = max(due_s + 1 / self.fps, self.now_s())
            while not self._over and self.now_s() < due_s:
                time.sleep(_LOOK_S)
            whole = next(self.pictures)
            if self._give(self.spoil(whole) if self.spoil else whole, picture_id):
                self.given += 1
                picture_id ^= _PICTURE_ID

    def _give(self, jpeg: bytes, picture_id: int) -> bool:
        """Give one picture in as many packets as it needs; return False if the kernel stopped asking."""
        for start in range(0, len(jpeg), PAYLOAD - _HEADER):
            part = jpeg[start : start + PAYLOAD - _HEADER]
            last = _END_OF_PICTURE if start + len(part) == len(jpeg) else 0
            with self._changed:
                self._changed.wait_for(lambda: self._pending or self._over or not self._streaming)
                if self._over or not self._streaming or self.send is None:
                    return False
                number = self._pending.popleft()
            self.send(number, struct.pack("<BBIIH", _HEADER, _END_OF_HEADER | picture_id | last, 0, 0, 0) + part)
        return True


def _text(said: str) -> bytes:
    encoded = said.encode("utf-16-le")
    return bytes([len(encoded) + 2, 3]) + encoded


def _configuration() -> bytes:
    """Return what the camera says that it has: a lens, and one stream of MJPG over a bulk endpoint."""
    association = bytes([8, 11, 0, 2, _VIDEO, 3, 0, 2])
    control = bytes([9, 4, 0, 0, 0, _VIDEO, _CONTROL, 0, 2])
    lens = struct.pack("<BBBBHBBHHHB", 18, 0x24, 2, 1, 0x0201, 0, 0, 0, 0, 0, 3) + bytes(3)
    out = struct.pack("<BBBBHBBB", 9, 0x24, 3, 2, 0x0101, 0, 1, 0)
    header = struct.pack("<BBBHHIBB", 13, 0x24, 1, 0x0100, 13 + len(lens) + len(out), 48_000_000, 1, 1)
    mjpg = bytes([11, 0x24, 6, 1, 1, 1, 1, 0, 0, 0, 0]) + struct.pack(
        "<BBBBBHHIIIIBII",
        *(34, 0x24, 7, 1, 0, WIDTH, HEIGHT, WIDTH * HEIGHT * 240, WIDTH * HEIGHT * 480, _LARGEST),
        *(_INTERVAL, 2, _INTERVAL, 2 * _INTERVAL),
    )
    colour = bytes([6, 0x24, 0x0D, 1, 1, 4])
    inputs = struct.pack("<BBBBHBBBBBBBB", 14, 0x24, 1, 1, 14 + len(mjpg) + len(colour), 0x81, 0, 2, 0, 0, 0, 1, 0)
    stream = bytes([9, 4, 1, 0, 1, _VIDEO, _STREAMING, 0, 0]) + inputs + mjpg + colour
    endpoint = struct.pack("<BBBBHB", 7, 5, 0x81, 2, 512, 0)
    body = association + control + header + lens + out + stream + endpoint
    return struct.pack("<BBHBBBBB", 9, 2, 9 + len(body), 2, 1, 0, 0x80, 250) + body
