"""Fitting a prior to an observation (Eq. 3)."""

from dals.fit_settings import FitSettings
from dals.fitting.result import FitResult, FitStep, OnStep
from dals.fitting.solver import fit
from dals.model.fit_state import FitState

__all__ = ["FitResult", "FitSettings", "FitState", "FitStep", "OnStep", "fit"]
