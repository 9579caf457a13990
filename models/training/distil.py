"""
Learn from a trained network: a student is asked to say of each picture what the teacher says of it.

A label says where a head is; the teacher says of every cell how likely a head is there, and so teaches thousands of
numbers a picture. Its features on the way are matched as well (Romero et al. 2015, FitNets, arXiv 1412.6550), through
1 x 1 convolutions that are thrown away after training, with a weight that falls to nothing.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from .network import HeadNet, Maps, Unit
from .size_calibration import add_size_slope


class Teacher(nn.Module):
    """
    A trained network that is only asked, its normalisation folded in.

    Args:
        network: It becomes the teacher's own.
        size_slope: By how much its logits rise with the size of a head, as in the model file; see `size_calibration`.
    """

    def __init__(self, network: HeadNet, size_slope: float) -> None:
        super().__init__()
        self.network = network.eval().requires_grad_(requires_grad=False)
        out = self.network.out
        assert out.bias is not None  # noqa: S101 - it has one
        kernel, bias = add_size_slope(out.weight.numpy().transpose(2, 3, 1, 0), out.bias.numpy(), size_slope)
        with torch.no_grad():
            out.weight.copy_(torch.from_numpy(kernel.transpose(3, 2, 0, 1)))
            out.bias.copy_(torch.from_numpy(bias))
        for unit in self.network.modules():
            if isinstance(unit, Unit):
                unit.convolution = fuse_conv_bn_eval(unit.convolution, unit.norm)
                unit.norm = nn.Identity()  # type: ignore[assignment] # it is folded in

    @torch.no_grad()
    def forward(self, x: Tensor) -> tuple[tuple[Tensor, ...], Maps]:
        """Return its features and maps."""
        features = self.network.features(x)
        return features, self.network.maps(features[-1])


class Student(nn.Module):
    """
    A network in training, with the 1 x 1 convolutions that bring its features to the teacher's channels.

    They begin as nothing, or as the identity where there are as many channels: those of a narrowed network mean the
    same, and random ones would drive it from what it knows.
    """

    def __init__(self, network: HeadNet, teacher: Teacher) -> None:
        super().__init__()
        self.network = network
        probe = torch.zeros(1, 3, 32, 32)
        with torch.no_grad():
            ours, theirs = network.eval().features(probe), teacher(probe)[0]
        network.train()
        self.adapters = nn.ModuleList(
            nn.Conv2d(own.shape[1], wanted.shape[1], 1) for own, wanted in zip(ours, theirs, strict=True)
        )
        for adapter in self.adapters:
            same = adapter.in_channels == adapter.out_channels
            (nn.init.dirac_ if same else nn.init.zeros_)(adapter.weight)
            nn.init.zeros_(adapter.bias)

    def forward(self, x: Tensor) -> tuple[tuple[Tensor, ...], Maps]:
        """Return its features in the teacher's channels, and its maps."""
        features = self.network.features(x)
        told = tuple(adapter(part) for adapter, part in zip(self.adapters, features, strict=True))
        return told, self.network.maps(features[-1])


def distillation_loss(
    student: tuple[tuple[Tensor, ...], Maps], teacher: tuple[tuple[Tensor, ...], Maps]
) -> dict[str, Tensor]:
    """
    Return the parts of the loss.

    Scores: Kullback-Leibler divergence of each cell's score from the teacher's. Size and offset: absolute error,
    weighted by the teacher's score. Features: squared error as a share of each channel's variance over the batch.
    """
    features, maps = student
    wanted_features, wanted = teacher
    logit, wanted_logit = maps.logit.float(), wanted.logit.float()
    score = torch.sigmoid(wanted_logit)
    heads = (score.sum() / 4).clamp(min=4.0)
    divergence = functional.binary_cross_entropy_with_logits(
        logit, score, reduction="sum"
    ) - functional.binary_cross_entropy_with_logits(wanted_logit, score, reduction="sum")
    weight = score.sum().clamp(min=1.0)
    hints = [_unexplained(own.float(), other.float()) for own, other in zip(features, wanted_features, strict=True)]
    return {
        "taught score": divergence / heads,
        "taught size": (score * (maps.size.float() - wanted.size.float()).abs()).sum() / weight,
        "taught offset": 0.5 * (score * (maps.offset.float() - wanted.offset.float()).abs()).sum() / weight,
        "features": torch.stack(hints).mean(),
    }


def _unexplained(own: Tensor, wanted: Tensor) -> Tensor:
    """Return the share of the wanted channels' variance that *own* doesn't explain; 1 for their means."""
    variance = wanted.var(dim=(0, 2, 3)).clamp(min=1e-3)
    return ((own - wanted).square().mean(dim=(0, 2, 3)) / variance).mean()
