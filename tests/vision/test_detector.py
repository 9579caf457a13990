"""The head model: what is refused before the first frame, what may be looked at, and what its maps mean."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from edge.core import head_model
from edge.core.errors import DetectorError, ModelMismatch, ModelMissing, PictureUnfit
from edge.core.head_model import TOP, Contract
from edge.vision.clip import ClipSource
from edge.vision.detector import Detector
from edge.vision.scene import Heads

SHIPPED = head_model.read()
OTHER = head_model.read(Path(__file__).parent / "models" / "head.json")
"""A model of the other form: bytes as they are in and three maps out, or signed bytes in and one map out."""
SEPARATE, JOINT = sorted((SHIPPED, OTHER), key=lambda contract: "maps" in contract.outputs)


# --- the file and its contract ---------------------------------------------------------------------------------------


@pytest.fixture(name="head")
def _head(tmp_path: Path) -> Path:
    """Return the contract of a copy of the model with three maps, to be changed."""
    return copied(SEPARATE, tmp_path)


def copied(contract: Contract, folder: Path) -> Path:
    """Copy a model and its contract into *folder*, and return the copy's contract."""
    for path in (contract.path, contract.file):
        shutil.copy(path, folder)
    return folder / contract.path.name


def rewrite(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the contract at *path*."""
    contract = json.loads(path.read_text(encoding="utf-8"))
    change(contract)
    path.write_text(json.dumps(contract), encoding="utf-8")


def test_the_shipped_model_is_the_one_described() -> None:
    """Its digest and its tensors are the contract's, and a track begins with more than what continues one."""
    Detector(SHIPPED)

    assert 0 < SHIPPED.weak < SHIPPED.strong < 1


def test_a_model_that_is_not_there(head: Path) -> None:
    """A missing model and a missing contract are told apart by the file that is named."""
    (head.parent / "head.tflite").unlink()

    with pytest.raises(ModelMissing, match=r"head\.tflite is not there; install the package again or set `model:`"):
        Detector(head_model.read(head))
    with pytest.raises(ModelMissing, match=r"other\.json is not there"):
        head_model.read(head.parent / "other.json")


@pytest.mark.parametrize("spoil", ["truncated", "altered", "empty"])
def test_a_model_that_was_changed(head: Path, spoil: str) -> None:
    """One bit, a missing end or nothing at all: the interpreter never sees it."""
    path = head.parent / "head.tflite"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes({"truncated": bytes(data[:1000]), "altered": bytes(data), "empty": b""}[spoil])

    with pytest.raises(ModelMismatch, match="its sha256 should be"):
        Detector(head_model.read(head))


def test_a_file_that_is_no_model(head: Path) -> None:
    """Bytes that no interpreter can run, rightly described: an error of ours, not the interpreter's."""
    (head.parent / "head.tflite").write_bytes(b"no model at all")
    rewrite(head, lambda c: c.update(sha256=hashlib.sha256(b"no model at all").hexdigest()))

    with pytest.raises(DetectorError, match="can't be run by this interpreter"):
        Detector(head_model.read(head))


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda c: c["input"].update(width=160), "its input should be uint8"),
        (lambda c: c["outputs"]["score"].update(shape=[1, 30, 40, 1]), "its output score should be"),
        (lambda c: c["outputs"]["score"].update(index=9), "its output score should be"),
        (lambda c: c["outputs"]["score"].update(index=-1), "its output score should be"),
        (
            lambda c: c["outputs"].update(offset=c["outputs"]["score"]),
            r"the shape of offset should be \(1, \d+, \d+, 2\), but is \(1, \d+, \d+, 1\)",
        ),
        (lambda c: c.update(stride=8), "the shape of score should be"),
        (lambda c: c["outputs"].pop("size"), "outputs should be score, size and offset, or maps, but is offset, score"),
        (lambda c: c.update(stride=0), "contract should be a JSON object as the training code writes it"),
        (lambda c: c["input"].update(width=-320), "contract should be a JSON object as the training code writes it"),
        (lambda c: c["thresholds"].update(weak=float("inf")), "contract should be a JSON object"),
        (lambda c: c["thresholds"].update(weak=0.9), "contract should be a JSON object"),
        (lambda c: c["thresholds"].update(strong="much"), "contract should be a JSON object"),
        (lambda c: c.pop("sha256"), "contract should be a JSON object"),
        (lambda c: c.update(outputs=[]), "contract should be a JSON object"),
        (lambda c: c.update(stride=float("inf")), "contract should be a JSON object"),
    ],
)
def test_other_tensors_than_described(head: Path, change: Callable[[dict[str, Any]], object], complaint: str) -> None:
    """A contract that isn't the model's, or can't be anybody's, is refused before the first frame."""
    rewrite(head, change)

    with pytest.raises(ModelMismatch, match=complaint):
        Detector(head_model.read(head))


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda c: c["input"].update(dtype="uint8"), r"its input should be uint8 .* but is int8"),
        (lambda c: c["input"].update(dtype="float32"), "contract should be a JSON object"),
        (lambda c: c["outputs"]["maps"]["ranges"].pop("size"), "ranges of maps should be logit, size, offset, but"),
        (lambda c: c["outputs"]["maps"].pop("ranges"), "ranges of maps should be logit, size, offset, but is nothing"),
        (lambda c: c["outputs"]["maps"]["ranges"].update(size=[4, 4]), "contract should be a JSON object"),
        (lambda c: c["outputs"]["maps"]["ranges"].update(size=[0, float("inf")]), "contract should be a JSON object"),
        (lambda c: c["outputs"]["maps"]["ranges"].update(size=[1]), "contract should be a JSON object"),
        (lambda c: c["outputs"]["maps"].update(shape=[1, 72, 96, 5]), "its output maps should be"),
        (lambda c: c["outputs"].update(face=c["outputs"]["maps"]), "outputs should be score, size and offset, or maps"),
        (lambda c: c.update(stride=8), "the shape of maps should be"),
    ],
)
def test_other_tensors_than_one_map(tmp_path: Path, change: Callable[[dict[str, Any]], object], complaint: str) -> None:
    """The contract of a model with one map is held to in the same way, its ranges too."""
    path = copied(JOINT, tmp_path)
    rewrite(path, change)

    with pytest.raises(ModelMismatch, match=complaint):
        Detector(head_model.read(path))


