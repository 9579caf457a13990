r"""
Train a head network.

    python -m models.training.train PICTURES... --out RUN --start NARROW.pt --epochs 24 \
        --teacher models/training/head.pt --teacher-slope 0.12

Goes on from RUN/last.pt if it is there; with other --epochs the learning rate falls along the new length. Pictures that
arrive while it runs are used from the next epoch on. With a teacher the network learns from what that says of each
picture as well as from the labels (`distil.py`).

On two cores `--processes 2` is quicker than two threads. Each process takes a batch of its own, and their gradients are
averaged.
"""

from __future__ import annotations

import argparse
import math
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, distributed, multiprocessing
from torch.nn import functional
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, IterableDataset

from .augment import answer, cut
from .dimensions import STRIDE
from .distil import Student, Teacher, distillation_loss
from .network import SHAPES, HeadNet, Maps, load_network, new_network, shape_of
from .shards import Shard, load

_WARM_UP = 200
_LABELS = 0.3
"""Weight of the labels beside a teacher."""
_CUTS, _CUT_SHARES = ((224, 160), (160, 192), (320, 240)), (0.52, 0.21, 0.27)
"""Sizes of the parts of pictures that are trained on, px, and how often each is taken."""


class Pictures(IterableDataset[tuple[Tensor, Tensor]]):
    """
    One process's part of an epoch of augmented batches, in an order given by the seed.

    All processes cut parts of the same size at a time, so that none waits for another. Where there are fewer pictures
    than an epoch takes, they come again, cut elsewhere: an epoch is as long whatever has been drawn so far.

    Args:
        shards: All pictures.
        batch: Parts of pictures in a batch.
        batches: Of this process in the epoch.
        seed: Of the epoch.
        process: This one's number, of *processes*.
    """

    def __init__(
        self, shards: list[Shard], *, batch: int, batches: int, seed: int, process: int, processes: int
    ) -> None:
        self._shards, self._batch, self._batches = shards, batch, batches
        self._seed, self._process = seed, process
        every = [(s, i) for s, shard in enumerate(shards) for i in range(len(shard.pictures))]
        if not every:
            raise SystemExit("There are no pictures yet: draw some with models.training.data.")
        random, order = np.random.default_rng(seed), []
        while len(order) < batches * batch * processes:
            random.shuffle(every)
            order += every
        self._order = order[process::processes]

    def __len__(self) -> int:
        return self._batches

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        sizes, random = np.random.default_rng(self._seed), np.random.default_rng((self._seed, self._process))
        by_picture = [[shard.of(index) for index in range(len(shard.pictures))] for shard in self._shards]
        for number in range(len(self)):
            width, height = _CUTS[int(sizes.choice(len(_CUTS), p=_CUT_SHARES))]
            parts, answers = [], []
            for shard, index in self._order[number * self._batch : (number + 1) * self._batch]:
                part, labels = cut(self._shards[shard].pictures[index], by_picture[shard][index], width, height, random)
                parts.append(part)
                answers.append(answer(labels, height // STRIDE, width // STRIDE).stacked())
            yield torch.from_numpy(np.stack(parts)), torch.from_numpy(np.stack(answers))


def loss(maps: Maps, wanted: Tensor) -> dict[str, Tensor]:
    """
    Return the parts of the loss.

    Scores: penalty-reduced focal loss; logits beyond 10 are pulled back, so that INT8 has few values to waste. Size
    and offset: absolute error near the heads' middles.
    """
    score, known, size, offset, near = wanted[:, 0], wanted[:, 1], wanted[:, 2], wanted[:, 3:5], wanted[:, 5]
    logit = maps.logit[:, 0].float()
    guess = torch.sigmoid(logit)
    at = (score >= 1.0).float()
    heads = at.sum().clamp(min=4.0)
    hit = at * (1 - guess) ** 2 * functional.logsigmoid(logit)
    miss = (1 - at) * known * (1 - score) ** 4 * guess**2 * functional.logsigmoid(-logit)
    weight = near.sum().clamp(min=4.0)
    return {
        "score": -(hit.sum() + miss.sum()) / heads,
        "size": (near * (maps.size[:, 0].float() - size).abs()).sum() / weight,
        "offset": 0.5 * (near[:, None] * (maps.offset.float() - offset).abs()).sum() / weight,
        "tame": 0.01 * functional.relu(logit.abs() - 10).mean(),
    }


def _average(averaged: Tensor, current: Tensor, number: Tensor | int) -> Tensor:
    """Return the running average of the weights: quick at first, then over about 500 batches."""
    return averaged + max(0.002, 9 / (10 + float(number))) * (current - averaged)


def _multiplies_halves() -> bool:
    """Tell whether this CPU has instructions for bfloat16."""
    return torch.backends.mkldnn.is_available() and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())  # noqa: SLF001


class Training:
    """
    A network, its average and its optimiser.

    Convolutions are multiplied in bfloat16 where the processor can (on one thread of an x86-64 with AVX-512: 69 cuts a
    second, not 52; with AVX2 alone it would take ten times as long); weights and their average are float32.

    Args:
        network: To be trained.
        rate: Learning rate after the warm-up; it falls to a fiftieth of it along half a cosine.
        total: Steps until it has fallen.
        teacher: A trained network to learn from.
    """

    def __init__(self, network: HeadNet, rate: float, total: int, teacher: Teacher | None = None) -> None:
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._halves = self._device.type == "cuda" or _multiplies_halves()
        self._rate, self._total, self.step = rate, total, 0
        self._network = network
        self._averaged = torch.optim.swa_utils.AveragedModel(self._network, avg_fn=_average, use_buffers=True)
        self._teacher = teacher
        # Whatever is trained, with a teacher or without one: it may hold more than the network.
        self._whole: torch.nn.Module = Student(self._network, teacher) if teacher else self._network
        for module in (self._whole, self._averaged, *([teacher] if teacher else [])):
            module.to(self._device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._trained = DistributedDataParallel(self._whole) if distributed.is_initialized() else self._whole
        kernels = [weight for weight in self._whole.parameters() if weight.ndim > 1]
        others = [weight for weight in self._whole.parameters() if weight.ndim == 1]
        groups = [{"params": kernels, "weight_decay": 0.02}, {"params": others, "weight_decay": 0.0}]
        self._optimiser = torch.optim.AdamW(groups, lr=rate)

    def restore(self, checkpoint: Path) -> int:
        """Go on from a checkpoint of this run; return how many epochs it has seen."""
        saved = torch.load(checkpoint, weights_only=True)
        self._whole.load_state_dict(saved["whole"])
        self._averaged.load_state_dict(saved["averaged"])
        self._optimiser.load_state_dict(saved["optimiser"])
        self.step = saved["step"]
        return int(saved["epoch"])

    def save(self, checkpoint: Path, epoch: int) -> None:
        """Write a checkpoint, whole or not at all."""
        parts = {"whole": self._whole, "averaged": self._averaged, "optimiser": self._optimiser}
        partial = checkpoint.with_suffix(".part")
        torch.save(
            {name: part.state_dict() for name, part in parts.items()}
            | {"shape": shape_of(self._network), "epoch": epoch, "step": self.step},
            partial,
        )
        partial.replace(checkpoint)

    def epoch(self, pictures: Pictures) -> dict[str, float]:
        """Train on these batches and return the mean of each part of the loss."""
        sums: dict[str, float] = {}
        self._whole.train()
        for images, wanted in DataLoader(
            pictures, batch_size=None, num_workers=1, prefetch_factor=4, multiprocessing_context="fork"
        ):
            falling = 0.5 * (1 + math.cos(math.pi * min(1.0, self.step / self._total)))
            rate = self._rate * min(1.0, (self.step + 1) / _WARM_UP) * (0.02 + 0.98 * falling)
            for group in self._optimiser.param_groups:
                group["lr"] = rate
            parts = self._losses(images.to(self._device).permute(0, 3, 1, 2).float(), wanted.to(self._device), falling)
            self._optimiser.zero_grad()
            torch.stack(list(parts.values())).sum().backward()
            torch.nn.utils.clip_grad_norm_(self._whole.parameters(), 5.0)
            self._optimiser.step()
            self._averaged.update_parameters(self._network)
            sums = {name: sums.get(name, 0.0) + part.item() for name, part in parts.items()}
            self.step += 1
        return {name: value / len(pictures) for name, value in sums.items()}

    def _losses(self, inputs: Tensor, wanted: Tensor, hints: float) -> dict[str, Tensor]:
        """Return the parts of the loss of one batch; *hints* is the weight of the teacher's features."""
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._halves):
            told = self._trained(inputs)
        if self._teacher is None:
            return loss(told, wanted)
        # Depthwise convolutions are slower in half precision on CPUs.
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._device.type == "cuda"):
            taught = self._teacher(inputs)
        parts = {name: _LABELS * part for name, part in loss(told[1], wanted).items()} | distillation_loss(told, taught)
        return parts | {"features": hints * parts["features"]}


