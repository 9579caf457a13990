"""
The head network: one small picture in; a map of scores, sizes and offsets out, one cell for every 4 px.

Only convolutions, depthwise convolutions, ReLU6, additions and doubling by repetition: all of them run in INT8 on any
interpreter. Strided convolutions pad below and to the right only, as TensorFlow does, so that both give equal numbers.
"""

from __future__ import annotations

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
        self._pad = (0, kernel - 2, 0, kernel - 2) if stride == 2 else (kernel // 2,) * 4
        self.convolution = nn.Conv2d(
            inputs, outputs, kernel, stride, groups=inputs if depthwise else 1, bias=False,
            padding=0 if stride == 2 else kernel // 2,
        )  # fmt: skip
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102 - see the class
        if self.stride == 2:
            x = functional.pad(x, self._pad)
        x = self.norm(self._convolved(x))
        return x if self.linear else functional.relu6(x)

    def _convolved(self, x: Tensor) -> Tensor:
        """Convolve; depthwise kernels whose gradients CPUs take long for in half precision in full precision."""
        if not (self.depthwise and self._slow_by_halves and torch.is_autocast_enabled(x.device.type)):
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

    def __init__(self, inputs: int, outputs: int, widening: int, kernel: int = 3, *, stride: int = 1) -> None:
        super().__init__()
        wide = inputs * widening
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


class HeadNet(nn.Module):
    """Three scales down, two up again, one head."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = Unit(3, 16, 3, stride=2)
        self.fine = nn.Sequential(Block(16, 24, 2, stride=2), Block(24, 24, 2))
        self.middle = nn.Sequential(Block(24, 40, 3, stride=2), *(Block(40, 40, 3) for _ in range(4)))
        self.coarse = nn.Sequential(Block(40, 72, 3, stride=2), *(Block(72, 72, 3, 5) for _ in range(8)))
        self.from_coarse = Unit(72, 48)
        self.from_middle = Unit(40, 48, linear=True)
        self.from_fine = Unit(24, 48, linear=True)
        self.at_middle = Separable(48, 48)
        self.at_fine = Separable(48, 48)
        self.head = Separable(48, 48)
        self.out = nn.Conv2d(48, 4, 1)
        nn.init.normal_(self.out.weight, std=0.01)
        with torch.no_grad():
            self.out.bias.copy_(torch.tensor([-4.0, 1.6, 0.0, 0.0]))

    def forward(self, x: Tensor) -> Maps:
        """Take (n, 3, height, width) of 0 to 255; sides must be multiples of 16."""
        fine = self.fine(self.stem(x / 127.5 - 1.0))
        middle = self.middle(fine)
        up = self.from_coarse(self.coarse(middle))
        up = self.at_middle(_doubled(up) + self.from_middle(middle))
        up = self.at_fine(_doubled(up) + self.from_fine(fine))
        out = self.out(self.head(up))
        return Maps(out[:, :1], out[:, 1:2], out[:, 2:])


def _doubled(x: Tensor) -> Tensor:
    return functional.interpolate(x, scale_factor=2.0, mode="nearest")


def multiplications(width: int = 320, height: int = 240) -> int:
    """Return how many multiplications one picture costs."""
    total = 0

    def count(layer: nn.Module, _: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal total
        if isinstance(layer, nn.Conv2d):
            total += layer.weight.numel() * output.shape[2] * output.shape[3]

    network = HeadNet().eval()
    for layer in network.modules():
        layer.register_forward_hook(count)
    with torch.no_grad():
        network(torch.zeros(1, 3, height, width))
    return total