def test_a_models_name_is_told() -> None:
    """Each hour says which model counted it."""
    assert f"{SHIPPED.name} {SHIPPED.version}" == SHIPPED.identity


# --- pictures --------------------------------------------------------------------------------------------------------


@pytest.fixture(name="detector", scope="module")
def _detector() -> Detector:
    return Detector(SHIPPED)


def noise(*shape: int) -> npt.NDArray[np.uint8]:
    """Return a picture of noise, the same each time."""
    return np.random.default_rng(7).integers(0, 256, shape, np.uint8)


@pytest.mark.parametrize("shape", [(480, 640, 3), (240, 320, 3), (720, 1280, 3), (64, 48, 3), (1, 1, 3), (3, 2000, 3)])
def test_pictures_of_any_size(detector: Detector, shape: tuple[int, ...]) -> None:
    """Heads come as px of the frame, within it, of a size more than nothing, strongest first."""
    heads = detector.detect(noise(*shape))
    n = len(heads.scores)

    assert ((n, 2), (n,), (n,)) == (heads.centres.shape, heads.diameters.shape, heads.scores.shape)
    assert all(part.dtype == np.float32 for part in heads)
    assert np.all((heads.centres >= 0) & (heads.centres <= (shape[1] + 1, shape[0] + 1)))
    assert np.all(heads.diameters > 0)
    assert np.all(np.diff(heads.scores) <= 0)


