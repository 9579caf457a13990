"""
The process that sees: one camera's frames to one camera's readings, sealed before the first frame is looked at.

It knows no site name and no broker, keeps no file and opens no network. The only thing it ever says is a Tally for
each line, every ten seconds, down a pipe that nobody can answer through. It uses the wall clock for one thing: to
close the camera outside opening hours, and a clock that can't be trusted leaves it open.
"""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from edge.config.schema import VisionSettings
from edge.core import head_model
from edge.core.clock import Clock
from edge.core.errors import CameraClosed, CameraMissing, ConfigChanged, ConfigError, EdgeError, ModelMissing
from edge.core.signals import Notice
from edge.core.tally import Flag
from edge.sandbox.readiness import Readiness, Word
from edge.vision.camera import Capture, Source, open_source
from edge.vision.clip import find_clip
from edge.vision.odometer import DiodeWriter, Odometers
from edge.vision.pipeline import Pipeline
from edge.vision.preview import Preview
from edge.vision.scene import Crossing, Frame
from edge.vision.seal import Seal

log = logging.getLogger(__name__)

_TICK_S = 0.5


class OpeningSchedule:
    """Whether the shop is open now, as far as the clock can be trusted."""

    def __init__(self, settings: VisionSettings, clock: Clock) -> None:
        self._open = settings.camera.open
        self._zone = ZoneInfo(settings.timezone)
        self._clock = clock

    def closed(self) -> bool:
        """Tell whether the camera must be closed now."""
        if self._open is None or not self._clock.trusted():
            return False
        return not self._open.is_open(datetime.fromtimestamp(self._clock.wall_ms() / 1000, self._zone))


def run(
    load: Callable[[], VisionSettings],
    clock: Clock,
    notifier: Readiness,
    seal: Seal | None,
    *,
    diode: int | None = None,
    window: int | None = None,
    picture: bool = True,
) -> None:
    """
    Count until SIGTERM or SIGINT comes, or a clip is over; the last reading is written either way.

    SIGHUP reads the config again. One that can't be used is refused, and the old one goes on.

    Args:
        load: Reads this camera's slice of the config; called now, and again for each SIGHUP.
        clock: The box's clock, or a trial's.
        notifier: Tells systemd, if it is there.
        seal: Closed before the first frame is looked at; None only while developing, and it is said loudly.
        diode: An inherited pipe's write end; None opens the FIFO that *settings* name.
        window: A second inherited pipe, of `footfall setup` or `footfall audit`, for silhouettes. Then a technician is
            at the door: opening hours don't count, and nobody at the pipe's other end is the end of this process.
        picture: Whether silhouettes have cells.

    Raises:
        EdgeError: CameraMissing, DetectorError, DiodeMissing, SealError; ConfigChanged if a new config needs a new
            process.
    """
    settings = load()
    stopping, reloading = Notice(), Notice()
    signal.signal(signal.SIGHUP, lambda *_: reloading.set())
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    if window is not None:
        settings = replace(settings, camera=settings.camera.model_copy(update={"open": None, "replay": "pace"}))
    contract = head_model.read(settings.model)
    pipeline = Pipeline(contract, settings.camera.lines, settings.camera.fps)
    writer = DiodeWriter(settings.tally, diode)
    odometers = Odometers(settings.camera.lines, clock)
    camera = _CameraSession(settings, clock)
    schedule = OpeningSchedule(settings, clock)
    while camera.helped and schedule.closed() and not stopping.wait(_TICK_S):
        # Its helper can only be started before sealing; until the shop opens there is nothing to see, and nothing to
        # seal. But it is up: systemd would end one that isn't, every two minutes of the night.
        notifier.say(Word.CLOSED)
        notifier.alive()
        odometers.unwatched(Flag.CLOSED)
        odometers.write(writer)
    if not schedule.closed():
        camera.open()
    if seal is not None:
        seal.close((writer.descriptor, *notifier.descriptors, *(() if window is None else (window,))))
    else:
        log.warning("camera %s: NOT SEALED, as asked for: never run a shop like this", settings.name)
    notifier.say(Word.NOT_SEALED if seal is None else Word.SEALED)
    preview = None if window is None else Preview(window, list(settings.camera.lines), picture=picture)
    loop = _Loop(settings, clock, pipeline, odometers, writer, camera, schedule, notifier, preview)
    try:
        while not stopping.is_set() and not camera.over and not (preview and preview.shut):
            if reloading.is_set() and preview is None:
                reloading.clear()
                loop.reload(load)
            if not loop.tick():
                stopping.wait(_TICK_S)
    except EdgeError as exc:
        # A sealed process has no log; `systemctl status` still shows this.
        notifier.say(Word.of(exc))
        raise
    finally:
        notifier.say(Word.STOPPING)
        loop.count(loop.pipeline.finish())
        loop.odometers.write(writer, last=True)
        camera.close()
    counted_in, counted_out, frames = loop.odometers.totals
    log.info("camera %s: ends after %d in, %d out in %d frames", settings.name, counted_in, counted_out, frames)


