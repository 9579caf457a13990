"""What a cheap camera does to a clean picture: exposure, colour, blur, noise, infrared grey, compression."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

Picture = npt.NDArray[np.uint8]


def spoil(picture: Picture, moving: npt.NDArray[np.float32], mood: str, random: np.random.Generator) -> Picture:
    """
    Return a clean picture, (h, w, 3) uint8 RGB, as a camera and its encoder would give it.

    Only people are blurred by walking: *moving*, (h, w), is 1 where they are. *mood* is the scene's light; night is
    noisier, and often grey.
    """
    dark = mood in {"night", "dim"}
    values = _exposed(picture.astype(np.float32), random, dark=dark)
    if random.random() < (0.6 if dark else 0.35):
        values = _walked(values, moving, random)
    if random.random() < 0.5:
        values = cv2.GaussianBlur(values, (0, 0), float(random.uniform(0.3, 1.0 if random.random() < 0.8 else 2.0)))
    values = _coloured(values, mood, random)
    values = _noisy(values, random, dark=dark)
    if random.random() < 0.2:
        values = values + _sharpened(values, float(random.uniform(0.3, 1.2)))
    spoiled = np.clip(values, 0, 255).astype(np.uint8)
    if random.random() < 0.25:
        spoiled = _coarse(spoiled, random)
    if random.random() < 0.1:
        spoiled = _written_on(spoiled, random)
    if random.random() < 0.85:
        spoiled = _encoded(spoiled, int(random.uniform(18, 95)))
    return spoiled


def pass_on(picture: Picture, moving: npt.NDArray[np.float32], random: np.random.Generator) -> Picture:
    """Return a clean picture as a sound camera in good light gives it; see `spoil` for the arguments."""
    values = picture.astype(np.float32)
    values *= np.clip(random.uniform(75, 150) / (float(values.mean()) + 1), 0.5, 2.5)
    values = 255 * np.power(np.clip(values / 255, 0, 1.2), random.uniform(0.8, 1.25))
    if random.random() < 0.25:
        values = _walked(values, moving, random)
    if random.random() < 0.4:
        values = cv2.GaussianBlur(values, (0, 0), float(random.uniform(0.3, 0.8)))
    values = _saturated(values, random.uniform(0.5, 1.3))
    values = values * (1 + random.normal(0, 0.04, 3))
    values = values + np.float32(abs(random.normal(0, 2.5))) * random.standard_normal(values.shape, np.float32)
    if random.random() < 0.3:
        values = values + _sharpened(values, float(random.uniform(0.3, 1.0)))
    passed = np.clip(values, 0, 255).astype(np.uint8)
    if random.random() < 0.15:
        passed = _written_on(passed, random)
    return _encoded(passed, int(random.uniform(45, 95)))


def _exposed(values: npt.NDArray[np.float32], random: np.random.Generator, *, dark: bool) -> npt.NDArray[np.float32]:
    """Move the mean to where an automatic exposure, a lazy one or a dark night leaves it; bend the tone curve."""
    mean = float(values.mean()) + 1.0
    target = random.uniform(24, 90) if dark else random.uniform(50, 165)
    gain = np.clip(target / mean, 0.35, 3.0)
    bend = random.uniform(0.75, 1.35)
    bent = 255 * np.power(np.clip(values * gain / 255, 0, 1.2), bend)
    contrast = random.uniform(0.35, 1.0) if random.random() < 0.25 else random.uniform(0.85, 1.5)
    haze = random.uniform(0, 60) if random.random() < 0.12 else 0.0
    return np.asarray((bent - bent.mean()) * contrast + bent.mean() + haze, np.float32)


def _walked(
    values: npt.NDArray[np.float32], moving: npt.NDArray[np.float32], random: np.random.Generator
) -> npt.NDArray[np.float32]:
    """Smear what moves along one direction."""
    length = int(random.choice([5, 7, 9, 13, 17, 23], p=[0.25, 0.25, 0.2, 0.15, 0.1, 0.05]))
    kernel = np.zeros((length, length), np.float32)
    middle, angle = length // 2, random.uniform(0, np.pi)
    reach = np.array([np.cos(angle), np.sin(angle)]) * middle
    ends = [tuple(round(middle + sign * part) for part in reach) for sign in (-1, 1)]
    cv2.line(kernel, ends[0], ends[1], 1.0)
    kernel /= kernel.sum()
    mask = cv2.filter2D(moving, -1, kernel)[:, :, None]
    smeared = cv2.filter2D(values * moving[:, :, None], -1, kernel)
    return np.asarray(smeared + values * (1 - mask), np.float32)


def _coloured(values: npt.NDArray[np.float32], mood: str, random: np.random.Generator) -> npt.NDArray[np.float32]:
    """Set white balance and saturation; infrared and old cameras are grey."""
    saturation = random.uniform(0.2, 1.4)
    if random.random() < (0.4 if mood == "night" else 0.12):
        saturation = 0.0
    balance = 1 + random.normal(0, 0.07, 3) * (saturation > 0)
    mixed = _saturated(values, saturation)
    if random.random() < 0.2:
        height, width = values.shape[:2]
        x, y = np.linspace(-1, 1, width), np.linspace(-1, 1, height)
        mixed = mixed * (1 - random.uniform(0.1, 0.6) * (x[None, :] ** 2 + y[:, None] ** 2) / 2)[:, :, None]
    return np.asarray(mixed * balance, np.float32)


def _saturated(values: npt.NDArray[np.float32], saturation: float) -> npt.NDArray[np.float32]:
    """Return grey at 0, the picture as it is at 1."""
    grey = (values @ np.array([0.3, 0.59, 0.11], np.float32))[:, :, None]
    return np.asarray(grey + np.float32(saturation) * (values - grey), np.float32)


def _noisy(values: npt.NDArray[np.float32], random: np.random.Generator, *, dark: bool) -> npt.NDArray[np.float32]:
    """Add shot and read noise, in part grey, in part smoothed as by a camera's own filter."""
    strength = abs(random.normal(0, 11 if dark else 5))
    shape = values.shape if random.random() < 0.6 else (*values.shape[:2], 1)
    noise = random.standard_normal(shape, np.float32)
    if random.random() < 0.5:
        noise = 1.6 * cv2.GaussianBlur(noise, (0, 0), 0.7).reshape(shape)
    light = np.sqrt(np.clip(values, 4, 255) / 110) if random.random() < 0.5 else 1.0
    return np.asarray(values + np.float32(strength) * noise * light, np.float32)