def test_a_grey_picture_is_looked_at(detector: Detector) -> None:
    """A camera without colour gives what the same picture in three equal colours gives."""
    grey = noise(240, 320)
    one = detector.detect(grey)
    three = detector.detect(np.repeat(grey[..., None], 3, axis=2))

    assert np.array_equal(one.scores, three.scores)
    assert np.array_equal(one.centres, three.centres)


@pytest.mark.parametrize(
    "pixels",
    [
        np.empty((0, 0, 3), np.uint8),
        np.empty((0, 640, 3), np.uint8),
        np.zeros((480, 640, 4), np.uint8),
        np.zeros((480, 640, 1), np.uint8),
        np.zeros((480, 640, 3), np.float32),
        np.zeros((480, 640, 3, 2), np.uint8),
        np.zeros(640, np.uint8),
    ],
    ids=lambda pixels: f"{pixels.shape} {pixels.dtype}",
)
def test_what_is_no_picture(detector: Detector, pixels: npt.NDArray[Any]) -> None:
    """An empty one, a wrong number of colours, real numbers: one error, and the next picture is looked at again."""
    with pytest.raises(PictureUnfit, match="a picture has"):
        detector.detect(pixels)
    detector.detect(noise(480, 640, 3))


def test_the_size_may_change(detector: Detector) -> None:
    """A camera that changes its picture's size leaves nothing of the old one behind."""
    wide, tall = noise(100, 400, 3), noise(400, 100, 3)
    before = detector.detect(wide)
    detector.detect(tall)
    again = detector.detect(wide)

    assert all(np.array_equal(one, other) for one, other in zip(before, again, strict=True))


def test_a_picture_is_letterboxed(detector: Detector) -> None:
    """It keeps its aspect, stands in the middle, as RGB, and grey is around it."""
    pixels = np.zeros((100, 400, 3), np.uint8)
    pixels[:] = (10, 20, 30)
    detector.detect(pixels)
    canvas = detector._canvas
    height = SHIPPED.width * 100 // 400
    top = (SHIPPED.height - height) // 2

    assert (SHIPPED.height, SHIPPED.width, 3) == canvas.shape
    assert np.all(canvas[top : top + height] == (30, 20, 10))
    assert np.all(canvas[:top] == SHIPPED.padding)
    assert np.all(canvas[top + height :] == SHIPPED.padding)


def test_a_large_picture_is_averaged(detector: Detector) -> None:
    """What is finer than the model's pixels becomes their mean, instead of a pattern that isn't there."""
    stripes = np.zeros((1152, 1536, 3), np.uint8)
    stripes[:, ::2] = 255
    detector.detect(stripes)

    assert np.all(np.abs(detector._canvas.astype(int) - 128) <= 2)


@pytest.mark.parametrize("shape", [(1153, 1537), (721, 1281), (577, 1025), (2000, 900)])
def test_a_large_picture_keeps_its_place(detector: Detector, shape: tuple[int, int]) -> None:
    """However often it is halved, also with odd sides, each pixel of the model is what lies there in the picture."""
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    pixels = np.stack((255 * rows / shape[0], 255 * columns / shape[1], 0 * rows), axis=2).astype(np.uint8)
    detector.detect(pixels)
    assert detector._letterbox is not None
    x, y, width, height = detector._letterbox
    seen = detector._canvas[y : y + height, x : x + width].astype(float)
    down, across = (np.arange(height) + 0.5) / height, (np.arange(width) + 0.5) / width

    assert np.allclose(seen[:, :, 2], 255 * down[:, None], atol=2)
    assert np.allclose(seen[:, :, 1], 255 * across[None], atol=2)


def test_signed_bytes_are_the_bytes_less_128() -> None:
    """As the model with one map is given them."""
    detector = Detector(JOINT)
    pixels = noise(288, 384, 3)
    detector.detect(pixels)
    given = detector._interpreter.get_tensor(detector._input)[0]

    assert np.array_equal(given.astype(int), pixels[:, :, ::-1].astype(int) - 128)


