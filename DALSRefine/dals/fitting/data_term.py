"""What fitting has to know of a kind of observation: its data term, its first guess of the pose, its weight.

Each function dispatches on the observation's class. A module of `dals.fitting.kinds` registers a kind.
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
    """The task loss of Eq. 3: how far a mesh in the canonical frame is from what the user gave."""

    @abstractmethod
    def __call__(self, vertices: Tensor, faces: Tensor, generator: torch.Generator) -> Tensor:
        """The loss of canonical vertices (V, 3) with faces (F, 3); scalar, canonical units squared.

        What is drawn at random comes from `generator`.
        """

    def project(self, vertices: Tensor, template: Template, distance: float) -> Tensor:
        """Canonical vertices (V, 3), moved onto what was observed where that is nearer than `distance`."""
        return vertices


@singledispatch
def data_term(observation: Observation, pose: Pose, settings: FitSettings, device: torch.device) -> DataTerm:
    """The data term of an observation, seen from the canonical frame of a pose."""
    raise TypeError(f"no data term is registered for observations of kind {observation.kind}")


@singledispatch
def organ_bounds(observation: Observation) -> tuple[FloatArray, FloatArray]:
    """Least and largest coordinates of the organ as far as they can be seen, each (3,), RAS mm."""
    return observation.bounds


@singledispatch
def evidence(observation: Observation) -> float:
    """How much was observed, in parts of what the weights of the defaults are meant for."""
    return 1.0


def as_tensor(array: FloatArray, device: torch.device) -> Tensor:
    """An array as a float32 tensor."""
    return torch.as_tensor(np.asarray(array), dtype=torch.float32, device=device)
