"""
The head network: one small picture in; a map of scores, sizes and offsets out, one cell for every 4 px.

Only convolutions, depthwise convolutions, ReLU6, additions and doubling by repetition: all of them run in INT8 on any
interpreter. Strided convolutions pad below and to the right only, as TensorFlow does, so that both give equal numbers.
It comes in several widths (SHAPES); all give the same maps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional


class Maps(NamedTuple):
    """
    What the network says of each cell, (n, channels, rows, columns).

    Attributes:
        logit: (n, 1, ...) before the sigmoid.
        size: (n, 1, ...) ln(diameter in px / 4).
        offset: (n, 2, ...) x and y from the cell's middle to the head's, in cells.
    """

    logit: Tensor
    size: Tensor
    offset: Tensor


class Unit(nn.Module):
    """A convolution, its normalisation and (unless it is linear) ReLU6."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int = 1,
        *,
        stride: int = 1,
        depthwise: bool = False,
        linear: bool = False,
    ) -> None:
        super().__init__()
        self.stride, self.depthwise, self.linear = stride, depthwise, linear
        self._slow_by_halves = stride == 2 or kernel > 3
        self.convolution = nn.Conv2d(
            inputs, outputs, kernel, stride, 0 if stride == 2 else kernel // 2,
            groups=inputs if depthwise else 1, bias=False,
        )  # fmt: skip
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102 - see the class
        if self.stride == 2:
            x = functional.pad(x, (0, 1, 0, 1))
        x = self.norm(self._convolved(x))
        return x if self.linear else functional.relu6(x)

    def _convolved(self, x: Tensor) -> Tensor:
        """Convolve; depthwise kernels whose gradients CPUs take long for in half precision in full precision."""
        slow = self.depthwise and self._slow_by_halves and torch.is_grad_enabled()
        if not (slow and torch.is_autocast_enabled(x.device.type)):
            return self.convolution(x)
        with torch.autocast(x.device.type, enabled=False):
            return self.convolution(x.float()).to(x.dtype)

    def folded(self) -> tuple[Tensor, Tensor]:
        """Return kernel (out, in, h, w) and bias with the normalisation folded in."""
        norm = self.norm
        assert norm.running_var is not None  # noqa: S101 - it tracks its statistics
        assert norm.running_mean is not None  # noqa: S101
        scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
        return self.convolution.weight * scale[:, None, None, None], norm.bias - norm.running_mean * scale


class Block(nn.Module):
    """
    Widen, look around in each channel, narrow again; added to its input where the shapes allow.

    A block that is added begins by adding nothing (Goyal et al. 2017, arXiv 1706.02677, 5.1), so that a trained network
    can be given more of them without losing what it knows.
    """

    def __init__(self, inputs: int, outputs: int, wide: int, kernel: int = 3, *, stride: int = 1) -> None:
        super().__init__()
        self.widen = Unit(inputs, wide)
        self.around = Unit(wide, wide, kernel, stride=stride, depthwise=True)
        self.narrow = Unit(wide, outputs, linear=True)
        self.added = stride == 1 and inputs == outputs
        if self.added:
            nn.init.zeros_(self.narrow.norm.weight)

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102 - see the class
        y: Tensor = self.narrow(self.around(self.widen(x)))
        return x + y if self.added else y


class Separable(nn.Module):
    """A depthwise 3 x 3 and a mixing 1 x 1."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.around = Unit(inputs, inputs, 3, depthwise=True)
        self.mix = Unit(inputs, outputs)

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102 - see the class
        y: Tensor = self.mix(self.around(x))
        return y


_FINE, _MIDDLE, _COARSE = 24, 40, 72
"""Channels at a quarter, an eighth and a sixteenth of the input's size."""
_UP_MIDDLE = 48
"""Channels at an eighth of the input's size on the way up."""


@dataclass(frozen=True)
class Shape:
    """
    How wide a network is where it looks around.

    Attributes:
        fine, middle, coarse: One for each block at a quarter, an eighth and a sixteenth of the input's size: its
            channels between widening and narrowing.
        up_fine: Channels at a quarter of the input's size on the way up.
    """

    fine: tuple[int, ...] = (32, 48)
    middle: tuple[int, ...] = (72, 120, 120, 120, 120)
    coarse: tuple[int, ...] = (120, *(216,) * 8)
    up_fine: int = 48


SHAPES = {
    "wide": Shape(),
    "medium": Shape(middle=(72, 96, 96, 32, 32), coarse=(104, 160, 160, 160, 160, 144, 80, 72, 72)),
    "narrow": Shape(
        fine=(32, 32), middle=(48, 64, 64, 32, 32), coarse=(64, 96, 96, 96, 96, 96, 48, 48, 48), up_fine=32
    ),
}
"""Known shapes: "wide" is that of 0.1 to 0.6, the others what `prune` may leave of it."""