def main() -> None:
    """Train, writing a checkpoint after each epoch."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pictures", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--shape", choices=SHAPES, default="wide", help="of a network from nothing")
    parser.add_argument("--teacher", type=Path, help="a checkpoint whose network is to be learnt from")
    parser.add_argument("--teacher-slope", type=float, default=0.0, help="its slope over the size, as it was exported")
    parser.add_argument("--start", type=Path, help="begin from the network of another run's checkpoint")
    parser.add_argument("--epochs", type=int, default=24)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--steps", type=int, default=440, help="batches an epoch")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=1)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    if options.processes == 1:
        _train(0, options, Path())
        return
    with tempfile.TemporaryDirectory() as folder:
        multiprocessing.spawn(_train, (options, Path(folder) / "meeting"), options.processes)


def _train(process: int, options: argparse.Namespace, meeting: Path) -> None:
    """Train as one of several processes, which find each other by the file *meeting*."""
    if options.processes > 1:
        torch.set_num_threads(1)
        distributed.init_process_group(
            "gloo", init_method=f"file://{meeting}", rank=process, world_size=options.processes
        )
    torch.manual_seed(options.seed)
    network = load_network(options.start) if options.start else new_network(options.shape)
    teacher = Teacher(load_network(options.teacher), options.teacher_slope) if options.teacher else None
    training = Training(network, options.rate, options.epochs * options.steps, teacher)
    first, last = 0, options.out / "last.pt"
    if last.exists():
        first = training.restore(last)
    for epoch in range(first, options.epochs):
        shards = [shard for folder in options.pictures for shard in load(folder)]
        begun = time.monotonic()
        seed = 1000 * options.seed + epoch
        pictures = Pictures(
            shards,
            batch=options.batch,
            batches=options.steps,
            seed=seed,
            process=process,
            processes=options.processes,
        )
        parts = training.epoch(pictures)
        if process:
            continue
        training.save(last, epoch + 1)
        spent = time.monotonic() - begun
        told = ", ".join(f"{name} {value:.4f}" for name, value in parts.items())
        left = spent * (options.epochs - epoch - 1) / 60
        print(
            f"epoch {epoch + 1}/{options.epochs}, {len(shards)} shards, {spent:.0f} s: {told}; {left:.0f} min left",
            flush=True,
        )


if __name__ == "__main__":
    main()
