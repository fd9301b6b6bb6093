"""Make the pictures of the README's tutorial: `python Resources/Screenshots/make_screenshots.py`.

Needs `pip install '.[slicer]'`: the part of 3D Slicer without its window, and trame-slicer, which sets it up. The
pictures are what Slicer's own slice and 3D views draw off screen of the nodes of a scene: the sample data, and what the
extension's code makes of them. The frame around the views and the captions are added here. Everything is computed on
the CPU with fixed seeds, so that the same versions of the packages give the same pictures.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from DALSRefineLib.scripting import Refiner

Pixels: TypeAlias = NDArray[np.uint8]
Points: TypeAlias = NDArray[np.float64]
Colour: TypeAlias = tuple[float, float, float]

HERE = Path(__file__).resolve().parent
SAMPLES = HERE.parent / "SampleData"
NAME = "SyntheticLiver"
COLOURS = {"axial": (0.95, 0.29, 0.20), "sagittal": (0.93, 0.84, 0.30), "coronal": (0.43, 0.69, 0.29)}
"""Of the contours and their views, as Slicer has them."""
AXES = {"axial": 2, "sagittal": 0, "coronal": 1}  # of RAS, across the planes
SEGMENT_COLOUR = (0.25, 0.75, 0.95)
VIEW_SIZE = (597, 400)
BACKGROUND = ("#c1c3e8", "#7478bd")
"""Slicer's own, of a 3D view."""
GAP = 6
"""Pixels between two views, and of the coloured bar above each."""
FIELD_OF_VIEW_MM = 310.0
"""Width of a slice view."""
WINDOW_HU, LEVEL_HU = 450.0, 50.0
CAMERA_DIRECTION = (0.40, 1.0, 0.35)
"""RAS, from the organ to the eye: anterior, a little from the right and from above."""
CAMERA_DISTANCE_MM = 470.0
DAMAGE_AT_MM = {"axial": -146.0, "coronal": 30.0}
"""Slices that show what is wrong with the network's segmentation."""


