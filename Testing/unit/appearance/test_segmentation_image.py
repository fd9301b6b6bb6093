"""Segmentations with errors, and the image that they were made on."""

from __future__ import annotations

import numpy as np
import pytest
from known_shapes import grid, inside_ellipsoid

import dals
from dals.appearance.segmentation_image import use_of, witness_of
from dals.edits import Edit, EditedFit, edited_fit
from dals.errors import InputError
from dals.geometry.transforms import apply_matrix
from dals.geometry.volume import Volume
from dals.model.prior import ShapePrior
from dals.observations import Segmentation

RADII, CENTRE = (95.0, 75.0, 60.0), (20.0, -30.0, 40.0)
TOP, SIDE = np.add(CENTRE, (0.0, 0.0, 60.0)), np.add(CENTRE, (95.0, 0.0, 0.0))
WHERE = grid((60, 48, 42), (4.0, 4.0, 4.0))
WHOLE = inside_ellipsoid(WHERE, RADII, CENTRE)


def ball(centre: np.ndarray, radius: float) -> np.ndarray:
    kji = np.indices(WHERE.array.shape).reshape(3, -1)
    away = np.linalg.norm(apply_matrix(WHERE.ijk_to_ras, kji[::-1].T) - centre, axis=1)
    return (away < radius).reshape(WHERE.array.shape)


BULGE = ball(TOP, 22.0) & ~WHOLE
BITE = ball(TOP, 22.0) & WHOLE
END = WHOLE & (
    apply_matrix(WHERE.ijk_to_ras, np.indices(WHERE.array.shape)[::-1].reshape(3, -1).T)[:, 0] > 88.0
).reshape(WHERE.array.shape)
"""The last quarter along the longest axis: what is left looks like a shorter ellipsoid."""


def picture(bright: np.ndarray, *, contrast: float = 80.0) -> Volume:
    """The organ in noise, brighter than its surroundings."""
    noise = np.random.default_rng(0).normal(0, 20, bright.shape)
    return Volume((40 + contrast * bright + noise).astype(np.float32), WHERE.ijk_to_ras, "picture")


def edited(mask: np.ndarray, prior: ShapePrior, image: Volume | None) -> EditedFit:
    given = Segmentation(WHERE.with_array(mask))
    witness = None if image is None else witness_of(image, given)
    return edited_fit(prior, given, settings=given.defaults, witness=witness)


def kept(result: EditedFit, where: np.ndarray) -> float:
    """Share of a region that the result holds."""
    return float(result.segment.array[where].mean())


def only(result: EditedFit, kind: str) -> Edit:
    (edit,) = [edit for edit in result.edits if edit.kind == kind]
    return edit


def test_a_leak_into_a_dark_neighbour_is_cut_and_one_into_tissue_like_the_organ_is_kept(
    ellipsoid_prior: ShapePrior,
) -> None:
    leaking = WHOLE | BULGE
    cut = edited(leaking, ellipsoid_prior, picture(WHOLE))
    assert only(cut, "leak cut").applied
    assert kept(cut, BULGE) < 0.1
    same = edited(leaking, ellipsoid_prior, picture(leaking))
    assert kept(same, BULGE) == 1.0
    assert same.changed_by_image == 1
    assert kept(edited(leaking, ellipsoid_prior, None), BULGE) < 0.1


def test_a_missing_part_is_more_probable_the_more_it_looks_like_the_organ(ellipsoid_prior: ShapePrior) -> None:
    bitten = WHOLE & ~BITE
    bright = edited(bitten, ellipsoid_prior, picture(WHOLE))
    assert kept(bright, BITE) > 0.9
    found = [
        only(result, "missing part restored").probability
        for result in (edited(bitten, ellipsoid_prior, picture(bitten)), edited(bitten, ellipsoid_prior, None), bright)
    ]
    assert found[0] < found[1] - 0.1
    assert found[1] < found[2]


