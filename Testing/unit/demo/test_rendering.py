"""Pictures, checked by their pixels."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from dals.demo.offscreen import can_render
from dals.demo.rendering import Panel, Polyline, Surface, render_meshes
from dals.errors import OutputError
from dals.geometry.mesh import TriangleMesh

RED, BLUE = (0.9, 0.1, 0.1), (0.1, 0.1, 0.9)
needs_opengl = pytest.mark.skipif(not can_render(), reason="no off-screen OpenGL (EGL or OSMesa) on this machine")


@pytest.fixture
def octahedron() -> TriangleMesh:
    vertices = 50.0 * np.array([[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1]])
    top = [[0, 2, 4], [2, 1, 4], [1, 3, 4], [3, 0, 4]]
    return TriangleMesh(vertices, np.array(top + [[b, a, 5] for a, b, _ in top]))


@needs_opengl
def test_each_panel_shows_what_was_put_into_it(octahedron: TriangleMesh, tmp_path: Path) -> None:
    panels = [
        Panel(title="left", surfaces=[Surface(mesh=octahedron, colour=RED)]),
        Panel(title="right", surfaces=[Surface(mesh=octahedron, colour=BLUE, name="blue one")]),
    ]
    render_meshes(tmp_path / "two.png", panels, size=(200, 160))
    pixels = read_png(tmp_path / "two.png")
    assert pixels.shape == (160, 400, 3)
    left, right = pixels[:, :200], pixels[:, 200:]
    assert_dominant(left[80, 100], channel=0)
    assert_dominant(right[80, 100], channel=2)
    np.testing.assert_array_equal(pixels[-1, [0, 199, 399]], 255)
    assert (right[:, :70] < 128).any(), "no legend"
    assert list(tmp_path.iterdir()) == [tmp_path / "two.png"]


@needs_opengl
def test_one_camera_serves_all_panels(octahedron: TriangleMesh, tmp_path: Path) -> None:
    small = TriangleMesh(octahedron.vertices * 0.5, octahedron.faces)
    render_meshes(
        tmp_path / "sizes.png",
        [Panel(surfaces=[Surface(mesh=octahedron)]), Panel(surfaces=[Surface(mesh=small)])],
        size=(200, 200),
    )
    drawn = read_png(tmp_path / "sizes.png").min(axis=2) < 250
    assert drawn[:, 200:].sum() == pytest.approx(drawn[:, :200].sum() / 4, rel=0.1)


@needs_opengl
def test_patients_right_is_on_the_left_and_superior_is_up(octahedron: TriangleMesh, tmp_path: Path) -> None:
    lamp = TriangleMesh(octahedron.vertices * 0.2 + np.array([80.0, 0.0, 80.0]), octahedron.faces)
    surfaces = [Surface(mesh=octahedron, colour=BLUE), Surface(mesh=lamp, colour=RED)]
    render_meshes(tmp_path / "axes.png", [Panel(surfaces=surfaces)], size=(200, 200))
    pixels = read_png(tmp_path / "axes.png").astype(int)
    rows, columns = np.nonzero(pixels[..., 0] > pixels[..., 2] + 40)
    assert rows.mean() < 90
    assert columns.mean() < 90


@needs_opengl
def test_a_contour_shows_through_a_transparent_surface(octahedron: TriangleMesh, tmp_path: Path) -> None:
    square = np.array([[-20.0, 0, -20], [20, 0, -20], [20, 0, 20], [-20, 0, 20]])
    panel = Panel(
        surfaces=[Surface(mesh=octahedron, colour=RED, opacity=0.3)],
        polylines=[Polyline(points=square, colour=BLUE, radius=3.0)],
    )
    render_meshes(tmp_path / "contour.png", [panel], size=(200, 200))
    pixels = read_png(tmp_path / "contour.png").astype(int)
    assert (pixels[..., 2] > pixels[..., 0] + 30).sum() > 200


@needs_opengl
def test_a_folder_that_is_not_there_is_one_clear_sentence(octahedron: TriangleMesh, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"does not exist"):
        render_meshes(tmp_path / "no" / "x.png", [Panel(surfaces=[Surface(mesh=octahedron)])], size=(40, 40))


def test_without_opengl_the_picture_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("dals.demo.rendering.can_render", lambda: False)
    with pytest.raises(OutputError, match="off-screen OpenGL"):
        render_meshes(tmp_path / "x.png", [Panel()])
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux chooses its OpenGL at run time")
def test_missing_opengl_is_found_out_without_a_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("__EGL_VENDOR_LIBRARY_FILENAMES", "nowhere")
    monkeypatch.setenv("VTK_DEFAULT_OPENGL_WINDOW", "vtkOSOpenGLRenderWindow")
    assert can_render.__wrapped__() in (True, False)  # True where libOSMesa is installed


def test_a_picture_of_nothing_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least one panel"):
        render_meshes(tmp_path / "x.png", [])


def assert_dominant(pixel: NDArray[np.uint8], *, channel: int) -> None:
    others = np.delete(pixel.astype(int), channel)
    assert pixel[channel] > others.max() + 50


def read_png(path: Path) -> NDArray[np.uint8]:
    """(H, W, 3) bytes, top row first."""
    from vtkmodules.util.numpy_support import vtk_to_numpy
    from vtkmodules.vtkIOImage import vtkPNGReader

    reader = vtkPNGReader()
    reader.SetFileName(str(path))
    reader.Update()
    image = reader.GetOutput()
    width, height, _ = image.GetDimensions()
    return np.asarray(vtk_to_numpy(image.GetPointData().GetScalars()).reshape(height, width, 3)[::-1])