def main() -> None:
    """Write all pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=HERE, metavar="FOLDER", help="where the files go")
    folder = parser.parse_args().output
    folder.mkdir(parents=True, exist_ok=True)
    sys.path.insert(0, str(HERE.parents[1] / "DALSRefine"))
    from dals.demo.offscreen import quiet_vtk

    with quiet_vtk():
        write(folder)


def write(folder: Path) -> None:
    """Make the pictures and write them into a folder."""
    from dals.demo.offscreen import encode_png
    from dals.io.atomic import atomic_path

    stage = Stage()
    from DALSRefineLib.process.plain_process import PlainProcess
    from DALSRefineLib.process.runner import ProcessRunner
    from DALSRefineLib.scripting import Refiner
    from DALSRefineLib.session import RefineSession

    session = RefineSession(stage.scene, ProcessRunner(PlainProcess, python=sys.executable))
    try:
        pictures = make(stage, Refiner(session))
    finally:
        session.close()
    for name, pixels in pictures.items():
        with atomic_path(folder / f"tutorial-{name}.png") as path:
            path.write_bytes(encode_png(pixels))


def make(stage: Stage, refiner: Refiner) -> dict[str, Pixels]:
    """All pictures by the last part of their names."""
    volume = load_volume(stage, SAMPLES / f"{NAME}-CT.nrrd")
    stage.show_volume(volume)
    curves = {plane: load_curve(stage.scene, plane) for plane in COLOURS}
    pictures = {"contours": four_up(stage, curves, "The three contours")}

    model = refiner.refineContours(curves.values(), device="cpu", imageNode=volume)
    model.GetDisplayNode().SetSliceIntersectionThickness(3)
    pictures["refined"] = four_up(stage, curves, f"The refined surface, {volume_text(model)}")

    for node in (*curves.values(), model):
        node.SetDisplayVisibility(False)
    pictures["segmentation"] = before_and_after(stage, refiner)
    return pictures


class Stage:
    """Slicer's scene with its Red, Yellow and Green slice views and a 3D view, drawn off screen.

    Parameters
    ----------
    size : (int, int)
        Width and height of a view, pixels.
    background : (str, str)
        Upper and lower colour of the 3D view.
    """

    def __init__(self, size: tuple[int, int] = VIEW_SIZE, *, background: tuple[str, str] = BACKGROUND) -> None:
        from slicer import vtkMRMLColorLegendDisplayNode
        from trame_slicer.core import SlicerApp
        from trame_slicer.views import DirectViewFactory, ViewLayoutDefinition
        from vtkmodules.vtkCommonCore import vtkOutputWindow

        self.app, self.size = SlicerApp(), size
        vtkOutputWindow.GetInstance().SetDisplayModeToNever()  # VTK tells at length that there is no X server
        self.app.scene.RegisterNodeClass(vtkMRMLColorLegendDisplayNode())
        manager = self.app.view_manager
        manager.register_factory(DirectViewFactory(do_render_offscreen=True))
        self.slices = {
            "axial": manager.create_view(ViewLayoutDefinition.axial_view()),
            "sagittal": manager.create_view(ViewLayoutDefinition.sagittal_view()),
            "coronal": manager.create_view(ViewLayoutDefinition.coronal_view()),
        }
        self.space = manager.create_view(ViewLayoutDefinition.threed_view(background_color=background))
        for view in (*self.slices.values(), self.space):
            view.render_window().SetSize(*size)
            view.update_size(*size)
            view.set_render_blocked(True)  # else every change in the scene is drawn at once
        self.space.renderer().SetDitherGradient(False)  # noise that no PNG can be small with

    @property
    def scene(self) -> Any:
        """The scene that the views show."""
        return self.app.scene

    def show_volume(self, volume: Any) -> None:
        """Show a volume behind everything else in the slice views."""
        self.app.display_manager.show_volume_in_slice_background(volume)
        for view in self.slices.values():
            view.fit_view_to_content()

    def slice_through(self, plane: str, middle: Points, position: float, caption: str) -> Pixels:
        """What a slice view shows at a position along its axis, with the middle of the organ in the centre (RAS mm)."""
        view = self.slices[plane]
        node = view.get_view_node()
        width, height = self.size
        node.SetFieldOfView(FIELD_OF_VIEW_MM, FIELD_OF_VIEW_MM * height / width, node.GetFieldOfView()[2])
        centre = middle.copy()
        centre[AXES[plane]] = position
        node.JumpSliceByCentering(*centre)
        return framed(view, COLOURS[plane], caption)

    def in_space(self, middle: Points, caption: str) -> Pixels:
        """What the 3D view shows from the front, with the middle of the organ in the centre (RAS mm)."""
        towards = np.array(CAMERA_DIRECTION) / np.linalg.norm(CAMERA_DIRECTION)
        camera = self.space.get_camera_node()
        camera.SetFocalPoint(*middle)
        camera.SetPosition(*(middle + CAMERA_DISTANCE_MM * towards))
        camera.SetViewUp(0.0, 0.0, 1.0)
        self.space.renderer().ResetCameraClippingRange()
        return framed(self.space, (0.45, 0.47, 0.74), caption)


def load_volume(stage: Stage, path: Path) -> Any:
    """A volume from its file, with a window for soft tissue."""
    (volume,) = stage.app.io_manager.load_volumes(str(path))
    display = volume.GetDisplayNode()
    display.AutoWindowLevelOff()
    display.SetWindowLevel(WINDOW_HU, LEVEL_HU)
    return volume


def load_curve(scene: Any, plane: str) -> Any:
    """One of the sample's contours from its file, in the colour of its view."""
    storage = scene.AddNewNodeByClass("vtkMRMLMarkupsJsonStorageNode")
    curve = storage.AddNewMarkupsNodeFromFile(str(SAMPLES / f"{NAME}-{plane}.mrk.json"), f"{NAME}-{plane}", 0)
    display = curve.GetDisplayNode()
    display.SetSelectedColor(*COLOURS[plane])
    display.SetColor(*COLOURS[plane])
    display.SetPropertiesLabelVisibility(False)
    display.SetPointLabelsVisibility(False)
    display.SetGlyphScale(2.0)
    return curve


def four_up(stage: Stage, curves: dict[str, Any], caption: str) -> Pixels:
    """The slice of each contour, and all of them in space."""
    points = {plane: curve_points(curve) for plane, curve in curves.items()}
    middle = middle_of(np.concatenate(list(points.values())))
    axial, sagittal, coronal = (
        stage.slice_through(plane, middle, float(points[plane][:, AXES[plane]].mean()), plane.capitalize())
        for plane in COLOURS
    )
    return grid([[axial, stage.in_space(middle, caption)], [coronal, sagittal]])  # as in Slicer's layout "Four-Up"