@dataclass(slots=True)
class _Loop:
    """Everything that one look at the door needs."""

    settings: VisionSettings
    clock: Clock
    pipeline: Pipeline
    odometers: Odometers
    diode: DiodeWriter
    camera: _CameraSession
    schedule: OpeningSchedule
    notifier: Readiness
    preview: Preview | None

    def reload(self, load: Callable[[], VisionSettings]) -> None:
        """
        Read the config again and take up its lines and opening hours; other lines begin another run.

        Raises:
            ConfigChanged: it can be used, and by a new process only.
        """
        self.notifier.say(Word.RELOADING)
        try:
            new = load()
            changed = self.settings.beyond_reload(new)
            if changed:
                _look_ahead(new)
        except EdgeError as exc:
            said = exc.messages if isinstance(exc, ConfigError) else (exc,)
            for message in said:
                log.error("config refused: %s", message)  # noqa: TRY400 - a line each
            log.error("the old config goes on")  # noqa: TRY400 - likewise
            self.notifier.say(Word.REFUSED)
            return
        if changed:
            raise ConfigChanged(changed)
        self.pipeline.begin_view()
        if new.camera.lines != self.settings.camera.lines:
            self.odometers.write(self.diode, last=True)
            self.odometers = Odometers(new.camera.lines, self.clock)
            self.pipeline.redraw(new.camera.lines)
        self.schedule = OpeningSchedule(new, self.clock)
        self.settings = new
        log.info("camera %s: config read again: lines and opening hours are as it says now", new.name)
        self.notifier.say(Word.RELOADED)

    def count(self, crossings: Sequence[Crossing]) -> None:
        """Add *crossings*, and those that the pipeline has just refused, to the odometers."""
        for crossing in crossings:
            self.odometers.cross(crossing.line, crossing.direction)
        for refused in self.pipeline.refused:
            self.odometers.refuse(refused.line)

    def tick(self) -> bool:
        """Write a reading if one is due, and look at one frame; return False if the shop is closed."""
        self.odometers.write(self.diode)
        if self.schedule.closed():
            self.camera.shut()
            self.odometers.unwatched(Flag.CLOSED)
            self.notifier.alive()
            return False
        frame = self.camera.take(_TICK_S)
        if frame is not None:
            self.count(self.pipeline.look(frame))
            self.odometers.watch(self.pipeline.flags)
            if self.preview is not None:
                self.preview.show(frame, self.pipeline, self.odometers)
            self.notifier.alive()
        elif self.camera.lost:
            self.odometers.unwatched(Flag.CAMERA_LOST)
            if self.preview is not None:
                self.preview.say(Flag.CAMERA_LOST, self.odometers)
            self.notifier.alive()
        return True


def _look_ahead(settings: VisionSettings) -> None:
    """Refuse a config with which a new process couldn't even begin; EdgeError says why."""
    contract = head_model.read(settings.model)
    if not contract.file.exists():
        raise ModelMissing(contract.file)
    source = settings.camera.source
    if not source.startswith("csi:") and not Path(source).exists():
        raise CameraMissing(source, "there is no such camera or clip", "name one that is there as `source`")


class _CameraSession:
    """The camera, opened and shut with the shop. No frame is read before the first :meth:`take`."""

    def __init__(self, settings: VisionSettings, clock: Clock) -> None:
        self._camera = settings.camera
        self._clock = clock
        self._capture: Capture | None = None
        self.helped = self._camera.helped
        self._live = self._camera.live

    @property
    def over(self) -> bool:
        """Whether a clip has ended."""
        return self._capture is not None and self._capture.over

    @property
    def lost(self) -> bool:
        """Whether the camera is gone and being looked for."""
        return self._capture is not None and self._capture.lost

    def open(self) -> None:
        """
        Open the camera, so that a missing one is known before anything else happens; raises CameraMissing.

        A clip is only looked for: its header is parsed by a process that is sealed, as its pictures are.
        """
        if self._live or self.helped:
            self._begin(open_source(self._camera, self._clock))
        else:
            find_clip(self._camera.source)

    def take(self, timeout_s: float) -> Frame | None:
        """Return the newest frame, if one came in *timeout_s*; raises CameraLost if none can ever come again."""
        if self._capture is None:
            # A live camera that is missing when the shop opens is a lost one: it is looked for until it is back.
            self._begin(None if self._live else open_source(self._camera, self._clock))
        assert self._capture is not None  # noqa: S101 - begun just now
        self._capture.start()
        return self._capture.take(timeout_s)

    def shut(self) -> None:
        """Close the camera because the shop has closed; raises CameraClosed if this process can't open it again."""
        if self.helped and self._capture is not None:
            raise CameraClosed(self._camera.source, "the shop has closed", "it opens again in a new process")
        self.close()

    def close(self) -> None:
        """Stop looking."""
        if self._capture is not None:
            self._capture.stop()
            self._capture = None

    def _begin(self, source: Source | None) -> None:
        reopen = (lambda: open_source(self._camera, self._clock)) if self._live else None
        self._capture = Capture(source, reopen, every_frame=not self._live and self._camera.replay == "fast")
