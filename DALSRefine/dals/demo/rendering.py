"""Off-screen rendering of surfaces and contours to PNG."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import vtkmodules.vtkRenderingFreeType
import vtkmodules.vtkRenderingOpenGL2  # noqa: F401  (both register rendering classes)
from vtkmodules.vtkFiltersCore import vtkPolyDataNormals, vtkTubeFilter
from vtkmodules.vtkFiltersSources import vtkPolyLineSource
from vtkmodules.vtkRenderingCore import (
    vtkActor,
    vtkCamera,
    vtkPolyDataMapper,
    vtkRenderer,
    vtkRenderWindow,
    vtkTextActor,
)

from dals.demo.offscreen import can_render, encode_png, grab_pixels, quiet_vtk
from dals.errors import OutputError
from dals.geometry.mesh import FloatArray, TriangleMesh
from dals.geometry.vtk_bridge import polydata_of
from dals.io.atomic import atomic_path

Colour: TypeAlias = tuple[float, float, float]

_SUPERSAMPLING = 2
_VIEW_FROM = (0.40, 1.0, 0.35)  # RAS: anterior, slightly right and superior
_TITLE_POINTS = 20
_LEGEND_POINTS = 15


@dataclass(frozen=True, kw_only=True)
class Surface:
    """A mesh to render.

    Attributes
    ----------
    mesh : TriangleMesh
        RAS millimetres.
    colour : tuple of 3 float
        Red, green, blue in 0 to 1.
    opacity : float
        0 is invisible, 1 opaque.
    name : str
        Entry in the legend of the panel; empty for none.
    """

    mesh: TriangleMesh
    colour: Colour = (0.80, 0.36, 0.30)
    opacity: float = 1.0
    name: str = ""


@dataclass(frozen=True, kw_only=True)
class Polyline:
    """A contour to render as a tube.

    Attributes
    ----------
    points : (N, 3) float64
        In order, RAS millimetres.
    closed : bool
        Whether a segment joins the last point to the first.
    radius : float
        Of the tube, millimetres.
    colour : tuple of 3 float
        Red, green, blue in 0 to 1.
    name : str
        Entry in the legend of the panel; empty for none.
    """

    points: FloatArray
    closed: bool = True
    radius: float = 1.0
    colour: Colour = (0.10, 0.35, 0.80)
    name: str = ""


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One view with a title, surfaces and polylines."""

    title: str = ""
    surfaces: Sequence[Surface] = ()
    polylines: Sequence[Polyline] = ()


def render_meshes(
    path: str | os.PathLike[str],
    panels: Sequence[Panel],
    *,
    size: tuple[int, int] = (560, 520),
    view_from: tuple[float, float, float] = _VIEW_FROM,
) -> None:
    """Render panels side by side with one camera and write them as one PNG.

    Parameters
    ----------
    path : path-like
        The PNG file, written whole or not at all.
    panels : sequence of Panel
        From left to right.
    size : (int, int), optional
        Width and height of one panel, pixels.
    view_from : (float, float, float), optional
        Direction from the scene to the camera, RAS; superior is up. By default the camera is anterior, so that
        the patient's right is on the left.

    Raises
    ------
    OutputError
        If off-screen OpenGL is not available, or the file cannot be written.
    """
    if not panels:
        raise ValueError("a picture needs at least one panel")
    if not can_render():
        raise OutputError("The picture cannot be rendered: this machine has no off-screen OpenGL (EGL or OSMesa).")
    with quiet_vtk():
        window = _build_window(panels, size, _common_camera(panels, size, view_from))
        window.Render()
        png = encode_png(grab_pixels(window, supersampling=_SUPERSAMPLING))
        window.Finalize()
    with atomic_path(path) as temporary:
        temporary.write_bytes(png)


def _build_window(panels: Sequence[Panel], size: tuple[int, int], camera: Any) -> Any:
    window = vtkRenderWindow()
    window.SetOffScreenRendering(True)
    window.SetMultiSamples(0)  # required by depth peeling; supersampling smooths the edges instead
    window.SetAlphaBitPlanes(True)
    window.SetSize(size[0] * len(panels) * _SUPERSAMPLING, size[1] * _SUPERSAMPLING)
    for index, panel in enumerate(panels):
        renderer = _build_renderer(panel)
        renderer.SetViewport(index / len(panels), 0.0, (index + 1) / len(panels), 1.0)
        renderer.GetActiveCamera().DeepCopy(camera)
        renderer.ResetCameraClippingRange()
        window.AddRenderer(renderer)
    return window


