"""What the picture check says of drawn views and of real clips: still, moved, knocked, covered, dark, frozen."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from edge.config.line import Line
from edge.core import head_model
from edge.core.tally import Flag
from edge.evaluation.evaluate import read_truth
from edge.vision.clip import ClipSource
from edge.vision.detector import Detector
from edge.vision.picture_check import PictureCheck
from edge.vision.pipeline import Pipeline
from edge.vision.scene import Frame, Heads, Sighting
from tests.picture_check.scenes import (
    FPS,
    HEIGHT,
    STILL,
    WIDTH,
    Matrix,
    Person,
    Picture,
    Scene,
    draw_scene,
    panned,
    rolled,
    shifted,
    without_light_changes,
    zoomed,
)

VERDICTS = Flag.DARK | Flag.COVERED | Flag.FROZEN | Flag.MOVED


@dataclass
class Outcome:
    """
    What was seen of one view.

    Attributes:
        came, went: When each flag was raised first, and ended last, seconds.
        shaken: Spells in which crossings would have been refused for shaking, seconds.
    """

    name: str
    came: dict[Flag, float] = field(default_factory=dict)
    went: dict[Flag, float] = field(default_factory=dict)
    shaken: list[tuple[float, float]] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        """Whether nothing was found wrong."""
        return not self.came and not self.shaken


def watch(
    name: str,
    scene: Scene,
    seconds: float,
    *,
    camera: Callable[[float], Matrix] = lambda _: STILL,
    spoil: Callable[[Picture, float], Picture] = lambda picture, _: picture,
    fps: float = FPS,
) -> Outcome:
    """Show *scene* to a picture check for *seconds*; its *camera* may move, and its pictures may be spoilt."""
    check = PictureCheck(fps)
    outcome = Outcome(name)
    flags = Flag(0)
    for index in range(round(seconds * fps)):
        t_s = index / fps
        now = check.look(Frame(spoil(scene.picture(t_s, camera(t_s)), t_s), t_s * 1000)) & VERDICTS
        if not now & (Flag.DARK | Flag.COVERED):
            check.note(*scene.heads(t_s, camera(t_s)))
        for flag in VERDICTS:
            if flag in now and flag not in flags:
                outcome.came.setdefault(flag, t_s)
            if flag in flags and flag not in now:
                outcome.went[flag] = t_s
        flags = now
        if check.refuses(t_s * 1000) == "shaken":
            if outcome.shaken and t_s - outcome.shaken[-1][1] < 1:
                outcome.shaken[-1] = (outcome.shaken[-1][0], t_s)
            else:
                outcome.shaken.append((t_s, t_s))
    return outcome


def still_views(count: int, seconds: float) -> Iterator[Outcome]:
    """Yield what is found in views with traffic from the first picture on, two in five of them plain floors."""
    for seed in range(count):
        scene = draw_scene(1000 + seed, seconds, plain=seed % 12 < 5)
        yield watch(f"{'plain' if scene.plain else 'view'} {seed}", scene, seconds)


def moves(count: int, before_s: float = 60.0, after_s: float = 60.0) -> Iterator[tuple[str, Outcome]]:
    """Yield (kind, what is found) of cameras that were moved after *before_s*, within a second, for good."""
    for seed in range(count):
        random = np.random.default_rng(5000 + seed)
        scene = draw_scene(2000 + seed, before_s + after_s, plain=False)
        sign = random.choice([-1, 1])
        kind, moved = [
            ("turned", rolled(sign * random.uniform(5, 30))),
            ("turned aside", panned(sign * random.uniform(7, 30), random.uniform(-5, 5), random.uniform(60, 90))),
            ("shifted", shifted(sign * random.uniform(0.08, 0.4), random.uniform(-0.1, 0.1))),
            ("zoomed", zoomed(random.uniform(1.15, 1.5) if sign > 0 else random.uniform(0.65, 0.87))),
        ][seed % 4]
        yield kind, watch(kind, scene, before_s + after_s, camera=moving(moved, before_s))


def knocks(count: int, before_s: float = 60.0) -> Iterator[tuple[Outcome, int]]:
    """
    Yield what is found when a camera is knocked aside and put back within ten seconds, and how many were made up.

    Made up are crossings that are counted beyond those of the same scene before a camera that nobody knocks. Three
    people stand near the line, whom the moving picture carries over it.
    """
    for seed in range(count):
        random = np.random.default_rng(6000 + seed)
        away = shifted(random.choice([-1, 1]) * random.uniform(0.1, 0.3), random.uniform(-0.1, 0.1))
        back_s = before_s + random.uniform(2, 9)

        def camera(t_s: float, away: Matrix = away, back_s: float = back_s) -> Matrix:
            return moving(away, before_s)(t_s) if t_s < back_s else moving(STILL, back_s, away)(t_s)

        outcome = watch("knocked", draw_scene(3000 + seed, before_s + 60, plain=False), before_s + 60, camera=camera)
        knocked, still = (_counted(3000 + seed, before_s + 30, moved) for moved in (camera, lambda _: STILL))
        yield outcome, sum(max(0, knocked[direction] - still[direction]) for direction in knocked)


class SceneDetector:
    """Finds the heads that a scene says are in the picture."""

    def __init__(self, scene: Scene, camera: Callable[[float], Matrix]) -> None:
        self._scene, self._camera = scene, camera
        self.t_s = 0.0

    def detect(self, _: Picture) -> Heads:
        """Return the heads at `t_s`."""
        return self._scene.heads(self.t_s, self._camera(self.t_s))[0]


_UPRIGHT = {"from": [0.5, 0.02], "to": [0.5, 0.98], "inside": [0.9, 0.5]}


def _counted(seed: int, seconds: float, camera: Callable[[float], Matrix]) -> dict[str, int]:
    """Return how many are counted each way over an upright line in the middle, through the product's pipeline."""
    scene = draw_scene(seed, seconds, plain=False)
    scene.people = [*scene.people, *(_standing(number, seconds) for number in range(3))]
    pipeline = Pipeline(head_model.read(), {"line": Line.model_validate(_UPRIGHT)}, FPS)
    detector = SceneDetector(scene, camera)
    pipeline._detector = detector  # type: ignore[assignment]
    counted = {"in": 0, "out": 0}
    for index in range(round(seconds * FPS)):
        detector.t_s = index / FPS
        frame = Frame(scene.picture(detector.t_s, camera(detector.t_s)), detector.t_s * 1000)
        for crossing in pipeline.look(frame):
            counted[crossing.direction] += 1
    for crossing in pipeline.finish():
        counted[crossing.direction] += 1
    return counted


