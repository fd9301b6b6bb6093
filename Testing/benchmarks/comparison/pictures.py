"""Truth and results beside each other: faces coloured by their quality, and cut in the middle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import vtkmodules.vtkRenderingFreeType
import vtkmodules.vtkRenderingOpenGL2  # noqa: F401  (both register the classes that draw)
from PIL import Image
from vtkmodules.util.numpy_support import numpy_to_vtk
from vtkmodules.vtkCommonCore import vtkLookupTable
from vtkmodules.vtkCommonDataModel import vtkPlane
from vtkmodules.vtkFiltersCore import vtkClipPolyData
from vtkmodules.vtkRenderingAnnotation import vtkScalarBarActor
from vtkmodules.vtkRenderingCore import vtkActor, vtkPolyDataMapper, vtkRenderer, vtkRenderWindow, vtkTextActor

from dals.demo.offscreen import can_render, grab_pixels, quiet_vtk
from dals.demo.rendering import Polyline, _polyline_actor
from dals.errors import OutputError
from dals.geometry.cross_sections import section_loops
from dals.geometry.mesh import FloatArray, TriangleMesh
from dals.geometry.vtk_bridge import polydata_of
from dals.io.atomic import atomic_path

_VIEW_FROM = np.array([0.40, 1.0, 0.35])
_CELL = (380, 330)
_SCALE = 2
_DRAWN_EDGES = 8_000
"""Edges of more faces than that would hide the colours."""
_TRUTH, _RESULT = (0.05, 0.05, 0.05), (0.85, 0.15, 0.10)


@dataclass(frozen=True)
class Exhibit:
    """One system's surface, RAS mm; `note` stands in its place where there is none."""

    title: str
    mesh: TriangleMesh | None
    note: str = ""


