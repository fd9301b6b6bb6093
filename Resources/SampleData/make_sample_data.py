"""Make the sample data: `python Resources/SampleData/make_sample_data.py`.

A made-up liver in a made-up body: what a user would have (a CT, three drawn contours, a network's flawed
segmentation) and the truth. Everything is a formula or drawn from a fixed seed; no patient had any part in it.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    from dals.geometry.label_map import LabelMap
    from dals.geometry.mesh import TriangleMesh
    from dals.observations import Contour

Array: TypeAlias = NDArray[np.float64]
Vector: TypeAlias = tuple[float, float, float]

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

_BODY_CENTRE = (5.0, -18.0)
_BODY_RADII = (172.0, 122.0)
_CT_MARGIN_MM = (14.0, 14.0)  # of air, left and right, anterior and posterior
_CT_RANGE_MM = (-262.0, -46.0)  # inferior, superior
_NOISE_HU = 9.0
_FAT, _SOFT, _MUSCLE, _AIR = -100.0, 40.0, 58.0, -1000.0


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
    _write_ct(folder / f"{NAME}-CT.nrrd", mask)
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
    from dals.geometry.label_map import LabelMap

    half = np.array(_BODY_RADII) + _CT_MARGIN_MM
    first = np.array([_BODY_CENTRE[0] + half[0], _BODY_CENTRE[1] + half[1], _CT_RANGE_MM[0]])
    extent = np.array([*(2 * half), _CT_RANGE_MM[1] - _CT_RANGE_MM[0]])
    matrix = np.diag([-VOXEL_MM[0], -VOXEL_MM[1], VOXEL_MM[2], 1.0])
    matrix[:3, 3] = first
    size = np.round(extent / VOXEL_MM).astype(int)
    return LabelMap(np.zeros(size[::-1], dtype=bool), matrix, NAME)


def _write_ct(path: Path, liver: LabelMap) -> None:
    import SimpleITK as sitk  # noqa: N813

    from dals.io.atomic import atomic_path
    from dals.io.coordinates import swap_lps_ras_matrix

    image = sitk.GetImageFromArray(ct_values(liver))
    matrix = swap_lps_ras_matrix(liver.ijk_to_ras)
    image.SetOrigin(matrix[:3, 3].tolist())
    image.SetSpacing(liver.spacing.tolist())
    image.SetDirection((matrix[:3, :3] / liver.spacing).ravel().tolist())
    with atomic_path(path) as temporary:
        sitk.WriteImage(image, str(temporary), useCompression=True, compressionLevel=9)


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


# --- the CT


def ct_values(liver: LabelMap) -> NDArray[np.int16]:
    """Hounsfield units (K, J, I) of a body around a liver, as a scan in the portal venous phase might show it."""
    from scipy import ndimage

    rng = np.random.default_rng(SEED)
    points = _voxel_centres(liver)
    values = _torso(points)
    _add_lungs(values, points, liver)
    _add_organs(values, points)
    values[liver.array] = 110.0
    for vessel in _HEPATIC_VESSELS:
        values[liver.array & vessel(points)] = 150.0
    values[_ellipsoid((4, -2, -192), (13, 20, 17))(points) & ~liver.array] = 12.0  # gallbladder
    blur = 0.8 / np.array(VOXEL_MM[::-1])  # a scanner's resolution
    values = ndimage.gaussian_filter(values, blur)
    noise = ndimage.gaussian_filter(rng.standard_normal(values.shape), (0.4, 0.7, 0.7))
    values += _NOISE_HU / noise.std() * noise * (values > -950.0)
    return (STEP_HU * np.round(np.clip(values, -1000.0, 1200.0) / STEP_HU)).astype(np.int16)


Inside: TypeAlias = Callable[[Array], NDArray[np.bool_]]


def _voxel_centres(grid: LabelMap) -> Array:
    """RAS positions (K, J, I, 3) of the voxel centres."""
    from dals.geometry.transforms import apply_matrix

    index = np.stack(tuple(np.indices(grid.array.shape))[::-1], axis=-1)
    return apply_matrix(grid.ijk_to_ras, index)


def _ellipsoid(centre: Vector, radii: Vector) -> Inside:
    return lambda points: np.asarray((np.square((points - np.array(centre)) / np.array(radii))).sum(axis=-1) <= 1.0)


def _tube(start: ArrayLike, end: ArrayLike, radius: float) -> Inside:
    """A round bar between two points."""
    a, b = np.asarray(start, dtype=np.float64), np.asarray(end, dtype=np.float64)

    def inside(points: Array) -> NDArray[np.bool_]:
        along = np.clip((points - a) @ (b - a) / float((b - a) @ (b - a)), 0.0, 1.0)
        return np.asarray(np.linalg.norm(points - a - along[..., None] * (b - a), axis=-1) <= radius)

    return inside


def _torso(points: Array) -> Array:
    """Skin, fat, the muscles of the wall, and what fills the abdomen."""
    radial = np.linalg.norm((points[..., :2] - _BODY_CENTRE) / _BODY_RADII, axis=-1)
    values = np.full(radial.shape, _AIR)
    for limit, value in ((1.0, _SOFT), (0.985, _FAT), (0.87, _MUSCLE), (0.81, -60.0)):
        values[radial <= limit] = value
    angle = np.arctan2(points[..., 1] - _BODY_CENTRE[1], points[..., 0] - _BODY_CENTRE[0])
    ribs = np.abs(radial - 0.84) < 0.022
    ribs &= np.cos((points[..., 2] + 34.0 * np.abs(np.sin(angle - np.pi / 2))) * 2 * np.pi / 32.0) > 0.55
    values[ribs & (points[..., 2] > -200.0)] = 340.0
    return values


def _add_lungs(values: Array, points: Array, liver: LabelMap) -> None:
    """Air above the diaphragm, which is a few millimetres away from the liver."""
    from scipy import ndimage

    distance = ndimage.distance_transform_edt(~liver.array, sampling=liver.spacing[::-1].tolist())
    lungs = _ellipsoid((78, -34, -52), (72, 76, 78))(points) | _ellipsoid((-76, -34, -52), (62, 74, 66))(points)
    values[lungs & (distance > 6.0)] = -850.0
    values[lungs & (distance > 6.0) & (distance <= 10.0)] = 45.0
    heart = _ellipsoid((-30, 34, -54), (58, 46, 34))(points) & (distance > 6.0)
    values[heart] = 120.0


def _add_organs(values: Array, points: Array) -> None:
    for inside, value in _ORGANS:
        values[inside(points)] = value


_ORGANS: tuple[tuple[Inside, float], ...] = (
    (_ellipsoid((-62, 22, -196), (48, 34, 52)), _SOFT),  # stomach
    (_ellipsoid((-60, 42, -186), (30, 12, 26)), -700.0),  # the gas in it
    (_ellipsoid((-112, -52, -150), (24, 40, 48)), 118.0),  # spleen
    (_ellipsoid((76, -74, -226), (27, 26, 46)), 175.0),  # kidneys
    (_ellipsoid((74, -70, -226), (10, 10, 24)), 60.0),
    (_ellipsoid((-72, -70, -218), (27, 26, 46)), 175.0),
    (_ellipsoid((-70, -66, -218), (10, 10, 24)), 60.0),
    (_ellipsoid((-14, -2, -206), (52, 12, 14)), 85.0),  # pancreas
    (_ellipsoid((10, 44, -250), (110, 26, 16)), 30.0),  # bowel
    (_ellipsoid((44, 52, -250), (22, 12, 9)), -600.0),
    (_tube((34, -112, -280), (34, -112, -40), 23.0), _MUSCLE),  # muscles of the back
    (_tube((-26, -112, -280), (-26, -112, -40), 23.0), _MUSCLE),
    (_tube((4, -84, -280), (4, -84, -40), 22.0), 380.0),  # vertebrae
    (_tube((4, -84, -280), (4, -84, -40), 19.0), 190.0),
    (_tube((4, -112, -280), (4, -112, -40), 12.0), 420.0),
    (_tube((4, -111, -280), (4, -111, -40), 8.5), 25.0),  # spinal canal
    (_tube((-10, -54, -280), (-6, -54, -40), 11.0), 165.0),  # aorta
    (_tube((28, -46, -280), (36, -36, -40), 12.0), 140.0),  # inferior vena cava
)

_HEPATIC_VESSELS: tuple[Inside, ...] = (
    _tube((36, -34, -112), (92, 4, -142), 4.5),  # right, middle and left hepatic vein
    _tube((36, -32, -112), (58, 38, -140), 4.0),
    _tube((34, -32, -112), (-8, 32, -128), 4.0),
    _tube((30, -16, -176), (58, -12, -160), 6.0),  # portal vein and branches
    _tube((58, -12, -160), (102, -18, -152), 4.5),
    _tube((58, -12, -160), (84, -2, -196), 4.0),
    _tube((40, -10, -168), (4, 26, -140), 4.5),
    _tube((4, 26, -140), (-32, 42, -130), 3.5),
)


if __name__ == "__main__":
    main()
