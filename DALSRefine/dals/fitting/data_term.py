"""The interface of fitting to a kind of observation: data term, bounds for the initial pose, amount of evidence.

Each function dispatches on the observation's class. Modules of `dals.fitting.kinds` register the implementations.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import singledispatch

import numpy as np
import torch
from torch import Tensor

from dals.fit_settings import FitSettings
from dals.geometry.mesh import FloatArray
from dals.model.pose import Pose
from dals.model.template import Template
from dals.observations import Observation


class DataTerm(ABC):
    """The task loss of Eq. 3: distance of a mesh in the canonical frame from the observation."""

    @abstractmethod
    def __call__(self, vertices: Tensor, faces: Tensor, generator: torch.Generator) -> Tensor:
        """The loss of canonical vertices (V, 3) with faces (F, 3); scalar, canonical units squared.

        Random samples come from `generator`.
        """

    def project(self, vertices: Tensor, template: Template, distance: float) -> Tensor:
        """Project canonical vertices (V, 3) onto the observation where it is nearer than `distance`."""
        return vertices


@singledispatch
def data_term(observation: Observation, pose: Pose, settings: FitSettings, device: torch.device) -> DataTerm:
    """The data term of an observation in the canonical frame of a pose."""
    raise TypeError(f"no data term is registered for observations of kind {observation.kind}")


@singledispatch
def organ_bounds(observation: Observation) -> tuple[FloatArray, FloatArray]:
    """Minimum and maximum coordinates of the organ as far as observed, each (3,), RAS mm."""
    return observation.bounds


@singledispatch
def evidence(observation: Observation) -> float:
    """Amount of evidence, relative to the amount for which the default weights were chosen."""
    return 1.0


def as_tensor(array: FloatArray, device: torch.device) -> Tensor:
    """Convert an array to a float32 tensor."""
    return torch.as_tensor(np.asarray(array), dtype=torch.float32, device=device)
