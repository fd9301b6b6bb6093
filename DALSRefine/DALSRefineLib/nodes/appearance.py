"""How a result looks: opacity, outline, visibility, smoothing."""

from __future__ import annotations

from typing import Any, NamedTuple

from vtkmodules.vtkFiltersCore import vtkWindowedSincPolyDataFilter

from dals.geometry.mesh import TriangleMesh
from dals.geometry.vtk_bridge import points_of, polydata_of


class Appearance(NamedTuple):
    """Of a model in the views.

    Attributes
    ----------
    opacity : float
        Of the surface in 3D, 0 to 1.
    thickness : int
        Of the outline in the slice views, pixels.
    in_3d, in_slices : bool
        Where it is shown.
    """

    opacity: float
    thickness: int
    in_3d: bool
    in_slices: bool


def appearance_of(model_node: Any) -> Appearance | None:
    """How a model looks now; None where it has no display node."""
    display = None if model_node is None else model_node.GetDisplayNode()
    if display is None:
        return None
    shown = bool(display.GetVisibility())
    return Appearance(
        float(display.GetOpacity()),
        int(display.GetSliceIntersectionThickness()),
        shown and bool(display.GetVisibility3D()),
        shown and bool(display.GetVisibility2D()),
    )


def set_appearance(model_node: Any, look: Appearance) -> None:
    """Make a model look so."""
    model_node.CreateDefaultDisplayNodes()  # does nothing where there is one
    display = model_node.GetDisplayNode()
    state = display.StartModify()
    try:
        display.SetOpacity(look.opacity)
        display.SetSliceIntersectionThickness(look.thickness)
        display.SetVisibility(look.in_3d or look.in_slices)
        display.SetVisibility3D(look.in_3d)
        display.SetVisibility2D(look.in_slices)
    finally:
        display.EndModify(state)


def smoothed(mesh: TriangleMesh, amount: float) -> TriangleMesh:
    """A surface smoothed as Slicer smooths the surfaces of segments, which keeps its volume.

    Parameters
    ----------
    mesh : TriangleMesh
    amount : float
        0 (not at all) to 1.
    """
    if amount <= 0:
        return mesh
    windowed = vtkWindowedSincPolyDataFilter()
    windowed.SetInputData(polydata_of(mesh))
    windowed.SetNumberOfIterations(20)
    windowed.SetPassBand(10.0 ** (-4.0 * min(amount, 1.0)))
    windowed.BoundarySmoothingOff()
    windowed.FeatureEdgeSmoothingOff()
    windowed.NonManifoldSmoothingOn()
    windowed.NormalizeCoordinatesOn()
    windowed.Update()
    return TriangleMesh(points_of(windowed.GetOutput()), mesh.faces)
