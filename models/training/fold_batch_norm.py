"""
Fold a checkpoint's normalisation into its convolutions, for export.

    python -m models.training.fold_batch_norm RUN/last.pt --out RUN/folded.npz

Of several checkpoints the mean of their weights is taken (Wortsman et al. 2022, Model soups, arXiv 2203.05482): of runs
that began from the same weights it is often better than each.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch

from .network import HeadNet, Unit, load_network, save_network


def mean_network(checkpoints: list[Path]) -> HeadNet:
    """Return the network with the mean of the checkpoints' weights, ready to be asked."""
    networks = [load_network(checkpoint) for checkpoint in checkpoints]
    runs = [network.state_dict() for network in networks]
    networks[0].load_state_dict(
        {name: torch.stack([run[name].double() for run in runs]).mean(0).to(runs[0][name].dtype) for name in runs[0]}
    )
    return networks[0]


def main() -> None:
    """Write each convolution's kernel, (height, width, inputs, outputs) or (height, width, channels, 1), and bias."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoints", type=Path, nargs="+", help="of one shape")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--weights", type=Path, help="also write the float weights, for others to go on from")
    options = parser.parse_args()
    network = mean_network(options.checkpoints)
    if options.weights:
        save_network(network, options.weights)
    arrays: dict[str, np.ndarray] = {}
    for name, unit in network.named_modules():
        if isinstance(unit, Unit):
            kernel, bias = unit.folded()
            axes = (2, 3, 0, 1) if unit.depthwise else (2, 3, 1, 0)
            arrays[f"{name}/kernel"] = kernel.detach().permute(*axes).numpy()
            arrays[f"{name}/bias"] = bias.detach().numpy()
    arrays["out/kernel"] = network.out.weight.detach().permute(2, 3, 1, 0).numpy()
    arrays["out/bias"] = network.out.bias.detach().numpy()
    np.savez(options.out, **arrays)


if __name__ == "__main__":
    main()
