"""What a training run tells of itself."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from dals.model.decoder import Decoder
from dals.training.checkpoint import TrainingProgress


@dataclass(frozen=True)
class TrainingReport:
    """The result of a training run, finished or interrupted.

    Attributes
    ----------
    decoder : Decoder
    latents : (N, d) float32
        Latents of the training shapes, not of their warps.
    progress : TrainingProgress
    finished : bool
        False if the time limit ended the run.
    """

    decoder: Decoder
    latents: Tensor
    progress: TrainingProgress
    finished: bool


@dataclass(frozen=True)
class EpochStatus:
    """Progress after an epoch: mean losses over the epoch, and the completed fraction of the run."""

    epoch: int
    step: int
    loss: float
    chamfer: float
    seconds: float
    fraction: float
