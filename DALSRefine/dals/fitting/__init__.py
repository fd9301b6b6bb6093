"""Fitting a prior to what the user gave (Eq. 3)."""

from dals.fit_settings import FitSettings, Task
from dals.fitting.result import Callback, FitResult, FitState, FitStatus
from dals.fitting.solver import fit
from dals.fitting.tasks import Observation, task_of

__all__ = ["Callback", "FitResult", "FitSettings", "FitState", "FitStatus", "Observation", "Task", "fit", "task_of"]
