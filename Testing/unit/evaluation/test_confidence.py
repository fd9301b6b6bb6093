"""Whether a refined segmentation can be trusted."""

from __future__ import annotations

import numpy as np
import pytest
from known_shapes import grid

from dals.evaluation.confidence import ADDED, LACKING, REMOVED, UNUSUAL, confidence_in, disagreement_map
from dals.fitting import FitResult, FitSettings, FitState
from dals.geometry.label_map import LabelMap
from dals.geometry.mesh import TriangleMesh
from dals.geometry.voxelisation import mesh_to_label_map
from dals.model.pose import Pose
from dals.model.prior import ShapePrior
from dals.model.template import icosphere
from dals.observations import PointCloud, Segmentation

CENTRE = np.array([20.0, -30.0, 40.0])


@pytest.fixture(scope="module")
def fitted(ellipsoid_prior: ShapePrior) -> FitResult:
    """The mean shape of the prior, at a size of 70 mm."""
    template, pose = icosphere(3), Pose(70.0, CENTRE)
    shape = ellipsoid_prior.mean_shape(template).double().numpy()
    state = FitState(pose, ellipsoid_prior.latent_mean.numpy(), None, 3)
    return FitResult(TriangleMesh(pose.to_patient(shape), template.faces), state, 1e-4, 1, 1.0, "cpu", FitSettings())


@pytest.fixture(scope="module")
def true_map(fitted: FitResult) -> LabelMap:
    """Its voxels."""
    return mesh_to_label_map(fitted.mesh, grid((90, 80, 80), (2, 2, 2)))


def with_box(label_map: LabelMap, low: tuple[int, int, int], high: tuple[int, int, int], value: bool) -> LabelMap:
    array = label_map.array.copy()
    array[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] = value
    return label_map.with_array(array)


def test_a_segmentation_that_the_prior_repeats(
    fitted: FitResult, true_map: LabelMap, ellipsoid_prior: ShapePrior
) -> None:
    found = confidence_in(Segmentation(true_map), fitted, ellipsoid_prior, fitted.mesh)
    assert found.dice > 0.999
    assert found.prior_dice > 0.999
    assert (found.removed_ml, found.added_ml, found.level, found.reasons) == (0.0, 0.0, "high", ())
    assert not found.map.any()
    assert found.largest_displacement_mm < 2


def test_a_leak_and_a_hole_are_found_where_they_are(
    fitted: FitResult, true_map: LabelMap, ellipsoid_prior: ShapePrior
) -> None:
    inside = np.argwhere(true_map.array)
    middle = inside.mean(axis=0).astype(int)
    hole = tuple(middle - 8), tuple(middle + 8)
    leak = (0, 0, 0), (12, 12, 12)
    assert not true_map.array[:12, :12, :12].any()
    damaged = with_box(with_box(true_map, *hole, value=False), *leak, value=True)
    found = confidence_in(Segmentation(damaged), fitted, ellipsoid_prior, fitted.mesh)
    # Of a hole of 16 voxels, those at least 3 from its walls are further than 2 from the rest.
    assert found.added_ml == pytest.approx(12**3 * 8e-3)
    assert found.removed_ml == pytest.approx(12**3 * 8e-3)
    assert set(np.unique(found.map[:12, :12, :12])) == {REMOVED}
    assert found.map[tuple(middle)] == ADDED
    assert found.level == "medium"
    assert any("were removed" in reason for reason in found.reasons)
    assert any("added" in reason for reason in found.reasons)


def test_a_leak_that_was_followed_is_told_by_the_priors_own_reconstruction(
    fitted: FitResult, true_map: LabelMap, ellipsoid_prior: ShapePrior
) -> None:
    """Segmentation and result agree; only the closest typical shape shows what is wrong with both."""
    vertices = fitted.mesh.vertices.copy()
    far, near = vertices[:, 0].argmax(), vertices[:, 0].argmin()
    ring = [np.linalg.norm(vertices - vertices[peak], axis=1) < 25 for peak in (far, near)]
    vertices[ring[0], 0] += 20
    vertices[ring[1], 0] += 20
    followed = TriangleMesh(vertices, fitted.mesh.faces)
    given = mesh_to_label_map(followed, true_map)
    found = confidence_in(Segmentation(given), fitted, ellipsoid_prior, followed)
    assert found.dice == 1
    assert found.removed_ml == found.added_ml == 0
    assert found.typical_mm == pytest.approx(0.12 * 70)
    assert found.level == "medium"
    assert [word in " ".join(found.reasons) for word in ("leak", "part may be missing")] == [True, True]
    for value, volume, peak in ((UNUSUAL, found.unusual_ml, far), (LACKING, found.lacking_ml, near)):
        where = np.argwhere(found.map == value)
        assert volume == pytest.approx(len(where) * 8e-3)
        centre = given.ijk_to_ras[:3, :3] @ where.mean(axis=0)[::-1] + given.ijk_to_ras[:3, 3]
        assert np.linalg.norm(centre - fitted.mesh.vertices[peak]) < 25


def test_another_organ_is_told_by_the_priors_own_reconstruction(
    fitted: FitResult, true_map: LabelMap, ellipsoid_prior: ShapePrior
) -> None:
    cross = np.zeros_like(true_map.array)
    k, j, i = np.argwhere(true_map.array).mean(axis=0).astype(int)
    cross[k - 3 : k + 3, j - 3 : j + 3, :] = True
    cross[k - 3 : k + 3, :, i - 3 : i + 3] = True
    followed = fitted.mesh  # a latent for each vertex may follow anything; the shared latent may not
    found = confidence_in(Segmentation(true_map.with_array(cross)), fitted, ellipsoid_prior, followed)
    assert found.prior_dice < 0.8
    assert found.level == "low"
    assert "does not look like the organ of the prior ellipsoid" in found.reasons[0]


def test_the_map_against_a_naive_loop() -> None:
    rng = np.random.default_rng(0)
    given, refined = rng.random((2, 9, 8, 7)) < 0.03
    expected = np.zeros(given.shape, dtype=np.uint8)
    for value, one, other in ((REMOVED, given, refined), (ADDED, refined, given)):
        for voxel in np.argwhere(one):
            if min(np.linalg.norm(voxel - there) for there in np.argwhere(other)) > 2:
                expected[tuple(voxel)] = value
    assert set(np.unique(expected)) == {0, REMOVED, ADDED}
    assert np.array_equal(disagreement_map(given, refined), expected)


def test_a_result_outside_of_the_grid_leaves_out_everything() -> None:
    given = np.zeros((5, 5, 5), dtype=bool)
    given[1:4, 1:4, 1:4] = True
    nothing = np.zeros_like(given)
    assert np.array_equal(disagreement_map(given, nothing), given * REMOVED)
    assert not disagreement_map(nothing, nothing).any()


def test_a_level_below_high_has_reasons(fitted: FitResult, true_map: LabelMap, ellipsoid_prior: ShapePrior) -> None:
    leak = with_box(true_map, (0, 0, 0), (20, 20, 20), value=True)
    found = confidence_in(Segmentation(leak), fitted, ellipsoid_prior, fitted.mesh)
    assert found is not None
    assert found.level == "medium"
    assert found.figures()["reasons"] == found.reasons != ()


def test_points_on_the_surface_are_no_reason_for_doubt(fitted: FitResult, ellipsoid_prior: ShapePrior) -> None:
    found = confidence_in(PointCloud(fitted.mesh.vertices), fitted, ellipsoid_prior, fitted.mesh)
    assert found is not None
    assert (found.level, found.reasons, found.notes) == ("high", (), ())
