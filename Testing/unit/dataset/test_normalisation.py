"""Anything an organ may look like when it comes in, to one closed sphere-like surface."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.spatial import cKDTree

from dals.dataset.normalisation import NormalisedShape, canonical, normalise, simplify
from dals.dataset.storage import read_index, read_shape, shape_path, write_index, write_shape
from dals.dataset.thin_places import _grown, thin_patches
from dals.dataset.topology_repair import genus_zero_surface, isosurface, largest_solid_component
from dals.errors import InputError
from dals.geometry.label_map import LabelMap
from dals.geometry.mesh import FloatArray, TriangleMesh
from dals.io.label_maps import read_label_map
from dals.io.meshes import read_mesh
from dals.model.template import icosphere

KIDNEY = Path(__file__).parents[4] / "shared" / "data" / "kidneys" / "labels" / "btcv_0010_right.nii.gz"
LIVERS = Path(__file__).parents[4] / "shared" / "data" / "livers" / "meshes"


def ball(radius: float, centre: tuple[float, float, float] = (0.0, 0.0, 0.0), level: int = 4) -> TriangleMesh:
    template = icosphere(level)
    return TriangleMesh(radius * template.vertices + np.array(centre), template.faces)


def joined(*meshes: TriangleMesh) -> TriangleMesh:
    offsets = np.cumsum([0, *(len(mesh.vertices) for mesh in meshes[:-1])])
    faces = [mesh.faces + offset for mesh, offset in zip(meshes, offsets, strict=True)]
    return TriangleMesh(np.concatenate([mesh.vertices for mesh in meshes]), np.concatenate(faces))


def torus(ring: float, tube: float, *, around: int = 96, across: int = 48) -> TriangleMesh:
    u, v = np.meshgrid(np.arange(around), np.arange(across), indexing="ij")
    a, b = 2 * np.pi * u / around, 2 * np.pi * v / across
    distance = ring + tube * np.cos(b)
    vertices = np.stack([distance * np.cos(a), distance * np.sin(a), tube * np.sin(b)], axis=-1).reshape(-1, 3)

    def at(i: np.ndarray, j: np.ndarray) -> np.ndarray:
        return ((i % around) * across + j % across).ravel()

    corners = [at(u, v), at(u + 1, v), at(u + 1, v + 1), at(u, v + 1)]
    faces = np.concatenate([np.stack(corners[:3], 1), np.stack([corners[0], corners[2], corners[3]], 1)])
    return TriangleMesh(vertices, faces)


def index_grid(shape: tuple[int, int, int]) -> FloatArray:
    """Voxel indices (z, y, x, 3 axes in the order x, y, z)."""
    z, y, x = np.meshgrid(*(np.arange(n, dtype=float) for n in shape), indexing="ij")
    return np.stack([x, y, z], axis=-1)


def ball_mask(radius: float, size: int) -> np.ndarray:
    return np.asarray(np.linalg.norm(index_grid((size,) * 3) - size / 2, axis=-1) < radius)


def oblique_ellipsoid(half_axes: FloatArray, spacing: tuple[float, float, float]) -> LabelMap:
    """An ellipsoid along the patient's axes in an image that is turned, anisotropic and left-handed."""
    angle = np.deg2rad(25)
    turn_z = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    turn_x = np.array([[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]])
    matrix = np.eye(4)
    matrix[:3, :3] = turn_z @ turn_x @ np.diag([-1.0, 1, 1]) @ np.diag(spacing)
    shape = tuple(int(np.ceil(2.6 * half_axes.max() / s)) for s in reversed(spacing))
    middle = (np.array(shape[::-1]) - 1) / 2
    matrix[:3, 3] = np.array([30.0, -200.0, 900.0]) - matrix[:3, :3] @ middle
    ras = index_grid(shape) @ matrix[:3, :3].T + matrix[:3, 3]
    inside = (((ras - np.array([30.0, -200.0, 900.0])) / half_axes) ** 2).sum(axis=-1) < 1
    return LabelMap(inside, matrix)