def draw(
    path: Path, truth: TriangleMesh, exhibits: Sequence[Exhibit], *, given: Sequence[FloatArray] = (), columns: int = 5
) -> None:
    """Two rows for each line of systems: the surfaces, and what lies behind the middle coronal plane.

    Parameters
    ----------
    path : Path
        The PNG.
    truth : TriangleMesh
        RAS mm; drawn first, and its section black beside each system's red one.
    exhibits : sequence of Exhibit
    given : sequence of (N, 3)
        Contours of the observation, drawn blue on the truth.
    columns : int

    Raises
    ------
    OutputError
        If this machine cannot draw off screen.
    """
    if not can_render():
        raise OutputError("The picture cannot be drawn: this machine offers no off-screen OpenGL (EGL or OSMesa).")
    shown = [Exhibit("truth", truth), *exhibits]
    bands = -(-len(shown) // columns)
    size = (_CELL[0] * columns * _SCALE, _CELL[1] * 2 * bands * _SCALE)
    with quiet_vtk():
        window = vtkRenderWindow()
        window.SetOffScreenRendering(True)
        window.SetMultiSamples(0)
        window.SetSize(*size)
        blank = _empty("")  # cells without a system are white, too
        blank.SetLayer(0)
        window.AddRenderer(blank)
        for index, exhibit in enumerate(shown):
            column, band = index % columns, index // columns
            tubes = [Polyline(points=loop, radius=0.8) for loop in given] if index == 0 else []
            whole = _panel(exhibit, tubes)
            cut = _cut_panel(exhibit, truth, legend=index == 0)
            for row, renderer in enumerate((whole, cut)):
                top = 1 - (2 * band + row) / (2 * bands)
                renderer.SetViewport(column / columns, top - 1 / (2 * bands), (column + 1) / columns, top)
                _look(renderer, truth, _VIEW_FROM if row == 0 else np.array([0.0, 1.0, 0.0]))
                window.AddRenderer(renderer)
        window.Render()
        pixels = grab_pixels(window, supersampling=_SCALE)
        window.Finalize()
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary:
        # A palette of 256 colours takes a third of the space.
        Image.fromarray(pixels[::-1]).quantize(256).save(temporary, format="PNG", optimize=True)


def _panel(exhibit: Exhibit, tubes: Sequence[Polyline]) -> Any:
    renderer = _empty(exhibit.title)
    if exhibit.mesh is None:
        renderer.AddViewProp(_text(exhibit.note or "not applicable", (0.5, 0.5), 12))
        return renderer
    actor = _coloured(exhibit.mesh, polydata_of(exhibit.mesh))
    renderer.AddActor(actor)
    for tube in tubes:
        renderer.AddActor(_polyline_actor(tube))
    return renderer


def _cut_panel(exhibit: Exhibit, truth: TriangleMesh, *, legend: bool) -> Any:
    """The half behind the middle, and the outlines of truth and result where it is cut."""
    renderer = _empty("")
    middle, normal = _middle(truth), np.array([0.0, 1.0, 0.0])
    if exhibit.mesh is not None:
        plane = vtkPlane()
        plane.SetOrigin(*middle)
        plane.SetNormal(*-normal)
        clip = vtkClipPolyData()
        clip.SetInputData(_with_quality(exhibit.mesh))
        clip.SetClipFunction(plane)
        clip.Update()
        actor = _coloured(exhibit.mesh, clip.GetOutput())
        actor.GetProperty().EdgeVisibilityOff()
        renderer.AddActor(actor)
        if legend:
            bar = vtkScalarBarActor()
            bar.SetLookupTable(actor.GetMapper().GetLookupTable())
            bar.SetTitle("quality")
            bar.SetNumberOfLabels(3)
            bar.SetPosition(0.86, 0.1)
            bar.SetWidth(0.1)
            bar.SetHeight(0.6)
            for style in (bar.GetTitleTextProperty(), bar.GetLabelTextProperty()):
                style.SetColor(0.1, 0.1, 0.1)
            renderer.AddViewProp(bar)
        for loop in section_loops(exhibit.mesh, middle, normal):
            renderer.AddActor(_polyline_actor(Polyline(points=loop + 0.5 * normal, radius=1.0, colour=_RESULT)))
    for loop in section_loops(truth, middle, normal):
        renderer.AddActor(_polyline_actor(Polyline(points=loop + 1.0 * normal, radius=1.0, colour=_TRUTH)))
    return renderer


def _middle(truth: TriangleMesh) -> FloatArray:
    return np.asarray((truth.vertices.min(axis=0) + truth.vertices.max(axis=0)) / 2)


def _with_quality(mesh: TriangleMesh) -> Any:
    polydata = polydata_of(mesh)
    polydata.GetCellData().SetScalars(numpy_to_vtk(mesh.face_qualities, deep=True))
    return polydata


def _coloured(mesh: TriangleMesh, polydata: Any) -> Any:
    """An actor whose faces have the colour of their quality, red for 0 over yellow to blue for 1."""
    if polydata.GetCellData().GetScalars() is None:
        polydata = _with_quality(mesh)
    table = vtkLookupTable()
    table.SetHueRange(0.0, 0.6)
    table.SetSaturationRange(0.75, 0.75)
    table.SetRange(0.0, 1.0)
    table.Build()
    mapper = vtkPolyDataMapper()
    mapper.SetInputData(polydata)
    mapper.SetLookupTable(table)
    mapper.SetScalarRange(0.0, 1.0)
    mapper.SetScalarModeToUseCellData()
    actor = vtkActor()
    actor.SetMapper(mapper)
    actor.GetProperty().SetInterpolationToFlat()
    actor.GetProperty().SetAmbient(0.25)
    actor.GetProperty().SetEdgeVisibility(len(mesh.faces) <= _DRAWN_EDGES)
    actor.GetProperty().SetEdgeColor(0.25, 0.25, 0.25)
    actor.GetProperty().SetLineWidth(0.6)
    return actor


def _empty(title: str) -> Any:
    renderer = vtkRenderer()
    renderer.SetBackground(1.0, 1.0, 1.0)
    if title:
        renderer.AddViewProp(_text(title, (0.5, 0.97), 16))
    return renderer


def _text(content: str, position: tuple[float, float], points: int) -> Any:
    text = vtkTextActor()
    text.SetInput(content)
    text.GetPositionCoordinate().SetCoordinateSystemToNormalizedViewport()
    text.SetPosition(*position)
    style = text.GetTextProperty()
    style.SetFontSize(points * _SCALE)
    style.SetColor(0.1, 0.1, 0.1)
    style.SetJustificationToCentered()
    style.SetVerticalJustificationToTop()
    return text


def _look(renderer: Any, truth: TriangleMesh, direction: FloatArray) -> None:
    """The same parallel view in all panels of a row: what sticks out of the truth by a tenth is still seen."""
    backward = direction / np.linalg.norm(direction)
    right = np.cross((0.0, 0.0, 1.0), backward)
    right /= np.linalg.norm(right)
    up = np.cross(backward, right)
    axes = np.stack([right, up, backward])
    seen = truth.vertices @ axes.T
    low, high = seen.min(axis=0), seen.max(axis=0)
    focus = axes.T @ ((low + high) / 2)
    width, height = (high - low)[:2]
    camera = renderer.GetActiveCamera()
    camera.ParallelProjectionOn()
    camera.SetFocalPoint(*focus)
    camera.SetPosition(*(focus + 3 * float(np.linalg.norm(high - low)) * backward))
    camera.SetViewUp(*up)
    camera.SetParallelScale(0.62 * max(height, width * _CELL[1] / _CELL[0]))
    renderer.ResetCameraClippingRange()