def test_the_same_weights_find_the_same_heads_in_either_form() -> None:
    """Both models hold the weights of 0.6.0; on the demo clip each finds nearly all that the other is sure of."""
    detectors = [Detector(contract) for contract in (SEPARATE, JOINT)]
    clip = ClipSource(str(head_model.shipped("demo/door.mp4")), fps=1)
    found = missing = 0
    while (frame := clip.read()) is not None:
        one, other = (detector.detect(frame.pixels) for detector in detectors)
        for sure, all_ in ((one, other), (other, one)):
            for centre, diameter, score in zip(*sure, strict=True):
                if score < SHIPPED.strong + 0.1:
                    continue
                found += 1
                away = np.hypot(*(all_.centres - centre).T)
                missing += not np.any((away < 0.15 * diameter) & (np.abs(all_.scores - score) < 0.15))
    clip.close()

    assert found > 40
    assert missing <= found // 20


# --- maps ------------------------------------------------------------------------------------------------------------


class Maps:
    """Stands where the interpreter stands, and gives maps that were made by hand, quantised as the model's are."""

    def __init__(self, detector: Detector) -> None:
        details = detector._interpreter.get_output_details()
        self._ranges = detector.contract.ranges
        self._tensors: dict[int, npt.NDArray[Any]] = {}
        self._of: dict[str, tuple[int, npt.NDArray[np.float32], Any]] = {}
        for name, (index, shape) in detector.contract.outputs.items():
            fill = np.full(shape, 0.0, np.float32)
            self._of[name] = (details[index]["index"], fill, details[index])

    def put(self, row: int, column: int, score: float, size: float = 1.5, offset: tuple[float, float] = (0, 0)) -> None:
        """Put a peak into the maps: its score, the logarithm of its diameter in cells, its offset in cells."""
        if "maps" not in self._of:
            for name, value in (("score", score), ("size", size), ("offset", offset)):
                self._of[name][1][0, row, column] = value
            return
        values = np.log(score / (1 - score)), size, *offset
        for channel, (name, value) in enumerate(zip(("logit", "size", "offset", "offset"), values, strict=True)):
            low, high = self._ranges[name]
            self._of["maps"][1][0, row, column, channel] = TOP * (value - low) / (high - low)

    def set_tensor(self, _index: int, _value: object) -> None:
        """Look at no picture."""

    def invoke(self) -> None:
        """Quantise the maps as the model would."""
        for index, real, details in self._of.values():
            scale, zero = details["quantization"]
            limits = np.iinfo(details["dtype"]) if scale else None
            self._tensors[index] = (
                real if limits is None else np.clip(np.round(real / scale) + zero, limits.min, limits.max)
            ).astype(details["dtype"])

    def get_tensor(self, index: int) -> npt.NDArray[Any]:
        return self._tensors[index]


@pytest.fixture(name="maps", params=[SEPARATE, JOINT], ids=["three maps", "one map"])
def _maps(request: pytest.FixtureRequest) -> tuple[Detector, Maps]:
    detector = Detector(request.param)
    maps = Maps(detector)
    detector._interpreter = maps
    return detector, maps


def looked(maps: tuple[Detector, Maps], height: int = SHIPPED.height, width: int = SHIPPED.width) -> Heads:
    """Return the heads that the hand-made maps mean in a picture of this size."""
    return maps[0].detect(np.zeros((height, width, 3), np.uint8))


STEP = 0.08
"""No quantised map is coarser than this, in its own unit."""


def test_empty_maps_hold_no_head(maps: tuple[Detector, Maps]) -> None:
    """No score, no head."""
    assert 0 == len(looked(maps).scores)


def test_where_a_head_is(maps: tuple[Detector, Maps]) -> None:
    """Its centre is its cell's middle and the offset, its diameter the exponential of its size; in px of the input."""
    maps[1].put(row=20, column=30, score=0.9, size=np.log(6.0), offset=(0.25, -0.25))
    heads = looked(maps)

    assert 1 == len(heads.scores)
    assert heads.scores[0] == pytest.approx(0.9, abs=0.01)
    assert heads.centres[0] == pytest.approx([4 * (30.5 + 0.25), 4 * (20.5 - 0.25)], abs=4 * STEP)
    assert heads.diameters[0] == pytest.approx(4 * 6.0, rel=STEP)