def assert_normalised(shape: NormalisedShape) -> None:
    assert shape.mesh.is_sphere
    assert shape.mesh.volume > 0
    np.testing.assert_allclose(shape.mesh.centroid, 0, atol=1e-9)
    assert np.linalg.norm(shape.mesh.vertices, axis=1).max() == pytest.approx(1)
    assert shape.patient_mesh.volume / 1000 == pytest.approx(shape.volume_ml)


def test_ball_keeps_place_size_and_volume() -> None:
    shape = normalise(ball(40, (10.3, -20.6, 300.2)), name="ball")
    assert_normalised(shape)
    assert shape.name == "ball"
    np.testing.assert_allclose(shape.centre_mm, [10.3, -20.6, 300.2], atol=0.05)
    assert shape.scale_mm == pytest.approx(40, abs=0.5)
    assert shape.volume_ml == pytest.approx(4 / 3 * np.pi * 64, rel=0.005)
    radii = np.linalg.norm(shape.patient_mesh.vertices - shape.centre_mm, axis=1)
    assert np.abs(radii - 40).max() < 0.5


def test_small_organ_does_not_shrink() -> None:
    mask = ball_mask(8, 30)
    shape = normalise(LabelMap(mask, np.eye(4)))
    assert shape.volume_ml == pytest.approx(mask.sum() / 1000, rel=0.005)


def test_cavity_is_filled_and_smaller_piece_left_out() -> None:
    inner = ball(12)
    mesh = joined(ball(30), TriangleMesh(inner.vertices, inner.faces[:, ::-1]), ball(8, (60, 0, 0), level=3))
    shape = normalise(mesh)
    assert_normalised(shape)
    assert shape.volume_ml == pytest.approx(4 / 3 * np.pi * 27, rel=0.01)
    np.testing.assert_allclose(shape.centre_mm, 0, atol=0.05)


def test_holes_are_bridged() -> None:
    whole = ball(30)
    rng = np.random.default_rng(0)
    holed = TriangleMesh(whole.vertices, whole.faces[rng.random(len(whole.faces)) > 0.02])
    assert not holed.is_closed
    shape = normalise(holed)
    assert_normalised(shape)
    assert shape.volume_ml == pytest.approx(4 / 3 * np.pi * 27, rel=0.02)


def test_ring_is_refused_with_its_reason() -> None:
    with pytest.raises(InputError, match="1 handle"):
        normalise(torus(30, 10))


def test_ring_with_a_narrow_hole_is_filled() -> None:
    mesh = torus(20, 18.5)
    shape = normalise(mesh)
    assert_normalised(shape)
    assert shape.volume_ml == pytest.approx(mesh.volume / 1000, rel=0.03)


def test_tunnel_is_filled_where_it_is_and_nothing_else_changes() -> None:
    solid = ball_mask(25, 70)
    holed = solid.copy()
    holed[:, 34:37, 40:43] = False
    found = genus_zero_surface(holed)
    surface, repaired = found.surface, found.mask
    assert surface.is_sphere
    assert (found.handles, found.at_thin_places) == (1, False)
    added = np.argwhere(repaired & ~holed)
    assert len(added)
    assert (added[:, 1] >= 34).all()
    assert (added[:, 1] < 37).all()
    assert not (holed & ~repaired).any()


def test_bridge_is_cut_or_its_ring_filled() -> None:
    mask = ball_mask(20, 70)
    mask[35, 20:23, 10:60] = False
    handle = np.zeros_like(mask)
    handle[34:36, 35, 54:62] = handle[34:48, 35, 60:62] = handle[46:48, 35, 40:62] = True
    with_handle = largest_solid_component(mask | handle)
    found = genus_zero_surface(with_handle, smoothing=0.5)
    surface, repaired = found.surface, found.mask
    assert surface.is_sphere
    assert (repaired ^ with_handle).sum() < 0.03 * with_handle.sum()