def _standing(number: int, seconds: float) -> Person:
    """Return somebody who stands near the middle of the picture all the time."""
    place = (WIDTH + 24.0 * (number - 1) + 8, HEIGHT / 2 + HEIGHT * (0.25 + 0.25 * number))
    return Person(10_000 + number, place, place, 0.0, seconds, 20.0, 60.0, 30.0)


def moving(end: Matrix, at_s: float, start: Matrix = STILL, takes_s: float = 0.7) -> Callable[[float], Matrix]:
    """Return a camera that goes from *start* to *end* within *takes_s* seconds, at *at_s*."""

    def camera(t_s: float) -> Matrix:
        share = min(1.0, max(0.0, (t_s - at_s) / takes_s))
        share = share * share * (3 - 2 * share)
        return (1 - share) * start + share * end

    return camera


def _hand(picture: Picture, _: float) -> Picture:
    """Cover all but a rim with skin, out of focus."""
    cover = np.full((HEIGHT, WIDTH), 95.0, np.float32)
    cv2.ellipse(cover, (WIDTH // 2, HEIGHT // 2), (WIDTH, HEIGHT), 0, 0, 360, 60.0, -1)
    cv2.line(cover, (0, 90), (WIDTH, 120), 50.0, 12)
    return _add_noise(np.asarray(cv2.GaussianBlur(cover, (0, 0), 14), np.float32), picture)


def _tape(picture: Picture, _: float) -> Picture:
    return _add_noise(np.full((HEIGHT, WIDTH), 70.0, np.float32), picture)


def _leaf(picture: Picture, _: float) -> Picture:
    """Cover nine tenths with something near the lens, out of focus."""
    mask = np.zeros((HEIGHT, WIDTH), np.float32)
    cv2.ellipse(
        mask, (int(WIDTH * 0.45), int(HEIGHT * 0.5)), (int(WIDTH * 0.6), int(HEIGHT * 0.62)), 20, 0, 360, 1.0, -1
    )
    mask = np.asarray(cv2.GaussianBlur(mask, (0, 0), 18), np.float32)
    return _add_noise(np.asarray(picture * (1 - mask) + mask * 85.0, np.float32), picture)


def _frost(picture: Picture, _: float) -> Picture:
    """Scatter the light: what is left is a blur, and most of the contrast is gone."""
    blurred = cv2.GaussianBlur(picture.astype(np.float32), (0, 0), 10)
    return _add_noise(150 + 0.35 * (blurred - 128), picture)


def seen_through_paint(seed: int) -> npt.NDArray[np.float32]:
    """Return the share of the light that sprayed paint lets through: (HEIGHT, WIDTH) float32, 0.06 to 0.2."""
    random = np.random.default_rng(seed)
    holes = cv2.GaussianBlur((random.random((HEIGHT, WIDTH)) > 0.97).astype(np.float32), (0, 0), 12)
    return np.asarray(np.minimum(0.06 + (holes - holes.min()) / np.ptp(holes), 0.2), np.float32)


def _spray(picture: Picture, _: float) -> Picture:
    """Spray paint that lets a little of the picture through, here and there more: on the lens, so far out of focus."""
    return _add_noise(np.asarray(40 + seen_through_paint(3) * picture, np.float32), picture)


def _lamp_off(picture: Picture, _: float) -> Picture:
    return np.asarray(picture * 0.06, np.uint8)


def _add_noise(seen: npt.NDArray[np.float32], picture: Picture) -> Picture:
    noise = np.random.default_rng(int(picture.sum()) % 2**32).standard_normal((HEIGHT, WIDTH), np.float32)
    return np.asarray(np.clip(seen + 2 * noise, 0, 255), np.uint8)


FAULTS: dict[str, tuple[Flag, Callable[[Picture, float], Picture]]] = {
    "hand": (Flag.COVERED, _hand),
    "tape": (Flag.COVERED, _tape),
    "leaf": (Flag.COVERED, _leaf),
    "frost": (Flag.COVERED, _frost),
    "spray": (Flag.COVERED, _spray),
    "lamp off": (Flag.DARK, _lamp_off),
    "frozen": (Flag.FROZEN, lambda picture, _: picture),
}


def faults(count: int, before_s: float = 60.0, lasts_s: float = 30.0) -> Iterator[tuple[str, Flag, Outcome]]:
    """Yield (fault, the flag it should raise, what is found): nobody is there while it lasts."""
    for name, (flag, spoil) in FAULTS.items():
        for seed in range(count):
            scene = draw_scene(4000 + seed, before_s - 10, plain=False)
            scene = without_light_changes(scene)
            last: list[Picture] = []

            def spoilt(
                picture: Picture, t_s: float, spoil: Callable[[Picture, float], Picture] = spoil,
                last: list[Picture] = last, flag: Flag = flag,
            ) -> Picture:  # fmt: skip
                if not before_s <= t_s < before_s + lasts_s:
                    last[:] = [picture]
                    return picture
                return last[0] if flag is Flag.FROZEN else spoil(picture, t_s)

            yield name, flag, watch(name, scene, before_s + lasts_s + 20, spoil=spoilt)


def cost(seconds: float, fps: float = 15.0) -> tuple[float, float]:
    """
    Return the mean CPU time of one look and of one run of the head model's interpreter, ms, taken by turns in one run.

    The pictures are those of a view with traffic, 640 x 480 BGR; making them isn't counted.
    """
    scene = draw_scene(1001, seconds, plain=False)
    check, detector = PictureCheck(fps), Detector(head_model.read())
    looked_s = ran_s = 0.0
    count = round(seconds * fps)
    for index in range(count):
        t_s = index / fps
        grey = cv2.resize(scene.picture(t_s), (2 * WIDTH, 2 * HEIGHT), interpolation=cv2.INTER_LINEAR)
        frame = Frame(np.asarray(cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR), np.uint8), t_s * 1000)
        began_s = time.thread_time()
        check.look(frame)
        looked_s += time.thread_time() - began_s
        check.note(*_doubled(scene.heads(t_s)))
        detector._interpreter.invoke()  # once, so that both are measured with the caches as the other leaves them
        began_s = time.process_time()
        detector._interpreter.invoke()
        ran_s += time.process_time() - began_s
    return 1000 * looked_s / count, 1000 * ran_s / count


def _doubled(found: tuple[Heads, list[Sighting]]) -> tuple[Heads, list[Sighting]]:
    """Return what was found in a picture of twice the size."""
    heads, sightings = found
    larger = [s._replace(x=2 * s.x, y=2 * s.y, diameter=2 * s.diameter) for s in sightings]
    return Heads(2 * heads.centres, 2 * heads.diameters, heads.scores), larger


class RecordedDetector:
    """Gives the heads that the shipped detector found in each of a clip's frames, each looked at only once."""

    def __init__(self) -> None:
        self._detector = Detector(head_model.read())
        self._found: dict[int, Heads] = {}
        self.index = 0

    def detect(self, picture: Picture) -> Heads:
        """Return the heads of the frame with the number `index`."""
        if self.index not in self._found:
            self._found[self.index] = self._detector.detect(picture)
        return self._found[self.index]


def clip_to_and_fro(clip: Path, seconds: float, fps: float = 15.0) -> Outcome:
    """Play *clip* forwards, and on backwards and forwards until *seconds* are over, through the product's pipeline."""
    truth = read_truth(clip.with_suffix(".json"))
    source = ClipSource(str(clip), fps=fps)
    frames = []
    while (frame := source.read()) is not None:
        frames.append(np.array(frame.pixels))
    source.close()
    detector = RecordedDetector()
    pipeline = Pipeline(head_model.read(), {"line": truth.line}, fps)
    pipeline._detector = detector  # type: ignore[assignment]
    outcome, refused = Outcome(clip.stem), 0
    for index in range(max(len(frames), math.ceil(seconds * fps))):
        turn, place = divmod(index, len(frames))
        detector.index = place if turn % 2 == 0 else len(frames) - 1 - place
        pipeline.look(Frame(frames[detector.index], index * 1000 / fps))
        refused += len(pipeline.refused)
        for flag in pipeline.flags & VERDICTS:
            outcome.came.setdefault(flag, index / fps)
    outcome.shaken = [(start / 1000, end / 1000) for start, end in pipeline._check._motion._shaken]
    outcome.name += f", {refused} refused"
    return outcome
