"""
Fold a checkpoint's normalisation into its convolutions, for export.

    python -m models.training.fold RUN/last.pt RUN/folded.npz
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from .network import Unit
from .train import load_network


def main() -> None:
    """Write each convolution's kernel, (height, width, inputs, outputs) or (height, width, channels, 1), and bias."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    network = load_network(options.checkpoint)
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
