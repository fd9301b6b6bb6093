"""Edits of an ellipsoid with known blemishes."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from known_shapes import grid, inside_ellipsoid, marked_points

from dals.edits import Edit, EditedFit, edited_fit
from dals.errors import FitCancelledError
from dals.evaluation.metrics import dice
from dals.geometry.label_map import LabelMap
from dals.geometry.transforms import apply_matrix
from dals.geometry.voxelisation import mesh_to_label_map
from dals.model.prior import ShapePrior
from dals.observations import Segmentation

RADII, CENTRE = (95.0, 75.0, 60.0), (20.0, -30.0, 40.0)
TOP = np.add(CENTRE, (0.0, 0.0, 60.0))
SPACING = (3.0, 3.0, 3.0)


@pytest.fixture(scope="module")
def whole() -> LabelMap:
    empty = grid((84, 70, 60), SPACING)
    return empty.with_array(inside_ellipsoid(empty, RADII, CENTRE))


def ball(where: LabelMap, centre, radius: float) -> np.ndarray:
    kji = np.indices(where.array.shape).reshape(3, -1)
    away = np.linalg.norm(apply_matrix(where.ijk_to_ras, kji[::-1].T) - centre, axis=1)
    return (away < radius).reshape(where.array.shape)


def edited(mask: LabelMap, prior: ShapePrior, **options) -> EditedFit:
    return edited_fit(prior, Segmentation(mask), settings=Segmentation.defaults.changed(**options))


def only(result: EditedFit, kind: str) -> Edit:
    (edit,) = [edit for edit in result.edits if edit.kind == kind]
    return edit


def ml(count: int) -> float:
    return count * float(np.prod(SPACING)) / 1e3


def test_a_plausible_mask_is_kept_voxel_by_voxel(whole: LabelMap, ellipsoid_prior: ShapePrior) -> None:
    result = edited(whole, ellipsoid_prior)
    assert result.edits == ()
    assert not result.is_cut
    assert result.likeness > 0.97
    assert result.residual_mm["mean"] < 0.1 * SPACING[0]
    np.testing.assert_array_equal(result.segment.array, whole.array)
    np.testing.assert_array_equal(mesh_to_label_map(result.mesh, whole).array, whole.array)
    assert result.mesh.is_closed
    assert result.mesh.volume > 0


def test_a_bite_is_restored(whole: LabelMap, ellipsoid_prior: ShapePrior) -> None:
    gone = ball(whole, TOP, 22.0) & whole.array
    result = edited(whole.with_array(whole.array & ~gone), ellipsoid_prior)
    edit = only(result, "missing part restored")
    assert edit.applied
    assert edit.volume_ml == pytest.approx(ml(gone.sum()), rel=0.2)
    assert 13.0 < edit.depth_mm < 24.0
    centre = marked_points(whole.with_array(gone)).mean(axis=0)
    assert np.linalg.norm(np.subtract(edit.centre_mm, centre)) < 4.0
    assert edit.input_deviations > 3 > edit.result_deviations
    assert dice(result.segment, whole) > 0.998
    assert (result.segment.array & gone).sum() > 0.9 * gone.sum()


def test_a_leak_is_cut(whole: LabelMap, ellipsoid_prior: ShapePrior) -> None:
    more = ball(whole, TOP, 22.0) & ~whole.array
    result = edited(whole.with_array(whole.array | more), ellipsoid_prior)
    edit = only(result, "leak cut")
    assert edit.applied
    assert edit.volume_ml == pytest.approx(ml(more.sum()), rel=0.2)
    assert dice(result.segment, whole) > 0.998
    assert mesh_to_label_map(result.mesh, whole).array[more].sum() < 0.1 * more.sum()


def test_what_is_only_proposed_changes_nothing(whole: LabelMap, ellipsoid_prior: ShapePrior) -> None:
    gone = ball(whole, TOP, 22.0) & whole.array
    bitten = whole.with_array(whole.array & ~gone)
    result = edited(bitten, ellipsoid_prior, edits="proposed")
    edit = only(result, "missing part restored")
    assert not edit.applied
    assert edit.result_deviations == edit.input_deviations
    np.testing.assert_array_equal(result.segment.array, bitten.array)
    proposed = voxels_of(result, result.edits.index(edit))
    assert (proposed & gone).sum() > 0.8 * gone.sum()
    assert not (proposed & bitten.array).any()


def voxels_of(result: EditedFit, index: int) -> np.ndarray:
    place = result.plan.voxels(index)
    array = np.zeros(result.segment.array.shape, dtype=bool)
    array[place.box] = place.region
    return array


def test_a_chosen_edit_is_carried_out_without_the_others(whole: LabelMap, ellipsoid_prior: ShapePrior) -> None:
    gone = ball(whole, TOP, 22.0) & whole.array
    more = ball(whole, np.subtract(CENTRE, (95.0, 0.0, 0.0)), 22.0) & ~whole.array
    island, hole = ball(whole, np.add(TOP, (0.0, 0.0, 14.0)), 6.0), ball(whole, CENTRE, 9.0)
    mask = whole.with_array((whole.array & ~gone & ~hole) | more | island)
    result = edited(mask, ellipsoid_prior, edits="proposed")
    kinds = [edit.kind for edit in result.edits]
    assert sorted(kinds) == ["hole filled", "island removed", "leak cut", "missing part restored"]
    np.testing.assert_array_equal(result.segment.array, mask.array)
    regions = {"leak cut": more, "missing part restored": gone, "island removed": island, "hole filled": hole}
    for kind, region in regions.items():
        made = result.plan.carried_out([kinds.index(kind)])
        changed = made.label_map.array ^ mask.array
        assert (changed & region).sum() > 0.9 * region.sum()
        assert (changed & ~region).sum() < 0.25 * region.sum()
        assert made.mesh.is_closed
    everything = result.plan.carried_out(range(4))
    at_once = edited(mask, ellipsoid_prior)
    np.testing.assert_array_equal(everything.label_map.array, at_once.segment.array)
    np.testing.assert_allclose(everything.mesh.vertices, at_once.mesh.vertices)


def test_many_tiny_islands_make_one_edit(whole: LabelMap, ellipsoid_prior: ShapePrior) -> None:
    array = whole.array.copy()
    array[1:4:2, 1:8:2, 1:8:2] = True
    edit = only(edited(whole.with_array(array), ellipsoid_prior), "island removed")
    assert edit.parts == 32
    assert edit.volume_ml == pytest.approx(ml(32))


def test_islands_and_holes_are_edits_with_their_volumes(whole: LabelMap, ellipsoid_prior: ShapePrior) -> None:
    island = ball(whole, np.add(TOP, (0.0, 0.0, 14.0)), 6.0)
    hole = ball(whole, CENTRE, 9.0)
    result = edited(whole.with_array((whole.array | island) & ~hole), ellipsoid_prior)
    np.testing.assert_array_equal(result.segment.array, whole.array)
    assert only(result, "island removed").volume_ml == pytest.approx(ml(island.sum()))
    assert only(result, "hole filled").volume_ml == pytest.approx(ml(hole.sum()))
    assert only(result, "hole filled").depth_mm == pytest.approx(60.0, abs=12.0)


@pytest.fixture(scope="module")
def cut(whole: LabelMap) -> LabelMap:
    """Without the slices below the middle of the organ's lower half."""
    k = int(np.argmax(whole.array.any(axis=(1, 2)))) + 10
    return whole.within(
        (slice(k, whole.array.shape[0]), slice(0, whole.array.shape[1]), slice(0, whole.array.shape[2]))
    )