@pytest.mark.parametrize(("height", "width"), [(240, 320), (480, 640), (960, 1280), (480, 480), (300, 1000)])
def test_a_head_in_a_frame_of_another_size(maps: tuple[Detector, Maps], height: int, width: int) -> None:
    """Centre and diameter are told in px of the frame that was given, past the letterbox."""
    maps[1].put(row=30, column=40, score=0.9, size=np.log(5.0))
    heads = looked(maps, height, width)
    scale = min(SHIPPED.width / width, SHIPPED.height / height)

    x = (4 * 40.5 - SHIPPED.width / 2) / scale + width / 2
    y = (4 * 30.5 - SHIPPED.height / 2) / scale + height / 2
    assert heads.centres[0] == pytest.approx([x, y], abs=1.5 * 4 * STEP / scale)
    assert heads.diameters[0] == pytest.approx(20 / scale, rel=STEP)


def test_scores_under_the_weak_threshold_are_left_out(maps: tuple[Detector, Maps]) -> None:
    """What is weaker than what continues a track is no head."""
    maps[1].put(row=10, column=10, score=SHIPPED.weak + 0.03)
    maps[1].put(row=40, column=40, score=SHIPPED.weak - 0.03)

    assert [pytest.approx(SHIPPED.weak + 0.03, abs=0.01)] == list(looked(maps).scores)


def test_only_peaks_are_heads(maps: tuple[Detector, Maps]) -> None:
    """Of neighbouring cells the strongest is the head."""
    for column, score in ((30, 0.5), (31, 0.9), (32, 0.6)):
        maps[1].put(row=20, column=column, score=score, size=0.0)
    heads = looked(maps)

    assert 1 == len(heads.scores)
    assert heads.centres[0][0] == pytest.approx(4 * 31.5, abs=4 * STEP)


def test_a_plateau_is_one_head(maps: tuple[Detector, Maps]) -> None:
    """Cells of the same score beside each other, as quantising makes them, are one head and not several."""
    for row in (20, 21):
        for column in (30, 31):
            maps[1].put(row=row, column=column, score=0.8, size=np.log(6.0))

    assert 1 == len(looked(maps).scores)


@pytest.mark.parametrize(("cells", "count"), [(4, 1), (5, 2)])
def test_heads_that_lie_on_each_other(maps: tuple[Detector, Maps], cells: int, count: int) -> None:
    """Two peaks nearer than 0.7 of the larger diameter are one head, the stronger; two that are farther are two."""
    maps[1].put(row=20, column=30, score=0.7, size=np.log(6.0))
    maps[1].put(row=20, column=30 + cells, score=0.9, size=np.log(6.0))
    heads = looked(maps)

    assert count == len(heads.scores)
    assert heads.centres[0][0] == pytest.approx(4 * (30.5 + cells), abs=4 * STEP)


def test_the_strongest_of_very_many(maps: tuple[Detector, Maps]) -> None:
    """At most a hundred heads are looked at in one frame, and the weakest are those left out."""
    scores = np.random.default_rng(3).permutation(np.linspace(0.3, 0.95, 15 * 20))
    for cell, score in enumerate(scores):
        maps[1].put(row=4 * (cell // 20), column=4 * (cell % 20), score=float(score), size=0.0)
    heads = looked(maps)

    assert 100 == len(heads.scores)
    assert heads.scores.min() >= np.sort(scores)[-100] - 0.01


def test_nothing_is_seen_in_the_letterboxs_margin(maps: tuple[Detector, Maps]) -> None:
    """A peak that isn't in the picture is none."""
    maps[1].put(row=2, column=40, score=0.9)
    maps[1].put(row=30, column=40, score=0.8)

    assert [pytest.approx(0.8, abs=0.01)] == list(looked(maps, 100, 400).scores)
