"""Closed splines as Slicer draws them."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from vtkmodules.vtkCommonComputationalGeometry import vtkCardinalSpline, vtkParametricSpline
from vtkmodules.vtkCommonCore import vtkPoints

from dals.geometry.mesh import FloatArray

POINTS_PER_SEGMENT = 10


def sample_closed_spline(control_points: ArrayLike, *, points_per_segment: int = POINTS_PER_SEGMENT) -> FloatArray:
    """Sample the closed cardinal spline through control points, as Slicer does by default.

    `vtkMRMLMarkupsClosedCurveNode` uses one closed `vtkCardinalSpline` per coordinate, parameterised by the
    index of the control point, not by length, with ten samples per segment.

    Parameters
    ----------
    control_points : (N, 3) array_like
        At least three points, in any unit and coordinate system.
    points_per_segment : int
        Samples from one control point to the next.

    Returns
    -------
    (N * points_per_segment, 3) float64
        Starts at the first control point; the closing point is not repeated.

    Raises
    ------
    ValueError
        For fewer than three points or a wrong shape.
    """
    control = np.asarray(control_points, dtype=np.float64)
    if control.ndim != 2 or control.shape[1] != 3 or len(control) < 3:
        raise ValueError(f"a closed spline needs (N >= 3, 3) control points, not {control.shape}")
    points = vtkPoints()
    points.SetDataTypeToDouble()
    for x, y, z in control:
        points.InsertNextPoint(x, y, z)
    spline = vtkParametricSpline()
    spline.SetXSpline(vtkCardinalSpline())
    spline.SetYSpline(vtkCardinalSpline())
    spline.SetZSpline(vtkCardinalSpline())
    spline.SetPoints(points)
    spline.ClosedOn()
    spline.ParameterizeByLengthOff()
    count = len(control) * points_per_segment
    samples = np.empty((count, 3))
    position, derivatives = [0.0] * 3, [0.0] * 9
    for index in range(count):
        spline.Evaluate([index / count, 0.0, 0.0], position, derivatives)
        samples[index] = position
    return samples
