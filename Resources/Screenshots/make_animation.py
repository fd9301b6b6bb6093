"""Make the README's animation: `python Resources/Screenshots/make_animation.py`.

Three contours appear on a synthetic CT, the surface is fitted to them, then the sagittal contour moves from plane to
plane and the surface follows. The pictures are what Slicer's own slice and 3D views draw off screen; the surfaces are
those of the fit's own steps, none is interpolated. Needs `pip install '.[slicer]' pillow`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from make_screenshots import (
    AXES,
    COLOURS,
    NAME,
    SAMPLES,
    Pixels,
    Points,
    Stage,
    curve_points,
    grid,
    load_curve,
    middle_of,
)
from make_screenshots import load_volume as load_ct

HERE = Path(__file__).resolve().parent
VIEW_SIZE = (340, 230)
BACKGROUND = ("#8f94c8", "#8f94c8")
"""One colour: a gradient takes most of a GIF."""
COLOURS_IN_ALL = 128
CLICKS_A_FRAME = 7
STEPS_A_FRAME = 1
"""Of the first fit, which has about 15; the later ones show their ends only."""
THIRD = "sagittal"
MOVES_MM = (-15.0, -30.0, -45.0, -60.0, -75.0)
"""Of the third plane along R."""
LONG_MS, SHORT_MS, MOVE_MS = 1400, 140, 700


class Film:
    """The frames so far, each a picture of all views, and for how long it is shown.

    Parameters
    ----------
    stage : Stage
    curves : dict of node
        By plane; a slice view shows the slice of its curve.
    truth : TriangleMesh
        RAS mm.
    """

    def __init__(self, stage: Stage, curves: dict[str, Any], truth: Any) -> None:
        self.stage, self.curves, self.truth = stage, curves, truth
        self.middle: Points = middle_of(truth.vertices)
        self.position = {plane: float(curve_points(curve)[:, AXES[plane]].mean()) for plane, curve in curves.items()}
        self.frames: list[Pixels] = []
        self.durations: list[int] = []

    def shoot(self, caption: str, milliseconds: int) -> None:
        """Add a frame; the caption is that of the 3D view."""
        axial, sagittal, coronal = (
            self.stage.slice_through(plane, self.middle, self.position[plane], plane.capitalize()) for plane in COLOURS
        )
        picture = grid([[axial, self.stage.in_space(self.middle, caption)], [coronal, sagittal]])
        self.frames.append(picture[::-1])
        self.durations.append(milliseconds)

    def write(self, path: Path) -> None:
        """Write a GIF: one palette for all frames, no dithering, only what changes."""
        from PIL import Image

        from dals.io.atomic import atomic_path

        some = np.concatenate(self.frames[:: max(1, len(self.frames) // 8)])
        palette = Image.fromarray(some).quantize(COLOURS_IN_ALL, method=Image.Quantize.MEDIANCUT)
        first, *others = [
            Image.fromarray(np.ascontiguousarray(frame)).quantize(palette=palette, dither=Image.Dither.NONE)
            for frame in self.frames
        ]
        with atomic_path(path) as partial:
            first.save(partial, format="GIF", save_all=True, append_images=others, duration=self.durations, loop=0)


def main() -> None:
    """Write the animation."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=HERE / "animation.gif", metavar="FILE")
    path = parser.parse_args().output
    sys.path.insert(0, str(HERE.parents[1] / "DALSRefine"))
    from dals.demo.offscreen import quiet_vtk
    from dals.io.meshes import read_mesh

    with quiet_vtk():
        stage = Stage(VIEW_SIZE, background=BACKGROUND)
        stage.show_volume(load_ct(stage, SAMPLES / f"{NAME}-CT.nrrd"))
        curves = {plane: load_curve(stage.scene, plane) for plane in COLOURS}
        film = Film(stage, curves, read_mesh(SAMPLES / f"{NAME}-truth.stl"))
        draw_contours(film)
        fit_and_move(film)
        film.write(path)


def draw_contours(film: Film) -> None:
    """The curves appear one after the other, a few clicks a frame."""
    points = {plane: curve_points(curve) for plane, curve in film.curves.items()}
    for curve in film.curves.values():
        curve.RemoveAllControlPoints()
    film.shoot("A CT, nothing else", LONG_MS)
    for number, (plane, curve) in enumerate(film.curves.items(), start=1):
        plural = "contour" if number == 1 else "contours"
        for end in range(CLICKS_A_FRAME, len(points[plane]) + 1, CLICKS_A_FRAME):
            place(curve, points[plane][:end])
            film.shoot(f"{number} {plural}", 2 * SHORT_MS)
    film.durations[-1] = LONG_MS


def fit_and_move(film: Film) -> None:
    """The surface is fitted to the curves; then the third one moves, and the fit goes on from where it was."""
    import dals
    from dals.demo.synthetic_liver import cut_contour
    from DALSRefineLib.nodes.inputs import contours_from_curves
    from DALSRefineLib.nodes.outputs import new_model, show_mesh

    prior, model = dals.load_prior("liver"), None

    def show(mesh: Any) -> None:
        nonlocal model
        if model is None:
            model = new_model(film.stage.scene, mesh, name="Liver", colour=(0.87, 0.51, 0.40))
            model.GetDisplayNode().SetSliceIntersectionThickness(2)
        show_mesh(model, mesh)

    def on_step(step: Any) -> None:
        if step.step == 1 or step.step % STEPS_A_FRAME == 0:
            show(step.mesh())
            film.shoot(f"Fit, step {step.step} of {step.total}", SHORT_MS)

    fitted = dals.refine(contours_from_curves(film.curves.values()), prior, on_step=on_step)
    show(fitted.mesh)
    film.shoot(f"Fitted: {error_text(film, fitted.mesh)}", 2 * LONG_MS)

    curve, axis, start = film.curves[THIRD], AXES[THIRD], film.position[THIRD]
    for move in MOVES_MM:
        film.position[THIRD] = start + move
        origin = film.middle.copy()
        origin[axis] = film.position[THIRD]
        place(curve, cut_contour(film.truth, origin, np.eye(3)[axis], control_points=curve_size(film)))
        film.shoot("The third contour moves", MOVE_MS)
        fitted = dals.refine(contours_from_curves(film.curves.values()), prior, start=fitted.state)
        show(fitted.mesh)
        film.shoot(f"Fitted again: {error_text(film, fitted.mesh)}", MOVE_MS)
    film.durations[-1] = 2 * LONG_MS


def place(curve: Any, points: Sequence[Any] | Points) -> None:
    """Replace a curve's control points, RAS mm."""
    curve.RemoveAllControlPoints()
    for point in points:
        curve.AddControlPointWorld(*point)


def curve_size(film: Film) -> int:
    """Clicks of each curve."""
    return int(film.curves["axial"].GetNumberOfControlPoints())


def error_text(film: Film, mesh: Any) -> str:
    """Mean distance of a surface from the truth, both ways."""
    from dals.geometry.surface_distance import surface_distances

    there, back = surface_distances(mesh.vertices, film.truth), surface_distances(film.truth.vertices, mesh)
    return f"{(there.mean() + back.mean()) / 2:.1f} mm from the truth"


if __name__ == "__main__":
    main()