class HeadNet(nn.Module):
    """
    The head network: depthwise convolutions, three scales down, two up again.

    Args:
        shape: How wide it is.
    """

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.stem = Unit(3, 16, 3, stride=2)
        self.fine = _blocks(16, _FINE, shape.fine)
        self.middle = _blocks(_FINE, _MIDDLE, shape.middle)
        self.coarse = _blocks(_MIDDLE, _COARSE, shape.coarse, kernel=5)
        self.from_coarse = Unit(_COARSE, _UP_MIDDLE)
        self.from_middle = Unit(_MIDDLE, _UP_MIDDLE, linear=True)
        self.from_fine = Unit(_FINE, shape.up_fine, linear=True)
        self.at_middle = Separable(_UP_MIDDLE, shape.up_fine)
        self.at_fine = Separable(shape.up_fine, shape.up_fine)
        self.head = Separable(shape.up_fine, shape.up_fine)
        self.out = nn.Conv2d(shape.up_fine, 4, 1)
        nn.init.normal_(self.out.weight, std=0.01)
        with torch.no_grad():
            self.out.bias.copy_(torch.tensor([-4.0, 1.6, 0.0, 0.0]))

    def features(self, x: Tensor) -> tuple[Tensor, ...]:
        """
        Return what the network makes of (n, 3, height, width) of 0 to 255 on its way, each (n, channels, ...).

        At a quarter, an eighth and a sixteenth of the input's size on the way down; at an eighth and a quarter on the
        way up. The sides must be multiples of 16.
        """
        fine = self.fine(self.stem(x / 127.5 - 1.0))
        middle = self.middle(fine)
        coarse = self.coarse(middle)
        up_middle = self.at_middle(_doubled(self.from_coarse(coarse)) + self.from_middle(middle))
        up_fine = self.head(self.at_fine(_doubled(up_middle) + self.from_fine(fine)))
        return fine, middle, coarse, up_middle, up_fine

    def maps(self, last: Tensor) -> Maps:
        """Return the maps that belong to the last of the features."""
        out = self.out(last)
        return Maps(out[:, :1], out[:, 1:2], out[:, 2:])

    def forward(self, x: Tensor) -> Maps:
        """Take (n, 3, height, width) of 0 to 255."""
        return self.maps(self.features(x)[-1])


def _blocks(inputs: int, outputs: int, widths: Sequence[int], kernel: int = 3) -> nn.Sequential:
    """Return the blocks at one scale; the first, which halves the size, looks at 3 x 3 cells."""
    first, *others = widths
    return nn.Sequential(
        Block(inputs, outputs, first, stride=2), *(Block(outputs, outputs, wide, kernel) for wide in others)
    )


def _doubled(x: Tensor) -> Tensor:
    return functional.interpolate(x, scale_factor=2.0, mode="nearest")


def new_network(shape: str) -> HeadNet:
    """Return an untrained network of one of SHAPES."""
    return HeadNet(SHAPES[shape])


def load_network(checkpoint: Path) -> HeadNet:
    """Return the network of a checkpoint, with its averaged weights, ready to be asked."""
    state = torch.load(checkpoint, weights_only=True, map_location="cpu")
    weights = {name[7:]: value for name, value in state["averaged"].items() if name.startswith("module.")}
    network = new_network(state["shape"])
    network.load_state_dict(weights)
    return network.eval()


def save_network(network: HeadNet, checkpoint: Path) -> None:
    """Write a checkpoint of the weights alone, for others to go on from."""
    weights = {f"module.{name}": value for name, value in network.state_dict().items()}
    torch.save({"averaged": weights, "shape": shape_of(network)}, checkpoint)


def shape_of(network: HeadNet) -> str:
    """Return the name that `new_network` knows the network's shape by."""
    return next(name for name, shape in SHAPES.items() if shape == network.shape)


def multiplications(network: HeadNet, width: int = 384, height: int = 288) -> int:
    """Return how many multiplications one picture costs."""
    total = 0

    def count(layer: nn.Module, _: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal total
        if isinstance(layer, nn.Conv2d):
            total += layer.weight.numel() * output.shape[2] * output.shape[3]

    hooks = [layer.register_forward_hook(count) for layer in network.modules()]
    with torch.no_grad():
        network.eval()(torch.zeros(1, 3, height, width))
    for hook in hooks:
        hook.remove()
    return total