def _build_renderer(panel: Panel) -> Any:
    renderer = vtkRenderer()
    renderer.SetBackground(1.0, 1.0, 1.0)
    renderer.SetUseDepthPeeling(True)
    renderer.SetMaximumNumberOfPeels(12)
    for surface in panel.surfaces:
        renderer.AddActor(_surface_actor(surface))
    for polyline in panel.polylines:
        renderer.AddActor(_polyline_actor(polyline))
    renderer.AddViewProp(_text(panel.title, (0.5, 0.98), _TITLE_POINTS, (0.1, 0.1, 0.1), centred=True))
    items: list[Surface | Polyline] = [*panel.surfaces, *panel.polylines]
    named = [item for item in items if item.name]
    for row, item in enumerate(reversed(named)):
        renderer.AddViewProp(_text(item.name, (0.04, 0.03 + 0.045 * row), _LEGEND_POINTS, item.colour))
    return renderer


def _surface_actor(surface: Surface) -> Any:
    normals = vtkPolyDataNormals()
    normals.SetInputData(polydata_of(surface.mesh))
    normals.SetFeatureAngle(75.0)
    actor = _actor(normals, surface.colour, surface.opacity)
    actor.GetProperty().SetSpecular(0.15)
    actor.GetProperty().SetSpecularPower(20.0)
    return actor


def _polyline_actor(polyline: Polyline) -> Any:
    line = vtkPolyLineSource()
    line.SetNumberOfPoints(len(polyline.points))
    for index, point in enumerate(polyline.points):
        line.SetPoint(index, *point)
    line.SetClosed(polyline.closed)
    tube = vtkTubeFilter()
    tube.SetInputConnection(line.GetOutputPort())
    tube.SetRadius(polyline.radius)
    tube.SetNumberOfSides(12)
    tube.CappingOn()
    actor = _actor(tube, polyline.colour, 1.0)
    actor.GetProperty().SetAmbient(0.3)
    return actor


def _actor(source: Any, colour: Colour, opacity: float) -> Any:
    mapper = vtkPolyDataMapper()
    mapper.SetInputConnection(source.GetOutputPort())
    mapper.ScalarVisibilityOff()
    actor = vtkActor()
    actor.SetMapper(mapper)
    actor.GetProperty().SetColor(*colour)
    actor.GetProperty().SetOpacity(opacity)
    return actor


def _text(content: str, position: tuple[float, float], points: int, colour: Colour, *, centred: bool = False) -> Any:
    text = vtkTextActor()
    text.SetInput(content)
    text.GetPositionCoordinate().SetCoordinateSystemToNormalizedViewport()
    text.SetPosition(*position)
    style = text.GetTextProperty()
    style.SetFontSize(points * _SUPERSAMPLING)
    style.SetColor(*colour)
    if centred:
        style.SetJustificationToCentered()
        style.SetVerticalJustificationToTop()
    return text


def _common_camera(panels: Sequence[Panel], size: tuple[int, int], view_from: tuple[float, float, float]) -> Any:
    """A parallel camera that shows the bounding box of the contents of all panels."""
    points = [surface.mesh.vertices for panel in panels for surface in panel.surfaces]
    points += [np.asarray(polyline.points) for panel in panels for polyline in panel.polylines]
    cloud = np.concatenate([p for p in points if len(p)] or [np.zeros((1, 3))])
    backward = np.asarray(view_from) / np.linalg.norm(view_from)
    right = np.cross((0.0, 0.0, 1.0), backward)
    right = right / np.linalg.norm(right) if np.linalg.norm(right) > 1e-6 else np.array([1.0, 0.0, 0.0])
    up = np.cross(backward, right)
    axes = np.stack([right, up, backward])
    seen = cloud @ axes.T
    low, high = seen.min(axis=0), seen.max(axis=0)
    focus = axes.T @ ((low + high) / 2)
    width, height = np.maximum(high - low, 1e-6)[:2]
    distance = 2.0 * float(np.linalg.norm(high - low)) + 1.0

    camera = vtkCamera()
    camera.ParallelProjectionOn()
    camera.SetFocalPoint(*focus)
    camera.SetPosition(*(focus + distance * backward))
    camera.SetViewUp(*up)
    camera.SetParallelScale(0.62 * max(height, width * size[1] / size[0]))
    return camera