def _sharpened(values: npt.NDArray[np.float32], amount: float) -> npt.NDArray[np.float32]:
    """Return the edges that a camera's sharpening adds."""
    return np.asarray(amount * (values - cv2.GaussianBlur(values, (0, 0), 1.2)), np.float32)


def _coarse(picture: Picture, random: np.random.Generator) -> Picture:
    """Take the picture through a smaller size and back, as a low stream is."""
    height, width = picture.shape[:2]
    share = random.uniform(0.4, 0.9)
    small = cv2.resize(picture, (round(width * share), round(height * share)), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)


def _written_on(picture: Picture, random: np.random.Generator) -> Picture:
    """Burn in a date, a counter or a camera's name."""
    written = np.ascontiguousarray(picture)
    colour = ((255, 255, 255), (230, 30, 30), (250, 230, 40), (20, 20, 20))[int(random.integers(4))]
    for _ in range(int(random.integers(1, 4))):
        text = "".join(random.choice(list("0123456789:/- ABCDEM"), int(random.integers(5, 20))))
        size = float(np.exp(random.uniform(np.log(0.3), np.log(1.1))))
        place = int(random.integers(0, 160)), int(random.integers(8, max(9, picture.shape[0] - 2)))
        cv2.putText(written, text, place, cv2.FONT_HERSHEY_SIMPLEX, size, colour, 1 + (size > 0.7))
    return written


def _encoded(picture: Picture, quality: int) -> Picture:
    """Take the picture through JPEG."""
    _, raw = cv2.imencode(".jpg", picture[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(raw, cv2.IMREAD_COLOR)[:, :, ::-1], np.uint8)