def before_and_after(stage: Stage, refiner: Refiner) -> Pixels:
    """The network's segmentation, its refined surface coloured by distance, and both on slices."""
    from dals.geometry.voxelisation import label_map_to_mesh
    from DALSRefineLib.nodes.inputs import segment_label_map
    from DALSRefineLib.nodes.outputs import colour_by_distance

    segmentation, segment = load_segmentation(stage)
    source = label_map_to_mesh(segment_label_map(segmentation, segment))
    middle = middle_of(source.vertices)
    before = stage.in_space(middle, "The network's segmentation")

    model = refiner.refineSegmentation(segmentation, segment, device="cpu")
    model.GetDisplayNode().SetSliceIntersectionThickness(3)
    on_slices = [
        stage.slice_through(plane, middle, position, f"{plane.capitalize()}: network blue, refined orange")
        for plane, position in DAMAGE_AT_MM.items()
    ]
    segmentation.SetDisplayVisibility(False)
    colour_by_distance(model, source)
    show_legend(model)
    after = stage.in_space(middle, "The refined surface, coloured by distance")
    return grid([[before, after], on_slices])


def load_segmentation(stage: Stage) -> tuple[Any, str]:
    """The network's segmentation as a surface in space and an outline on slices, and the id of its segment."""
    node = stage.app.io_manager.load_segmentation(str(SAMPLES / f"{NAME}-network.seg.nrrd"))
    (segment,) = node.GetSegmentation().GetSegmentIDs()
    node.GetSegmentation().GetSegment(segment).SetColor(*SEGMENT_COLOUR)
    node.CreateClosedSurfaceRepresentation()
    display = node.GetDisplayNode()
    display.SetVisibility2DFill(False)
    display.SetSliceIntersectionThickness(2)
    return node, segment


def show_legend(model: Any) -> None:
    """Slicer's own legend of a model's colours, in the 3D view only."""
    from slicer import vtkSlicerColorLogic

    legend = vtkSlicerColorLogic.AddDefaultColorLegendDisplayNode(model)
    legend.SetTitleText("mm")
    legend.SetLabelFormat("%.1f")
    legend.SetVisibility2D(False)
    legend.SetSize(0.10, 0.40)  # its text is as large as this allows


def curve_points(curve: Any) -> Points:
    """Control points of a curve, (N, 3) RAS mm."""
    return np.array([curve.GetNthControlPointPositionWorld(index) for index in range(curve.GetNumberOfControlPoints())])


def middle_of(points: Points) -> Points:
    """Centre of the box around points."""
    return (points.min(axis=0) + points.max(axis=0)) / 2


def volume_text(model: Any) -> str:
    """The volume that a result encloses."""
    from DALSRefineLib.session import report_of

    report = report_of(model) or {}
    return f"{report['volume_ml']:.0f} ml"


def framed(view: Any, colour: Colour, caption: str) -> Pixels:
    """A view's picture, bottom row first, with a caption and a bar of its colour above."""
    from dals.demo.offscreen import grab_pixels

    with captioned(view.first_renderer(), caption):
        view.set_render_blocked(False)
        view.render()
        pixels = grab_pixels(view.render_window())
        view.set_render_blocked(True)
    bar = np.full((GAP, pixels.shape[1], 3), np.round(np.array(colour) * 255), dtype=np.uint8)
    return np.concatenate([pixels, bar])


@contextmanager
def captioned(renderer: Any, caption: str) -> Iterator[None]:
    """Text in a view's upper left corner, for as long as this lasts."""
    from vtkmodules.vtkRenderingCore import vtkTextActor

    text = vtkTextActor()
    text.SetInput(caption)
    height = renderer.GetSize()[1]
    text.SetDisplayPosition(12, height - height // 30)
    style = text.GetTextProperty()
    style.SetFontSize(max(12, height // 23))
    style.SetBold(True)
    style.SetVerticalJustificationToTop()
    style.SetShadow(True)
    renderer.AddViewProp(text)
    try:
        yield
    finally:
        renderer.RemoveViewProp(text)


def grid(rows: Sequence[Sequence[Pixels]]) -> Pixels:
    """Pictures of the same size in rows, the uppermost first, with white gaps."""
    lines = []
    for row in rows:
        gap = np.full((row[0].shape[0], GAP, 3), 255, dtype=np.uint8)
        lines.append(np.concatenate([row[0], gap, *row[1:]], axis=1))
    upper, lower = lines
    between = np.full((GAP, upper.shape[1], 3), 255, dtype=np.uint8)
    return np.concatenate([lower, between, upper])  # the bottom row of pixels comes first


if __name__ == "__main__":
    main()
