"""Training of a network on the labelled slices, within a budget of processor time; goes on where it was interrupted."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from benchmarks.segmentation.augmentation import augment
from benchmarks.segmentation.cases import FOLDER, names_of, read_case
from benchmarks.segmentation.networks import CANVAS, make_network
from benchmarks.segmentation.slices import ORGAN, UNLABELLED, sparse_annotation
from benchmarks.segmentation.training_state import TrainingState, load_state, save_state
from dals.io.atomic import atomic_path

LEARNING_RATES = {"unet": 2e-3, "vnet": 4e-3, "unetr": 1e-3}
WEIGHT_DECAY = 1e-2
WARM_UP = 20
BATCH = 2
AVERAGING = 0.99
"""Validated and kept are averaged weights: single steps on three slices an image are noisy."""
CHECKS = 40
"""How often, over the budget, the validation slices are looked at and the state is stored."""


@dataclass(frozen=True, eq=False)
class Batch:
    """Images on the canvas; all (N, 1, *CANVAS), the labels bool."""

    images: Tensor
    organ: Tensor
    labelled: Tensor


def train(backbone: str, *, minutes: float, seed: int = 0, folder: Path = FOLDER) -> Path:
    """Train a network on the training images' sparse slices.

    Parameters
    ----------
    backbone : str
        A key of NETWORKS.
    minutes : float
        Of one thread's processor time, over all starts; the learning rate falls over it.
    seed : int
    folder : Path
        For `networks/BACKBONE.safetensors`, the averaged weights with the lowest loss on the validation images'
        sparse slices, and the state of an unfinished training. A finished one is left as it is.

    Returns
    -------
    Path
        Of the weights.
    """
    out = folder / "networks" / f"{backbone}.safetensors"
    unfinished = out.with_suffix(".unfinished.safetensors")
    if out.exists() and not unfinished.exists():
        return out
    out.parent.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    training, validation = load_batch(names_of("training")), load_batch(names_of("validation"))
    network = make_network(backbone, seed=seed)
    averaged = AveragedModel(network, avg_fn=_average, use_buffers=True)
    optimiser = torch.optim.AdamW(network.parameters(), lr=LEARNING_RATES[backbone], weight_decay=WEIGHT_DECAY)
    state = TrainingState(network, averaged, optimiser)
    key = f"{backbone}, seed {seed}"
    if unfinished.exists():
        load_state(unfinished, state, key=key)
    start, check = time.process_time() - state.seconds, math.floor(CHECKS * state.seconds / (60 * minutes))
    while (progress := state.seconds / (60 * minutes)) < 1:
        for group in optimiser.param_groups:
            group["lr"] = LEARNING_RATES[backbone] * _rate(state.step, progress)
        _step(state, training, seed=seed)
        state.seconds = time.process_time() - start
        if CHECKS * state.seconds / (60 * minutes) >= check + 1:
            check += 1
            loss = _validate(averaged, validation)
            print(f"{backbone} {state.seconds / 60:6.1f} min, step {state.step}: validation {loss:.4f}", flush=True)
            if loss <= state.best:
                state.best = loss
                _save_weights(out, state)
            save_state(unfinished, state, key=key)
    unfinished.unlink(missing_ok=True)
    return out


def load_batch(names: list[str]) -> Batch:
    """The named cases with their sparse labels."""
    cases = [read_case(name) for name in names]
    annotations = [sparse_annotation(case.truth, case.name) for case in cases]
    labels = torch.from_numpy(np.stack([on_canvas(a, filling=UNLABELLED) for a in annotations]))[:, None]
    images = torch.from_numpy(np.stack([on_canvas(case.image) for case in cases]))[:, None]
    return Batch(images, labels == ORGAN, labels != UNLABELLED)


def on_canvas(array: np.ndarray, *, filling: float = 0) -> np.ndarray:
    """Put an image into the middle of the canvas."""
    return np.pad(array, canvas_margins(array.shape), constant_values=filling)


def canvas_margins(shape: tuple[int, ...]) -> list[tuple[int, int]]:
    """Voxels before and after an image of this shape on the canvas, for each axis."""
    return [
        ((whole - part) // 2, whole - part - (whole - part) // 2) for whole, part in zip(CANVAS, shape, strict=True)
    ]


def masked_loss(logits: Tensor, organ: Tensor, labelled: Tensor) -> Tensor:
    """Cross-entropy and soft Dice of the labelled voxels of a batch."""
    logits, target = logits[labelled], organ[labelled].to(logits.dtype)
    probabilities = logits.sigmoid()
    overlap = (2 * (probabilities * target).sum() + 1) / (probabilities.sum() + target.sum() + 1)
    return F.binary_cross_entropy_with_logits(logits, target) + 1 - overlap


def _average(averaged: Tensor, current: Tensor, count: Tensor | int) -> Tensor:
    """Moving average that forgets the first steps sooner."""
    return averaged + (current - averaged) * max(1 - AVERAGING, 9 / (float(count) + 10))


def _rate(step: int, progress: float) -> float:
    """Rises over the first steps, and falls to zero over the budget."""
    return min(1.0, (step + 1) / WARM_UP) * 0.5 * (1 + math.cos(math.pi * progress))


def _step(state: TrainingState, data: Batch, *, seed: int) -> None:
    # A generator a step: a resumed training draws what an uninterrupted one would.
    generator = torch.Generator().manual_seed(1_000_003 * seed + state.step)
    torch.manual_seed(1_000_003 * seed + state.step)  # for the dropout
    chosen = torch.randperm(len(data.images), generator=generator)[:BATCH]
    images, organ, labelled = augment(data.images[chosen], data.organ[chosen], data.labelled[chosen], generator)
    state.network.train()
    state.optimiser.zero_grad()
    loss = masked_loss(state.network(images), organ, labelled)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(state.network.parameters(), 5.0)
    state.optimiser.step()
    state.averaged.update_parameters(state.network)
    state.step += 1


@torch.no_grad()
def _validate(averaged: AveragedModel, data: Batch) -> float:
    averaged.eval()
    logits = torch.cat([averaged(image[None]) for image in data.images])
    return float(masked_loss(logits, data.organ, data.labelled))


def _save_weights(path: Path, state: TrainingState) -> None:
    weights = {name: value.contiguous() for name, value in state.averaged.module.state_dict().items()}
    metadata = {
        "steps": str(state.step),
        "minutes": f"{state.seconds / 60:.2f}",
        "validation_loss": f"{state.best:.4f}",
    }
    with atomic_path(path) as temporary:
        save_file(weights, temporary, metadata=metadata)