def arch_on_ball() -> np.ndarray:
    """A ball with a handle around a hole of 22 voxels, which no closing fills, about as thick everywhere."""
    mask = ball_mask(22, 100)
    z, y, x = np.indices(mask.shape)
    from_middle = np.hypot(np.hypot(z - 68, y - 50) - 15.5, x - 50)
    return mask | ((from_middle < np.where(z > 78, 3.9, 4.6)) & (z > 60))


def test_a_wide_handle_is_cut_at_its_thinnest_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dals.dataset.topology_repair.REPAIR_RADII", (1, 2))
    mask = arch_on_ball()
    found = genus_zero_surface(mask)
    assert found.surface.is_sphere
    assert (found.handles, found.at_thin_places) == (1, True)
    assert 0 < found.cut < 0.01
    assert found.filled < 0.001
    assert np.argwhere(mask & ~found.mask)[:, 0].min() > 76  # where it is thin, and nowhere near its feet
    assert str(found).startswith("1 handle cut or filled, a wide one at its thinnest place")


def test_the_membrane_across_a_hole_is_at_its_waist() -> None:
    mask = np.zeros((40, 40, 50), dtype=bool)
    mask[6:34, 6:34, 8:42] = True
    z, y, x = np.indices(mask.shape)
    holed = mask & (np.hypot(z - 20, y - 20) > 3 + 0.3 * np.abs(x - 25))  # an hourglass
    box, patch = next((box, patch) for box, patch in thin_patches(holed, 3) if not holed[box][patch].any())
    lengthwise = np.argwhere(patch)[:, 2] + box[2].start
    assert np.abs(lengthwise - 25).max() <= 3
    filled = holed.copy()
    filled[box] |= patch
    assert isosurface(holed).euler_characteristic == 0
    assert isosurface(filled).is_sphere


def test_a_mended_shape_says_so_wherever_it_is_listed(tmp_path: Path) -> None:
    shape = normalise(LabelMap(arch_on_ball(), np.eye(4)), name="arch")
    assert "1 handle cut or filled" in shape.repair
    assert not normalise(ball(20)).repair
    (tmp_path / "shapes").mkdir()
    write_shape(shape, shape_path(tmp_path, "arch"))
    write_index(tmp_path, ["arch"], {})
    assert read_shape(shape_path(tmp_path, "arch")).repair == shape.repair
    assert read_index(tmp_path)["shapes"]["arch"]["repair"] == shape.repair


def test_the_ball_that_grows_never_closes_a_ring() -> None:
    mask = arch_on_ball()
    grown = _grown(mask, from_border=False)
    assert not (grown & ~mask).any()
    assert (mask & ~grown).sum() < 100  # a cut of one voxel
    euler = isosurface(grown, smoothing=0.3).euler_characteristic
    assert euler == 2
    assert isosurface(mask, smoothing=0.3).euler_characteristic == 0


def test_isosurface_of_a_ball_is_round() -> None:
    surface = isosurface(ball_mask(12, 40))
    radii = np.linalg.norm(surface.vertices - 20, axis=1)
    assert radii.std() < 0.15
    assert surface.volume == pytest.approx(ball_mask(12, 40).sum(), rel=0.01)


@pytest.mark.parametrize("spacing", [(0.8, 0.8, 5.0), (1.5, 0.7, 2.0)])
def test_oblique_anisotropic_label_map_comes_out_upright(spacing: tuple[float, float, float]) -> None:
    half_axes = np.array([40.0, 30.0, 20.0])
    shape = normalise(oblique_ellipsoid(half_axes, spacing))
    assert_normalised(shape)
    assert shape.volume_ml == pytest.approx(4 / 3 * np.pi * half_axes.prod() / 1000, rel=0.015)
    np.testing.assert_allclose(shape.centre_mm, [30, -200, 900], atol=0.3)
    mesh = shape.patient_mesh
    extent = (mesh.vertices.max(axis=0) - mesh.vertices.min(axis=0)) / 2
    np.testing.assert_allclose(extent, half_axes, atol=1.2)
    template = icosphere(5)
    truth = cKDTree(template.vertices * half_axes + np.array([30.0, -200.0, 900.0]))
    distances, _ = truth.query(mesh.vertices)
    assert np.sqrt((distances**2).mean()) < 1.0


