"""What a training run tells of itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

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


@dataclass(frozen=True)
class StepStatus:
    """Progress after a step.

    Attributes
    ----------
    step, steps : int
        Completed, and in all if no time limit ends the run.
    loss, chamfer : float
        Running means.
    seconds : float
        Training time so far, over all starts.
    seconds_left : float
        Expected.
    fraction : float
        Completed share of the run.
    """

    step: int
    steps: int
    loss: float
    chamfer: float
    seconds: float
    seconds_left: float
    fraction: float


OnSetUp: TypeAlias = Callable[[float, str], None]
"""Takes the completed share of the set-up and what is being done."""


@dataclass(frozen=True, kw_only=True)
class Watcher:
    """What is called during a training, on its first process; None calls nothing.

    Attributes
    ----------
    on_set_up : OnSetUp
    on_start : callable
        When the set-up is complete: takes the progress from which the run goes on, and the steps of the whole run.
    on_step : callable
        About every second.
    on_epoch : callable
    examine : callable
        Now and then, for up to a twentieth of the time: takes copies of decoder and latents (N, d), and the progress.
    """

    on_set_up: OnSetUp | None = None
    on_start: Callable[[TrainingProgress, int], None] | None = None
    on_step: Callable[[StepStatus], None] | None = None
    on_epoch: Callable[[EpochStatus], None] | None = None
    examine: Callable[[Decoder, Tensor, TrainingProgress], None] | None = None
