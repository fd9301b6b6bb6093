"""Smoothing of a surface that keeps its volume."""

from __future__ import annotations

from vtkmodules.vtkFiltersCore import vtkWindowedSincPolyDataFilter

from dals.geometry.mesh import TriangleMesh
from dals.geometry.vtk_bridge import points_of, polydata_of

_ITERATIONS, _PASS_BAND = 10, 0.2


def without_steps(mesh: TriangleMesh) -> TriangleMesh:
    """An isosurface without the lattice's steps at its rims, by windowed sinc functions (Taubin et al. 1996)."""
    smooth = vtkWindowedSincPolyDataFilter()
    smooth.SetInputData(polydata_of(mesh))
    smooth.SetNumberOfIterations(_ITERATIONS)
    smooth.SetPassBand(_PASS_BAND)
    smooth.NormalizeCoordinatesOn()
    smooth.BoundarySmoothingOff()
    smooth.FeatureEdgeSmoothingOff()
    smooth.Update()
    return TriangleMesh(points_of(smooth.GetOutput()), mesh.faces)
