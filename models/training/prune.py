r"""
Make a trained network narrower without training: leave out the channels that others can stand in for.

    python -m models.training.prune models/training/head.pt --shape narrow --pictures DATA/mixed --out DATA/narrow.pt

`channel_choice` chooses them, layer for layer. What is wanted of a layer is what the whole network says there, while
its inputs come from the network that is narrower already, so that errors don't add up (He et al. 2017, arXiv
1707.06168). A channel that is left out is removed from every layer that computes it.

What comes out is where a short training begins: `train --start DATA/narrow.pt --teacher models/training/head.pt`.
"""

from __future__ import annotations

import argparse
import copy
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from .channel_choice import Fit, Moments
from .network import (
    SHAPES,
    Block,
    HeadNet,
    Shape,
    Unit,
    load_network,
    multiplications,
    save_network,
)
from .shards import load

_PICTURES = 96
"""Pictures that the weights are fitted on: each shows thousands of cells."""
_BATCH = 8


def narrowed(whole: HeadNet, shape: Shape, batches: list[Tensor]) -> HeadNet:
    """
    Return a network of *shape* that says nearly what the *whole* one says.

    Args:
        whole: Ready to be asked.
        shape: With as many blocks, none of them wider.
        batches: Pictures, (n, 3, height, width) of 0 to 255.
    """
    slim = copy.deepcopy(whole)
    for name, keep in _steps(shape):
        layer = slim.get_submodule(name)
        kernel = (layer.convolution if isinstance(layer, Unit) else layer).weight
        assert isinstance(kernel, Tensor)  # noqa: S101 - a convolution has one
        moments = Moments(kernel.shape[1], kernel.shape[0])
        for batch in batches:
            moments.add(_cells(_given(slim, name, batch)), _cells(_wanted(slim, whole, name, batch)))
        fit = moments.fit(keep)
        for maker in _makers(slim, name):
            _keep_outputs(maker, fit.kept)
        _refit(layer, fit)
        print(f"{name}: {keep} of {kernel.shape[1]} channels, unexplained {fit.unexplained:.4f}", flush=True)
    narrow = HeadNet(shape)
    narrow.load_state_dict(slim.state_dict())
    return narrow.eval()


def _steps(shape: Shape) -> Iterator[tuple[str, int]]:
    """Yield each layer that may lose input channels, in the order of the signal, and how many it keeps."""
    for scale, widths in (("fine", shape.fine), ("middle", shape.middle), ("coarse", shape.coarse)):
        yield from ((f"{scale}.{number}.narrow", width) for number, width in enumerate(widths))
    yield from ((name, shape.up_fine) for name in ("at_fine.mix", "head.mix", "out"))


def _makers(network: HeadNet, name: str) -> list[Unit]:
    """Return the layers whose output channels are the named layer's inputs."""
    makers = {
        "at_fine.mix": [network.at_middle.mix, network.from_fine, network.at_fine.around],
        "head.mix": [network.at_fine.mix, network.head.around],
        "out": [network.head.mix],
    }
    if name in makers:
        return makers[name]
    block = network.get_submodule(name.rpartition(".")[0])
    assert isinstance(block, Block)  # noqa: S101 - all others are in blocks
    return [block.widen, block.around]


def _wanted(slim: HeadNet, whole: HeadNet, name: str, batch: Tensor) -> Tensor:
    """Return what a layer should say; one that is added to its block's input makes up for what that lacks, too."""
    block, _, _ = name.rpartition(".")
    inside = slim.get_submodule(block)
    if isinstance(inside, Block) and inside.added:
        return _said(whole, block, batch) - _given(slim, block, batch)
    return _said(whole, name, batch)


@torch.no_grad()
def _given(network: HeadNet, name: str, batch: Tensor) -> Tensor:
    """Return what goes into a layer or block."""
    caught: list[Tensor] = []
    hook = network.get_submodule(name).register_forward_pre_hook(lambda _, given: caught.append(given[0]))
    network(batch)
    hook.remove()
    return caught[0]


@torch.no_grad()
def _said(network: HeadNet, name: str, batch: Tensor) -> Tensor:
    """Return what a layer or block says, before its ReLU6 if it has one."""
    caught: list[Tensor] = []
    layer = network.get_submodule(name)
    told = layer.norm if isinstance(layer, Unit) else layer
    hook = told.register_forward_hook(lambda _, __, said: caught.append(said))
    network(batch)
    hook.remove()
    return caught[0]


def _cells(maps: Tensor) -> npt.NDArray[np.float32]:
    """Return maps, (n, channels, rows, columns), as (cells, channels)."""
    cells: npt.NDArray[np.float32] = maps.permute(0, 2, 3, 1).flatten(0, 2).numpy()
    return cells


def _keep_outputs(unit: Unit, kept: list[int]) -> None:
    """Leave a layer only these of its output channels; a depthwise one loses the same inputs."""
    old, norm, count = unit.convolution, unit.norm, len(kept)
    inputs, groups = (count, count) if unit.depthwise else (old.in_channels, 1)
    unit.convolution = nn.Conv2d(
        inputs, count, old.kernel_size, old.stride, old.padding, groups=groups, bias=False,  # type: ignore[arg-type]
    )  # fmt: skip
    unit.convolution.load_state_dict({"weight": old.weight[kept]})
    unit.norm = nn.BatchNorm2d(count).eval()
    unit.norm.load_state_dict({key: value[kept] if value.ndim else value for key, value in norm.state_dict().items()})


def _refit(layer: nn.Module, fit: Fit) -> None:
    """Give a layer its new weights, and its normalisation the statistics that belong to them."""
    weights, mean, variance = (torch.from_numpy(part).float() for part in (fit.weights, fit.mean, fit.variance))
    said = torch.from_numpy(fit.weights @ fit.input_mean).float()
    outputs, inputs = weights.shape
    if isinstance(layer, Unit):
        norm = layer.norm
        layer.convolution = nn.Conv2d(inputs, outputs, 1, bias=False)
        layer.convolution.load_state_dict({"weight": weights[:, :, None, None]})
        own = {"running_mean": said, "running_var": variance, "bias": mean, "weight": torch.sqrt(variance + norm.eps)}
        norm.load_state_dict(norm.state_dict() | own)
        return
    assert isinstance(layer, nn.Conv2d)  # noqa: S101 - the last convolution
    layer.in_channels = inputs
    layer.weight, layer.bias = nn.Parameter(weights[:, :, None, None]), nn.Parameter(mean - said)


def main() -> None:
    """Narrow a checkpoint's network."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--shape", choices=SHAPES, required=True)
    parser.add_argument("--pictures", type=Path, nargs="+", required=True, help="rendered pictures to fit on")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    whole, shape = load_network(options.checkpoint), SHAPES[options.shape]
    shards = [shard for folder in options.pictures for shard in load(folder)]
    every = [picture for shard in shards for picture in shard.pictures]
    # The whole canvas is no multiple of 16: its middle is taken, as large as what the box sees.
    pictures = np.stack([np.asarray(picture)[6:294, 8:392] for picture in every[:: max(1, len(every) // _PICTURES)]])
    narrow = narrowed(whole, shape, list(torch.from_numpy(pictures).permute(0, 3, 1, 2).float().split(_BATCH)))
    save_network(narrow, options.out)
    before, after = multiplications(whole) / 1e6, multiplications(narrow) / 1e6
    print(f"{after:.0f} of {before:.0f} million multiplications for 384 x 288")


if __name__ == "__main__":
    main()
