"""nnU-Net's trainer with a schedule for one core."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from nnunetv2.training.nnUNetTrainer.variants.data_augmentation.nnUNetTrainerNoMirroring import nnUNetTrainerNoMirroring

SECONDS_PER_ITERATION = 0.8
"""With the plans of `nnunet`, measured on one core."""
ITERATIONS_PER_EPOCH = 10


class ShortTrainer(nnUNetTrainerNoMirroring):
    """Few and short epochs; no mirroring, as all images show the same side of the body.

    Optimiser, losses, deep supervision, augmentation and the falling learning rate are nnU-Net's own.
    """

    def __init__(
        self,
        plans: dict[str, Any],
        configuration: str,
        fold: int,
        dataset_json: dict[str, Any],
        device: torch.device = torch.device("cpu"),  # noqa: B008 - nnU-Net reads this signature
    ) -> None:
        super().__init__(plans, configuration, fold, dataset_json, device)
        self.num_iterations_per_epoch = ITERATIONS_PER_EPOCH
        self.num_val_iterations_per_epoch = 1
        self.save_every = 2

    def plan_minutes(self, minutes: float) -> None:
        """Choose the number of epochs."""
        self.num_epochs = max(1, round(60 * minutes / (SECONDS_PER_ITERATION * (ITERATIONS_PER_EPOCH + 0.5))))

    def on_train_epoch_start(self) -> None:
        """Seed, so that a resumed training draws what an uninterrupted one would."""
        np.random.seed(self.current_epoch)  # noqa: NPY002 - what nnU-Net draws from
        torch.manual_seed(self.current_epoch)
        super().on_train_epoch_start()