def test_label_map_at_the_image_border_is_closed() -> None:
    shape = normalise(LabelMap(np.ones((20, 24, 28), dtype=bool), np.eye(4)))
    assert_normalised(shape)
    assert shape.volume_ml == pytest.approx(20 * 24 * 28 / 1000, rel=0.02)


def test_mirrored_shape_is_flipped_and_faces_outwards() -> None:
    x, y, z = ball(20).vertices.T
    mesh = TriangleMesh(np.stack([x + 5 + 0.02 * y**2, y, 0.6 * z + 0.01 * x * y], axis=1), ball(20).faces)
    plain, mirrored = normalise(mesh), normalise(mesh, mirror=True)
    assert_normalised(mirrored)
    np.testing.assert_allclose(mirrored.centre_mm, plain.centre_mm * [-1, 1, 1], atol=1e-9)
    np.testing.assert_allclose(mirrored.mesh.vertices, plain.mesh.vertices * [-1, 1, 1], atol=1e-9)


def test_canonical_is_exact_and_undone_by_patient_mesh() -> None:
    mesh = ball(7, (1, 2, 3), level=2)
    shape = canonical(mesh)
    np.testing.assert_allclose(shape.patient_mesh.vertices, mesh.vertices, atol=1e-12)
    np.testing.assert_allclose(shape.centre_mm, [1, 2, 3], atol=1e-9)


def test_simplify_stays_near_and_leaves_small_meshes_alone() -> None:
    fine = ball(40, level=6)
    simple = simplify(fine, faces=5000)
    assert simple.is_sphere
    assert len(simple.faces) <= 20_000
    assert np.abs(np.linalg.norm(simple.vertices, axis=1) - 40).max() < 0.3
    assert simplify(simple, faces=30_000) is simple


@pytest.mark.parametrize(
    ("mesh", "reason"),
    [
        (TriangleMesh(np.zeros((0, 3)), np.zeros((0, 3), dtype=int)), "no faces"),
        (ball(0.1), "not in millimetres"),
        (ball(5000), "not in millimetres"),
        (TriangleMesh(np.full((3, 3), np.nan), np.array([[0, 1, 2]])), "not finite"),
        (TriangleMesh(np.array([[0.0, 0, 0], [50, 0, 0], [0, 50, 0]]), np.array([[0, 1, 2]])), "empty|too small|thin"),
    ],
)
def test_unusable_meshes_have_a_reason(mesh: TriangleMesh, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        normalise(mesh)


def test_empty_label_map_has_a_reason() -> None:
    with pytest.raises(InputError, match="empty"):
        normalise(LabelMap(np.zeros((5, 5, 5), dtype=bool), np.eye(4)))


@pytest.mark.skipif(not KIDNEY.exists(), reason="the real kidneys are not here (../shared/data)")
def test_a_kidney_whose_hilum_is_closed_like_a_ring_is_usable() -> None:
    label_map = read_label_map(KIDNEY)
    shape = normalise(label_map)
    assert_normalised(shape)
    assert "at its thinnest place" in shape.repair
    assert shape.volume_ml == pytest.approx(label_map.volume / 1000, rel=0.02)


@pytest.mark.skipif(not LIVERS.is_dir(), reason="the real livers are not here (../shared/data)")
@pytest.mark.parametrize("name", ["msd_022", "amos_021"])  # clean; and open, with a handle in its voxels
def test_real_liver(name: str) -> None:
    mesh = read_mesh(LIVERS / f"{name}.ply", space="RAS")
    shape = normalise(mesh)
    assert_normalised(shape)
    assert shape.volume_ml == pytest.approx(abs(mesh.volume) / 1000, rel=0.01)
    distances, _ = cKDTree(shape.patient_mesh.vertices).query(mesh.vertices)
    assert np.percentile(distances, 95) < 3