def test_an_end_at_the_image_border_stays_flat(cut: LabelMap, ellipsoid_prior: ShapePrior) -> None:
    result = edited(cut, ellipsoid_prior)
    assert result.is_cut
    assert result.edits == ()
    np.testing.assert_array_equal(result.segment.array, cut.array)
    border = cut.ijk_to_ras[2, 3] - SPACING[2] / 2
    assert result.mesh.vertices[:, 2].min() == pytest.approx(border, abs=0.5)
    assert result.mesh.is_closed


def test_an_end_beyond_the_border_is_completed_on_request(
    cut: LabelMap, whole: LabelMap, ellipsoid_prior: ShapePrior
) -> None:
    result = edited(cut, ellipsoid_prior, complete=True)
    np.testing.assert_array_equal(result.segment.array, cut.array)
    assert result.mesh.is_closed
    assert result.mesh.vertices[:, 2].min() == pytest.approx(CENTRE[2] - RADII[2], abs=6.0)
    assert dice(mesh_to_label_map(result.mesh, whole), whole) > 0.98


def test_thick_slices_are_interpolated(ellipsoid_prior: ShapePrior) -> None:
    empty = grid((84, 70, 22), (3.0, 3.0, 9.0))
    thick = empty.with_array(inside_ellipsoid(empty, RADII, CENTRE))
    result = edited(thick, ellipsoid_prior)
    np.testing.assert_array_equal(result.segment.array, thick.array)
    np.testing.assert_array_equal(mesh_to_label_map(result.mesh, thick).array, thick.array)
    edit = only(result, "slice steps smoothed")
    assert edit.applied
    assert 1.0 < edit.depth_mm < 9.0
    stepped = result.plan.carried_out([])
    assert stepped.mesh.volume == pytest.approx(thick.volume, rel=0.01)
    assert np.unique(np.round(stepped.mesh.vertices[:, 2], 3)).size < 50
    away = np.linalg.norm((result.mesh.vertices - CENTRE) / RADII, axis=1) - 1
    assert np.abs(away).mean() * 75 < 1.5  # steps of 9 mm would be 2.3 mm away on average