@pytest.mark.parametrize("value", ["noise", "constant", "nan"])
def test_an_image_that_shows_nothing_changes_nothing(ellipsoid_prior: ShapePrior, value: str) -> None:
    image = picture(WHOLE, contrast=0.0)
    if value != "noise":
        image = Volume(np.full(image.array.shape, 7.0 if value == "constant" else np.nan), image.ijk_to_ras, "picture")
    given = Segmentation(WHERE.with_array(WHOLE | BULGE))
    result = dals.refine(given, ellipsoid_prior, image=image)
    without = dals.refine(given, ellipsoid_prior)
    assert result.report["image"]["trust"] == 0
    assert result.report["image"]["reason"]
    assert result.edits == without.edits
    assert np.array_equal(result.mesh.vertices, without.mesh.vertices)
    assert any(sentence.startswith("The image picture was not used; the edits are") for sentence in result.warnings)


def test_the_report_says_how_the_image_was_used(ellipsoid_prior: ShapePrior) -> None:
    leaking = WHOLE | BULGE
    result = dals.refine(Segmentation(WHERE.with_array(leaking)), ellipsoid_prior, image=picture(leaking))
    use = result.report["image"]
    assert use["name"] == "picture"
    assert use["trust"] == 1.0
    assert use["error_percent"] < 5
    assert use["edits_changed"] == 1
    assert result.report["timings_s"]["image"] > 0
    assert result.label_map is not None
    assert result.label_map.array[BULGE].all()


def test_where_the_image_ends_the_shape_decides(ellipsoid_prior: ShapePrior) -> None:
    leaking = WHOLE | BULGE
    whole = picture(leaking)
    below = Volume(whole.array[:34], whole.ijk_to_ras, "picture")
    assert not BULGE[:34].any()
    result = edited(leaking, ellipsoid_prior, below)
    assert result.testimony is not None
    assert result.testimony.trust > 0.9
    assert kept(result, BULGE) < 0.1


def test_the_grid_and_unit_of_the_image_do_not_matter(ellipsoid_prior: ShapePrior) -> None:
    where = grid((70, 62, 44), (4.0, 4.0, 5.0), angles=(20.0, -15.0, 30.0), left_handed=True)
    noise = np.random.default_rng(0).normal(0, 20, where.array.shape)
    image = Volume(1e-4 * (40 + 80 * inside_ellipsoid(where, RADII, CENTRE) + noise), where.ijk_to_ras, "oblique")
    bitten = edited(WHOLE & ~BITE, ellipsoid_prior, image)
    assert kept(bitten, BITE) > 0.9
    assert kept(edited(WHOLE | BULGE, ellipsoid_prior, image), BULGE) < 0.1


def test_an_image_of_another_place_is_refused(ellipsoid_prior: ShapePrior) -> None:
    elsewhere = picture(WHOLE).ijk_to_ras.copy()
    elsewhere[0, 3] += 2_000
    with pytest.raises(InputError, match="does not show the place that was segmented"):
        edited(WHOLE, ellipsoid_prior, Volume(picture(WHOLE).array, elsewhere, "picture"))


def test_a_segmentation_of_something_else_does_without(ellipsoid_prior: ShapePrior) -> None:
    cross = np.zeros_like(WHOLE)
    cross[18:24, :, 26:34] = cross[18:24, 20:28, :] = cross[5:40, 20:28, 26:34] = True
    image = picture(cross)
    result = edited(cross, ellipsoid_prior, image)
    assert result.testimony is None
    assert use_of(result, image).reason == "The segmentation does not look like the organ."


def test_the_same_twice(ellipsoid_prior: ShapePrior) -> None:
    first, second = (edited(WHOLE | BULGE, ellipsoid_prior, picture(WHOLE)) for _ in range(2))
    assert first.edits == second.edits
    assert np.array_equal(first.mesh.vertices, second.mesh.vertices)
