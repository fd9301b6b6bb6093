"""The slice on which a further contour would help most."""

from __future__ import annotations

from typing import Any

import numpy as np

from dals.errors import InputError
from dals.evaluation.next_plane import deviation_by_distance, suggested_plane
from dals.observations.contours import Plane
from DALSRefineLib.nodes.inputs import placed_in_world, planes_of_curves
from DALSRefineLib.nodes.outputs import mesh_of_model
from DALSRefineLib.nodes.uncertainty import deviation_of


def suggested_slice(model_node: Any, curves: list[Any], *, oblique: bool = False) -> Plane:
    """The plane for the next contour of a result.

    A result that brings its own uncertainty is taken at its word. For others, the surface counts as the less certain
    the further it is from all points that were drawn.

    Parameters
    ----------
    model_node : vtkMRMLModelNode
        The result.
    curves : list of vtkMRMLMarkupsClosedCurveNode
        What is drawn already.
    oblique : bool
        Try planes of other directions than axial, coronal and sagittal, too.

    Returns
    -------
    Plane
        World RAS millimetres.

    Raises
    ------
    InputError
        If there is no surface, or neither an uncertainty nor a curve, or everything is drawn.
    """
    mesh = mesh_of_model(model_node)
    deviation = deviation_of(model_node)
    if deviation is None:
        drawn = [placed_in_world(curve) for curve in curves]
        if not drawn:
            raise InputError("Draw contours first: the next slice depends on those that are there.")
        deviation = deviation_by_distance(mesh.vertices, np.concatenate(drawn))
    return suggested_plane(mesh.vertices, mesh.faces, deviation, planes_of_curves(curves), oblique=oblique)
