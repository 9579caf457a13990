"""
A real Chromium, driven over its DevTools protocol: real pointers, real touch, real layout.

Only what the page's tests need; `websockets` carries it.
"""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

PROGRAM = next((found for name in ("chromium", "chromium-browser") if (found := shutil.which(name))), None)
DEADLINE_S = 300.0
_OPTIONS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    "--hide-scrollbars",
    "--force-device-scale-factor=1",
    "--remote-debugging-port=0",
)


class Page:
    """
    One tab.

    Attributes:
        said: What it complained of: exceptions, and console errors such as what a Content-Security-Policy refused.
        asked: The addresses of everything that it loaded or tried to.
    """

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self.said: list[str] = []
        self.asked: list[str] = []
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.do(f"{domain}.enable")

    def do(self, method: str, **params: object) -> dict[str, Any]:
        """Call one method of the protocol, and return its result."""
        number = next(self._numbers)
        self._socket.send(json.dumps({"id": number, "method": method, "params": params}))
        while True:
            message = json.loads(self._socket.recv(DEADLINE_S))
            if message.get("id") == number:
                assert "error" not in message, message
                return dict(message["result"])
            self._hear(message)

    def _hear(self, message: Mapping[str, Any]) -> None:
        params = message.get("params", {})
        if message.get("method") == "Runtime.exceptionThrown":
            self.said.append(json.dumps(params["exceptionDetails"]))
        elif message.get("method") == "Log.entryAdded" and params["entry"]["level"] == "error":
            self.said.append(params["entry"]["text"])
        elif message.get("method") == "Network.requestWillBeSent":
            self.asked.append(params["request"]["url"])

    def open(self, address: str) -> None:
        """Go to *address*."""
        self.do("Page.navigate", url=address)
        self.wait("document.readyState === 'complete'")

    def run(self, script: str) -> Any:
        """Return the value of a JavaScript expression."""
        result = self.do("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def wait(self, condition: str, deadline_s: float = DEADLINE_S) -> None:
        """Return once *condition* holds; fail after *deadline_s*."""
        until = time.monotonic() + deadline_s
        while True:
            # A page that is just being left can't be asked.
            with contextlib.suppress(AssertionError):
                value = self.run(f"Boolean({condition})")
                if value:
                    return
            if time.monotonic() > until:
                raise AssertionError(f"waited {deadline_s} s in vain for {condition}; the page said {self.said}")
            time.sleep(0.05)

    def text(self, selector: str) -> str:
        """Return the text of the first element that *selector* finds."""
        return str(self.run(f"document.querySelector({json.dumps(selector)}).textContent"))

    def middle(self, selector: str) -> tuple[float, float]:
        """Return where the middle of an element is, px of the window, after it was brought into view."""
        found = json.dumps(selector)
        box = self.run(
            f"(() => {{ const e = document.querySelector({found}); e.scrollIntoView({{block: 'nearest'}});"
            " const b = e.getBoundingClientRect(); return [b.x + b.width / 2, b.y + b.height / 2]; })()"
        )
        return float(box[0]), float(box[1])

    def click(self, selector: str) -> None:
        """Press and release the mouse on an element, once nothing lies over it."""
        found = json.dumps(selector)
        self.middle(selector)
        self.wait(
            f"(() => {{ const e = document.querySelector({found}); const b = e.getBoundingClientRect();"
            " return e.contains(document.elementFromPoint(b.x + b.width / 2, b.y + b.height / 2)); })()"
        )
        self.press(*self.middle(selector))

    def press(self, x: float, y: float) -> None:
        """Press and release the mouse at a place of the window."""
        self._mouse("mousePressed", x, y)
        self._mouse("mouseReleased", x, y)

    def drag(self, start: tuple[float, float], end: tuple[float, float], steps: int = 6) -> None:
        """Drag with the mouse."""
        self._mouse("mousePressed", *start)
        for x, y in _between(start, end, steps):
            self._mouse("mouseMoved", x, y)
        self._mouse("mouseReleased", *end)

    def _mouse(self, kind: str, x: float, y: float) -> None:
        self.do("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", buttons=1, clickCount=1)

    def swipe(self, start: tuple[float, float], end: tuple[float, float], steps: int = 6) -> None:
        """Drag with a finger; from a place to itself it is a tap."""
        self._touch("touchStart", start)
        for place in _between(start, end, steps) if start != end else ():
            self._touch("touchMove", place)
        self._touch("touchEnd")

    def _touch(self, kind: str, *places: tuple[float, float]) -> None:
        self.do("Input.dispatchTouchEvent", type=kind, touchPoints=[{"x": x, "y": y} for x, y in places])

    def key(self, key: str) -> None:
        """Press and release a key."""
        for kind in ("keyDown", "keyUp"):
            self.do("Input.dispatchKeyEvent", type=kind, key=key, code=key)

    def write(self, text: str) -> None:
        """Type *text* into what has the focus, in place of what is selected."""
        self.do("Input.insertText", text=text)

    def be_phone(self, width: int, height: int, scale: float = 1) -> None:
        """Be a touch screen of this size, px."""
        self.do("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale, mobile=True)
        self.do("Emulation.setTouchEmulationEnabled", enabled=True)

    def be_laptop(self, width: int = 1280, height: int = 800) -> None:
        """Be a window of this size, px."""
        self.do("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def picture(self, path: Path) -> None:
        """Keep what the window shows as a PNG."""
        path.write_bytes(base64.b64decode(self.do("Page.captureScreenshot", format="png")["data"]))


def _between(start: tuple[float, float], end: tuple[float, float], steps: int) -> Iterator[tuple[float, float]]:
    for step in range(1, steps + 1):
        yield (
            start[0] + (end[0] - start[0]) * step / steps,
            start[1] + (end[1] - start[1]) * step / steps,
        )


class Browser:
    """One Chromium with a profile of its own. Each tab made by `page` stands alone, as in another browser."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._tabs = contextlib.ExitStack()
        self._control = Page.__new__(Page)
        self._control._socket, self._control._numbers = self._connect(address), itertools.count(1)
        self._control.said, self._control.asked = [], []

    def _connect(self, address: str) -> ClientConnection:
        # No limit on what waits to be read: a page that nobody reads any more must still be able to say good-bye.
        return connect(address, max_size=None, max_queue=None, ping_interval=None, open_timeout=DEADLINE_S)

    def page(self) -> Page:
        """Return a tab that shares no cookie with any other."""
        context = self._control.do("Target.createBrowserContext")["browserContextId"]
        target = self._control.do("Target.createTarget", url="about:blank", browserContextId=context)["targetId"]
        connection = self._connect(f"{self._address.partition('/devtools/')[0]}/devtools/page/{target}")
        self._tabs.callback(self._control.do, "Target.disposeBrowserContext", browserContextId=context)
        self._tabs.callback(connection.close)
        return Page(connection)

    def close_tabs(self) -> None:
        """Close all tabs; each would go on asking a server that has gone."""
        self._tabs.close()

    def close(self) -> None:
        """Leave it."""
        self.close_tabs()
        self._control._socket.close()


@contextlib.contextmanager
def browser(profile: Path) -> Iterator[Browser]:
    """Start a Chromium whose files are in *profile*, and end it."""
    assert PROGRAM is not None
    command = [PROGRAM, *_OPTIONS, f"--user-data-dir={profile}", "about:blank"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            driver = Browser(_address(profile, lambda: process.poll() is None))
            yield driver
            driver.close()
        finally:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)
            process.kill()


def _address(profile: Path, alive: Callable[[], bool]) -> str:
    """Return where Chromium listens, which it writes into its profile."""
    until = time.monotonic() + DEADLINE_S
    told = profile / "DevToolsActivePort"
    while time.monotonic() < until:
        assert alive(), "chromium ended before it listened"
        with contextlib.suppress(OSError, ValueError):
            port, path = told.read_text(encoding="ascii").split()
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", int(port)), 5):
                return f"ws://127.0.0.1:{port}{path}"
        time.sleep(0.05)
    raise AssertionError("chromium did not listen in time")
