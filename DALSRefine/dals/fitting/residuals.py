"""What Gauss-Newton has to know of a kind of observation: residuals along the normals of a mesh."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import singledispatch

import numpy as np

from dals.fit_settings import FitSettings
from dals.geometry.mesh import FloatArray, IntArray, TriangleMesh
from dals.model.pose import Pose
from dals.observations import Observation


@dataclass(frozen=True, eq=False)
class Residuals:
    """N places of a canonical mesh, each with the distance by which it should move outwards.

    Attributes
    ----------
    faces : (N,) int64
    barycentric : (N, 3)
        Where in the face.
    values : (N,)
        Canonical; positive outwards.
    weights : (N,)
        Of the squared values, reduced by the robust loss.
    loss : float
        Weighted sum of the squared values, after the robust loss.
    vertex_normals : (V, 3)
        Of the mesh.
    """

    faces: IntArray
    barycentric: FloatArray
    values: FloatArray
    weights: FloatArray
    loss: float
    vertex_normals: FloatArray

    def at_places(self, field: FloatArray, faces: IntArray) -> FloatArray:
        """A field (V, C) of the mesh with faces (F, 3), interpolated to the places, (N, C)."""
        return np.asarray(np.einsum("nk,nkc->nc", self.barycentric, field[faces[self.faces]]))


class ResidualTerm(ABC):
    """The data term of a kind of observation as residuals. Nothing in it is drawn at random."""

    total_weight: float
    """Sum of the weights before the robust loss: how many independent observations there are."""

    @abstractmethod
    def __call__(self, vertices: FloatArray, faces: IntArray, pose: Pose) -> Residuals:
        """Residuals of a mesh with canonical vertices (V, 3), seen from the frame of a pose."""

    def of_trials(self) -> ResidualTerm:
        """The residuals for the first steps, while the pose is far off."""
        return self

    @abstractmethod
    def finished(self, vertices: FloatArray, level: int, pose: Pose) -> TriangleMesh:
        """The last millimetres: canonical vertices (V, 3) of a template moved to where the residuals are small.

        The result's first vertices are these; it may have more.
        """


@singledispatch
def residual_term(observation: Observation, settings: FitSettings) -> ResidualTerm | None:
    """The residuals of an observation; None for kinds that only Adam fits."""
    return None
