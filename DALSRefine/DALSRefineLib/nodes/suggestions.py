"""The slice on which a further contour would help most."""

from __future__ import annotations

from typing import Any

import numpy as np
from vtkmodules.util.numpy_support import numpy_to_vtk, vtk_to_numpy

from dals.errors import InputError
from dals.evaluation.next_plane import deviation_by_distance, suggested_plane
from dals.geometry.mesh import FloatArray
from dals.observations.contours import Plane
from DALSRefineLib.nodes.inputs import placed_in_world, planes_of_curves
from DALSRefineLib.nodes.outputs import mesh_of_model

DEVIATION_ARRAY = "Standard deviation (mm)"
"""Of a model's points: how far its surface may be off along its normals, one standard deviation."""


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


def show_deviation(model_node: Any, deviation_mm: FloatArray | None) -> None:
    """Keep the uncertainty of a model's points, (V,) mm, with the model; without one an earlier one goes."""
    points = model_node.GetPolyData().GetPointData()
    points.RemoveArray(DEVIATION_ARRAY)
    if deviation_mm is not None and len(deviation_mm) == model_node.GetPolyData().GetNumberOfPoints():
        array = numpy_to_vtk(np.asarray(deviation_mm, dtype=np.float32), deep=True)
        array.SetName(DEVIATION_ARRAY)
        points.AddArray(array)


def deviation_of(model_node: Any) -> FloatArray | None:
    """The uncertainty of a model's points, (V,) mm; None where it has none."""
    polydata = model_node.GetPolyData()
    array = None if polydata is None else polydata.GetPointData().GetArray(DEVIATION_ARRAY)
    if array is None or array.GetNumberOfTuples() != polydata.GetNumberOfPoints():
        return None
    values = np.array(vtk_to_numpy(array), dtype=np.float64)
    return values if values.ndim == 1 and np.isfinite(values).all() else None
