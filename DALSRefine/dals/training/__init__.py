"""Training a prior: weights and one latent per shape, jointly (Eq. 1)."""

from dals.training.loop import train
from dals.training.reports import TrainingReport, Watcher
from dals.training.settings import TrainingSettings

__all__ = ["TrainingReport", "TrainingSettings", "Watcher", "train"]
