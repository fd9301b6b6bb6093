"""How far each point of a model may be off, as an array of its points."""

from __future__ import annotations

from typing import Any

import numpy as np
from vtkmodules.util.numpy_support import numpy_to_vtk, vtk_to_numpy

from dals.geometry.mesh import FloatArray

DEVIATION_ARRAY = "Standard deviation (mm)"
"""Along the normals."""
IN_FILES = "uncertainty_mm"
"""Its name in files, which takes no spaces."""


def set_deviation(model_node: Any, deviation: FloatArray | None) -> None:
    """Attach standard deviations (V,), mm, to a model's points; None, or another number of them, takes them off."""
    polydata = model_node.GetPolyData()
    if polydata is None:
        return
    if deviation is None or len(deviation) != polydata.GetNumberOfPoints():
        polydata.GetPointData().RemoveArray(DEVIATION_ARRAY)
        return
    array = numpy_to_vtk(np.asarray(deviation, dtype=np.float64), deep=True)
    array.SetName(DEVIATION_ARRAY)
    polydata.GetPointData().AddArray(array)


def deviation_of(model_node: Any) -> FloatArray | None:
    """The standard deviations of a model's points, (V,) mm; None where it has none, or values that mean nothing."""
    polydata = None if model_node is None else model_node.GetPolyData()
    if polydata is None:
        return None
    array = polydata.GetPointData().GetArray(DEVIATION_ARRAY)
    if array is None or array.GetNumberOfTuples() != polydata.GetNumberOfPoints():
        return None
    values = np.array(vtk_to_numpy(array), dtype=np.float64)
    return values if values.ndim == 1 and np.isfinite(values).all() and (values >= 0).all() else None
