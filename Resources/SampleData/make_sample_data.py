"""Make the sample data: `python Resources/SampleData/make_sample_data.py`.

A made-up liver in a made-up body: what a user would have (a CT, three drawn contours, a network's flawed
segmentation) and the truth. Everything is a formula or drawn from a fixed seed; no patient had any part in it.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from dals.geometry.label_map import LabelMap
    from dals.geometry.mesh import TriangleMesh
    from dals.observations import Contour

HERE = Path(__file__).resolve().parent
NAME = "SyntheticLiver"
VOXEL_MM = (2.0, 2.0, 3.0)
OFFSETS = {"axial": (2, 0.07), "coronal": (1, -0.05), "sagittal": (0, 0.06)}
"""Axis across each plane, and its way from the middle in parts of the extent: nobody hits the centre."""
SLICE_COLOURS = {"axial": (0.95, 0.29, 0.20), "coronal": (0.43, 0.69, 0.29), "sagittal": (0.93, 0.84, 0.30)}
GRID_MM = 4.0
"""Of the grid that the true surface is taken from."""
SEED = 0
CLICK_SEED = 2
"""Of the clicks. Chosen: of the seeds 0 to 13 with 2, 8 and 12 only does a click fall on the thin tip of the left lobe,
where a person would put one, so that the curve cuts off less than 3 mm of it."""
STEP_HU = 4
"""Values are multiples of this, finer than the noise: the file is half as large."""

_CT_MARGIN_MM = (14.0, 14.0)  # of air, left and right, anterior and posterior
_CT_RANGE_MM = (-262.0, -46.0)  # inferior, superior


def main() -> None:
    """Write all files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=HERE, metavar="FOLDER", help="where the files go")
    parser.add_argument("--no-picture", action="store_true", help="leave out the thumbnail, which needs OpenGL")
    options = parser.parse_args()
    sys.path.insert(0, str(HERE.parents[1] / "DALSRefine"))
    options.output.mkdir(parents=True, exist_ok=True)
    make(options.output, picture=not options.no_picture)


def make(folder: Path, *, picture: bool = True) -> None:
    """Write contours, CT, segmentation, truth and thumbnail to an existing folder."""
    from dals.demo.synthetic_liver import damaged_mask, synthetic_liver
    from dals.geometry.voxelisation import mesh_to_label_map
    from dals.io.markups import write_contours
    from dals.io.meshes import write_mesh

    truth = synthetic_liver(spacing=GRID_MM)
    write_mesh(folder / f"{NAME}-truth.stl", truth)
    contours = {plane: _clicked(truth, plane) for plane in OFFSETS}
    for plane, contour in contours.items():
        write_contours(folder / f"{NAME}-{plane}.mrk.json", [contour])
    mask = mesh_to_label_map(truth, _grid())
    _write_ct(folder / f"{NAME}-CT.nrrd", truth, mask)
    damaged = mask.with_array(damaged_mask(mask.array, mask.spacing[::-1].tolist(), seed=SEED))
    _write_segmentation(folder / f"{NAME}-network.seg.nrrd", damaged, segment="liver")
    if picture:
        _draw(folder / f"{NAME}.png", truth, contours)


def _clicked(truth: TriangleMesh, plane: str) -> Contour:
    """The outline of the organ as someone clicks it on a plane off the middle."""
    from dals.demo.synthetic_liver import cut_contour
    from dals.geometry.splines import sample_closed_spline
    from dals.observations import Contour

    axis, offset = OFFSETS[plane]
    low, high = truth.vertices.min(axis=0), truth.vertices.max(axis=0)
    origin = 0.5 * (low + high)
    origin[axis] += offset * (high - low)[axis]
    control = cut_contour(truth, origin, np.eye(3)[axis], seed=CLICK_SEED + axis)
    return Contour(sample_closed_spline(control), control, f"{NAME}-{plane}")


def _grid() -> LabelMap:
    """The voxels of the CT: axes towards left, posterior and superior, as scanners have them."""
    from dals.demo.synthetic_ct import BODY_CENTRE, BODY_RADII
    from dals.geometry.label_map import LabelMap

    half = np.array(BODY_RADII) + _CT_MARGIN_MM
    first = np.array([BODY_CENTRE[0] + half[0], BODY_CENTRE[1] + half[1], _CT_RANGE_MM[0]])
    extent = np.array([*(2 * half), _CT_RANGE_MM[1] - _CT_RANGE_MM[0]])
    matrix = np.diag([-VOXEL_MM[0], -VOXEL_MM[1], VOXEL_MM[2], 1.0])
    matrix[:3, 3] = first
    size = np.round(extent / VOXEL_MM).astype(int)
    return LabelMap(np.zeros(size[::-1], dtype=bool), matrix, NAME)


def _write_ct(path: Path, liver: TriangleMesh, grid: LabelMap) -> None:
    from dals.demo.synthetic_ct import synthetic_ct, write_ct

    write_ct(path, synthetic_ct(liver, grid, seed=SEED), step_hu=STEP_HU)


def _write_segmentation(path: Path, label_map: LabelMap, *, segment: str) -> None:
    """Write a segmentation whose segment has another name than the file."""
    from dals.io.label_maps import write_label_map

    with tempfile.TemporaryDirectory(dir=path.parent) as scratch:
        named = Path(scratch) / f"{segment}.seg.nrrd"
        write_label_map(named, label_map)
        named.replace(path)


def _draw(path: Path, truth: TriangleMesh, contours: dict[str, Contour]) -> None:
    from dals.demo.rendering import Panel, Polyline, Surface, render_meshes

    surface = Surface(mesh=truth, colour=(0.72, 0.42, 0.36), opacity=0.55)
    lines = [Polyline(points=c.points, radius=2.2, colour=SLICE_COLOURS[name]) for name, c in contours.items()]
    render_meshes(path, [Panel(surfaces=[surface], polylines=lines)], size=(256, 256))


if __name__ == "__main__":
    main()