def test_oblique_left_handed_grids_are_alike(whole: LabelMap, ellipsoid_prior: ShapePrior) -> None:
    empty = grid((90, 84, 80), SPACING, angles=(20.0, -15.0, 30.0), left_handed=True)
    mask = empty.with_array(inside_ellipsoid(empty, RADII, CENTRE))
    bitten = mask.with_array(mask.array & ~ball(mask, TOP, 22.0))
    result = edited(bitten, ellipsoid_prior)
    assert only(result, "missing part restored").applied
    assert dice(result.segment, mask) > 0.998
    assert result.mesh.volume == pytest.approx(mask.volume, rel=0.01)


def test_fine_voxels_are_kept_though_the_lattice_is_coarser(
    ellipsoid_prior: ShapePrior, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dals.edits.editing._MOST_POINTS", 60_000)
    empty = grid((126, 106, 90), (2.0, 2.0, 2.0))
    mask = empty.with_array(inside_ellipsoid(empty, RADII, CENTRE))
    bitten = mask.with_array(mask.array & ~ball(mask, TOP, 22.0))
    result = edited(bitten, ellipsoid_prior)
    assert only(result, "missing part restored").applied
    far = ~ball(mask, TOP, 45.0)
    np.testing.assert_array_equal(result.segment.array[far], bitten.array[far])
    assert dice(result.segment, mask) > 0.995


def test_the_prior_of_another_organ_changes_nothing(ellipsoid_prior: ShapePrior) -> None:
    empty = grid((100, 100, 100), SPACING)
    other = empty.with_array(
        inside_ellipsoid(empty, (120.0, 12.0, 30.0), CENTRE) | inside_ellipsoid(empty, (12.0, 120.0, 30.0), CENTRE)
    )
    result = edited(other, ellipsoid_prior)
    assert not any(edit.applied for edit in result.edits)
    np.testing.assert_array_equal(result.segment.array, other.array)


def test_steps_are_told_and_returning_false_cancels(whole: LabelMap, ellipsoid_prior: ShapePrior) -> None:
    told = []
    settings = Segmentation.defaults
    edited_fit(ellipsoid_prior, Segmentation(whole), settings=settings, on_step=told.append)
    assert [step.step for step in told] == list(range(1, told[0].total + 1))
    losses = [step.loss_mm() for step in told]
    assert losses[-1] < losses[0]
    assert told[-1].mesh().is_closed
    with pytest.raises(FitCancelledError):
        edited_fit(ellipsoid_prior, Segmentation(whole), settings=settings, on_step=lambda _: False)


def test_edits_are_plain_values_largest_first(whole: LabelMap, ellipsoid_prior: ShapePrior) -> None:
    gone = ball(whole, TOP, 22.0)
    island = ball(whole, np.add(CENTRE, (0.0, 0.0, -76.0)), 6.0)
    result = edited(whole.with_array((whole.array & ~gone) | island), ellipsoid_prior)
    assert len(result.edits) == 2
    assert all(a.volume_ml >= b.volume_ml for a, b in pairwise(result.edits))
    fields = result.as_fields()
    assert [edit["kind"] for edit in fields["edits"]] == ["missing part restored", "island removed"]
    assert fields["cut_by_image_border"] is False
    assert replace(result.edits[0], applied=False) != result.edits[0]
