"""
The head network: one small picture in; a map of scores, sizes and offsets out, one cell for every 4 px.

Only convolutions, depthwise convolutions, ReLU6, additions and doubling by repetition: all of them run in INT8 on any
interpreter. Strided convolutions pad below and to the right only, as TensorFlow does, so that both give equal numbers.
There are several shapes of it (`new_network`); all give the same maps.
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
    """
    A convolution, its normalisation and (unless it is linear) ReLU6.

    Args:
        kernel: Rows and columns, or one number for both.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int | tuple[int, int] = 1,
        *,
        stride: int = 1,
        dilation: int = 1,
        depthwise: bool = False,
        linear: bool = False,
    ) -> None:
        super().__init__()
        rows, columns = (kernel, kernel) if isinstance(kernel, int) else kernel
        self.stride, self.depthwise, self.linear, self.dilation = stride, depthwise, linear, dilation
        self._slow_by_halves = stride == 2 or rows > 3
        self._pad = (0, columns - 2, 0, rows - 2)
        self.convolution = nn.Conv2d(
            inputs, outputs, (rows, columns), stride, groups=inputs if depthwise else 1, bias=False, dilation=dilation,
            padding=0 if stride == 2 else dilation * (rows // 2),
        )  # fmt: skip
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102 - see the class
        if self.stride == 2:
            x = functional.pad(x, self._pad)
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


class HeadNet(nn.Module):
    """What all head networks have in common: the last convolution, and what they may be asked for."""

    def __init__(self, last: int) -> None:
        super().__init__()
        self.out = nn.Conv2d(last, 4, 1)
        nn.init.normal_(self.out.weight, std=0.01)
        with torch.no_grad():
            self.out.bias.copy_(torch.tensor([-4.0, 1.6, 0.0, 0.0]))

    def features(self, x: Tensor) -> tuple[Tensor, ...]:
        """
        Return what the network makes of (n, 3, height, width) of 0 to 255 on its way, each (n, channels, ...).

        At a quarter, an eighth and a sixteenth of the input's size on the way down; at an eighth and a quarter on the
        way up. The sides must be multiples of 16.
        """
        raise NotImplementedError

    def maps(self, last: Tensor) -> Maps:
        """Return the maps that belong to the last of the features."""
        out = self.out(last)
        return Maps(out[:, :1], out[:, 1:2], out[:, 2:])

    def forward(self, x: Tensor) -> Maps:
        """Take (n, 3, height, width) of 0 to 255."""
        return self.maps(self.features(x)[-1])


_FINE, _MIDDLE, _COARSE = 24, 40, 72
"""Channels of a `SeparableNet` at a quarter, an eighth and a sixteenth of the input's size."""
_UP_MIDDLE = 48
"""Channels of a `SeparableNet` at an eighth of the input's size on the way up."""


@dataclass(frozen=True)
class SeparableShape:
    """
    How wide a `SeparableNet` is where it looks around.

    Attributes:
        fine, middle, coarse: One for each block at a quarter, an eighth and a sixteenth of the input's size: its
            channels between widening and narrowing.
        up_fine: Channels at a quarter of the input's size on the way up.
    """

    fine: tuple[int, ...] = (32, 48)
    middle: tuple[int, ...] = (72, 120, 120, 120, 120)
    coarse: tuple[int, ...] = (120, *(216,) * 8)
    up_fine: int = 48


class SeparableNet(HeadNet):
    """Depthwise convolutions, three scales down, two up again."""

    def __init__(self, shape: SeparableShape) -> None:
        super().__init__(shape.up_fine)
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

    def features(self, x: Tensor) -> tuple[Tensor, ...]:  # noqa: D102 - see HeadNet
        fine = self.fine(self.stem(x / 127.5 - 1.0))
        middle = self.middle(fine)
        coarse = self.coarse(middle)
        up_middle = self.at_middle(_doubled(self.from_coarse(coarse)) + self.from_middle(middle))
        up_fine = self.head(self.at_fine(_doubled(up_middle) + self.from_fine(fine)))
        return fine, middle, coarse, up_middle, up_fine


def _blocks(inputs: int, outputs: int, widths: Sequence[int], kernel: int = 3) -> nn.Sequential:
    """Return a `SeparableNet`'s blocks at one scale; the first, which halves the size, looks at 3 x 3 cells."""
    first, *others = widths
    return nn.Sequential(
        Block(inputs, outputs, first, stride=2), *(Block(outputs, outputs, wide, kernel) for wide in others)
    )


class Residual(nn.Module):
    """Two full 3 x 3 convolutions, added to their input; begins by adding nothing, as `Block` does."""

    def __init__(self, channels: int, dilation: int = 1) -> None:
        super().__init__()
        self.first = Unit(channels, channels, 3)
        self.second = Unit(channels, channels, 3, dilation=dilation, linear=True)
        nn.init.zeros_(self.second.norm.weight)

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102 - see the class
        return functional.relu6(x + self.second(self.first(x)))


@dataclass(frozen=True)
class Shape:
    """
    Channels and depths of a `PlainNet`.

    Attributes:
        fine, middle, coarse: Channels at a quarter, an eighth and a sixteenth of the input's size.
        middle_dilations, coarse_dilations: One for each residual block there: the dilation of its second convolution.
        up_middle, up_fine: Channels on the way up.
        kept_blocks: So many of a trained `SeparableNet`'s blocks at a sixteenth, after its first one, stand in place of
            plain ones. What is seen from afar is the hardest to learn and cheap to keep.
    """

    fine: int
    middle: int
    middle_dilations: tuple[int, ...]
    coarse: int
    coarse_dilations: tuple[int, ...]
    up_middle: int
    up_fine: int
    kept_blocks: int = 0


SHAPES: dict[str, SeparableShape | Shape] = {
    "separable": SeparableShape(),
    "narrow": SeparableShape(
        fine=(32, 32), middle=(48, 64, 64, 32, 32), coarse=(64, 96, 96, 96, 96, 96, 48, 48, 48), up_fine=32
    ),
    "fast32": Shape(32, 32, (1,), 64, (1, 2, 2, 2), 32, 32),
    "mid80": Shape(32, 48, (1,), 80, (1, 2, 2, 2, 2), 48, 32),
    "hybrid": Shape(32, 48, (1,), 72, (), 32, 32, kept_blocks=5),
}
"""Known shapes: "separable" is that of 0.1 to 0.6, "narrow" what `prune` leaves of it, the others are plain."""


class PlainNet(HeadNet):
    """
    Full convolutions of 16 channels and multiples of it, which processors' INT8 instructions are fastest at.

    Inputs are (grey - 128) / 127.5, so that a byte less 128 is the INT8 input and nothing has to be normalised. The
    stem sees four columns: with stride 2 that is exactly a convolution over pairs of columns, and as quick as three.
    """

    def __init__(self, shape: Shape) -> None:
        super().__init__(shape.up_fine)
        self.shape = shape
        self.stem = Unit(3, 16, (3, 4), stride=2)
        self.fine = Unit(16, shape.fine, 3, stride=2)
        self.middle = nn.Sequential(
            Unit(shape.fine, shape.middle, 3, stride=2),
            *(Residual(shape.middle, dilation) for dilation in shape.middle_dilations),
        )
        middle = shape.middle
        if shape.kept_blocks:
            self.middle.append(Unit(middle, _MIDDLE, linear=True))
            widths = SeparableShape().coarse[: 1 + shape.kept_blocks]
            middle, self.coarse = _MIDDLE, _blocks(_MIDDLE, _COARSE, widths, kernel=5)
        else:
            self.coarse = nn.Sequential(
                Unit(middle, shape.coarse, 3, stride=2),
                *(Residual(shape.coarse, dilation) for dilation in shape.coarse_dilations),
            )
        self.from_coarse = Unit(shape.coarse, shape.up_middle, linear=True)
        self.from_middle = _lateral(middle, shape.up_middle)
        self.at_middle = Unit(shape.up_middle, shape.up_fine, 3, linear=True)
        self.from_fine = _lateral(shape.fine, shape.up_fine)
        self.head = Unit(shape.up_fine, shape.up_fine, 3)

    def features(self, x: Tensor) -> tuple[Tensor, ...]:  # noqa: D102 - see HeadNet
        fine = self.fine(self.stem((x - 128.0) / 127.5))
        middle = self.middle(fine)
        coarse = self.coarse(middle)
        up_middle = functional.relu6(_doubled(self.from_coarse(coarse)) + self.from_middle(middle))
        up_fine = self.head(functional.relu6(_doubled(self.at_middle(up_middle)) + self.from_fine(fine)))
        return fine, middle, coarse, up_middle, up_fine

    def keep(self, trained: HeadNet) -> None:
        """Take over the blocks that this shape keeps of a trained `SeparableNet`."""
        assert isinstance(trained, SeparableNet)  # noqa: S101 - the only one with such blocks
        own = self.coarse.state_dict()
        self.coarse.load_state_dict({name: value for name, value in trained.coarse.state_dict().items() if name in own})

    @property
    def kept(self) -> set[nn.Parameter]:
        """Return the weights that came trained."""
        return set(self.coarse.parameters()) if self.shape.kept_blocks else set()


def _lateral(inputs: int, outputs: int) -> nn.Module:
    """Return what brings a scale's channels to those on the way up: nothing where they are as many."""
    return nn.Identity() if inputs == outputs else Unit(inputs, outputs, linear=True)


def _doubled(x: Tensor) -> Tensor:
    return functional.interpolate(x, scale_factor=2.0, mode="nearest")


def new_network(shape: str) -> HeadNet:
    """Return an untrained network of one of SHAPES."""
    wanted = SHAPES[shape]
    return SeparableNet(wanted) if isinstance(wanted, SeparableShape) else PlainNet(wanted)


def load_network(checkpoint: Path) -> HeadNet:
    """Return the network of a checkpoint, with its averaged weights, ready to be asked."""
    state = torch.load(checkpoint, weights_only=True, map_location="cpu")
    weights = {name[7:]: value for name, value in state["averaged"].items() if name.startswith("module.")}
    network = new_network(state.get("shape", "separable"))
    network.load_state_dict(weights)
    return network.eval()


def save_network(network: HeadNet, checkpoint: Path) -> None:
    """Write a checkpoint of the weights alone, for others to go on from."""
    weights = {f"module.{name}": value for name, value in network.state_dict().items()}
    torch.save({"averaged": weights, "shape": shape_of(network)}, checkpoint)


def shape_of(network: HeadNet) -> str:
    """Return the name that `new_network` knows the network's shape by."""
    assert isinstance(network, SeparableNet | PlainNet)  # noqa: S101 - there are no others
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
