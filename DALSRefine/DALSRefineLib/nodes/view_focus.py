"""The 3D views' cameras."""

from __future__ import annotations

from typing import Any

import numpy as np

from dals.geometry.mesh import TriangleMesh

_MARGIN = 1.3
_TOO_SMALL = 0.05
"""A surface that takes less of a view's height than this cannot be seen."""


def bring_into_view(scene: Any, mesh: TriangleMesh) -> int:
    """Point the cameras that do not show a surface at it, from the direction in which they look.

    Parameters
    ----------
    scene : vtkMRMLScene
    mesh : TriangleMesh
        World RAS millimetres.

    Returns
    -------
    int
        How many cameras were moved.
    """
    low, high = mesh.vertices.min(axis=0), mesh.vertices.max(axis=0)
    centre, radius = 0.5 * (low + high), 0.5 * float(np.linalg.norm(high - low))
    moved = [camera for camera in _cameras(scene) if not _shows(camera, centre, radius)]
    for camera in moved:
        _point_at(camera, centre, radius)
    return len(moved)


def show_whole_depth(scene: Any) -> None:
    """Have the 3D views fit what is near and far to what they show: a surface may be drawn only after it is added."""
    for camera in _cameras(scene):
        camera.ResetClippingRange()


def _cameras(scene: Any) -> list[Any]:
    count = scene.GetNumberOfNodesByClass("vtkMRMLCameraNode")
    return [scene.GetNthNodeByClass(index, "vtkMRMLCameraNode") for index in range(count)]


def _shows(camera: Any, centre: Any, radius: float) -> bool:
    """Whether the middle of a sphere is in a square view, and the sphere neither tiny nor around the camera."""
    position = np.array(camera.GetPosition())
    forwards = np.array(camera.GetFocalPoint()) - position
    forwards = forwards / max(float(np.linalg.norm(forwards)), 1e-9)
    way = centre - position
    ahead = float(way @ forwards)
    aside = float(np.linalg.norm(way - ahead * forwards))
    if camera.GetParallelProjection():
        half = float(camera.GetParallelScale())
    else:
        half = ahead * float(np.tan(np.radians(0.5 * camera.GetViewAngle())))
        if float(np.linalg.norm(way)) <= radius:
            return False
    return ahead > 0 and aside < half and radius > _TOO_SMALL * half


def _point_at(camera: Any, centre: Any, radius: float) -> None:
    backwards = np.array(camera.GetPosition()) - np.array(camera.GetFocalPoint())
    backwards = backwards / max(float(np.linalg.norm(backwards)), 1e-9)
    distance = _MARGIN * radius / float(np.sin(np.radians(0.5 * camera.GetViewAngle())))
    state = camera.StartModify()
    try:
        camera.SetFocalPoint(*centre.tolist())
        camera.SetPosition(*(centre + distance * backwards).tolist())
        camera.SetParallelScale(_MARGIN * radius)
    finally:
        camera.EndModify(state)
    camera.ResetClippingRange()
