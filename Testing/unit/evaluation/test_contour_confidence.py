"""Surfaces fitted to contours: what is said where they miss the contours or cross planes elsewhere."""

from __future__ import annotations

import numpy as np
import pytest
from known_shapes import ellipse_contour, ellipsoid
from scipy.spatial import cKDTree

from dals.evaluation.confidence import Confidence, confidence_in
from dals.evaluation.contour_confidence import latent_deviation
from dals.evaluation.contour_residuals import missed_contours, straying_sections, straying_share
from dals.evaluation.undrawn_sections import expected_sections
from dals.fitting import FitResult, FitSettings, FitState, fit
from dals.geometry.cross_sections import section_loops
from dals.geometry.mesh import FloatArray, TriangleMesh
from dals.geometry.places import place_text
from dals.geometry.polylines import loop_length
from dals.model.pose import Pose
from dals.model.prior import ShapePrior, load_prior
from dals.model.template import icosphere
from dals.observations import Contour, PlanarContours

RADII, CENTRE = np.array([60.0, 45.0, 35.0]), np.array([20.0, -30.0, 40.0])


@pytest.fixture(scope="module")
def mesh() -> TriangleMesh:
    return ellipsoid()


@pytest.fixture(scope="module")
def contours() -> PlanarContours:
    return PlanarContours(tuple(ellipse_contour(axis) for axis in range(3)))


def judged(
    contours: PlanarContours, mesh: TriangleMesh, prior: ShapePrior, latent: FloatArray | None = None
) -> Confidence:
    shared = (np.zeros(3) if latent is None else latent) + prior.latent_mean.numpy()
    state = FitState(Pose(70.0, CENTRE), shared.astype(np.float32), None, 4)
    result = FitResult(mesh, state, 1.5e-3, 160, 7.5, "cpu", FitSettings())
    found = confidence_in(contours, result, prior, mesh)
    assert found is not None
    return found


def test_a_surface_through_its_contours_is_trusted(
    mesh: TriangleMesh, contours: PlanarContours, ellipsoid_prior: ShapePrior
) -> None:
    found = judged(contours, mesh, ellipsoid_prior)
    assert (found.level, found.reasons) == ("high", ())
    assert found.figures() == {}


def test_a_missed_contour_is_named_with_its_place(
    mesh: TriangleMesh, contours: PlanarContours, ellipsoid_prior: ShapePrior
) -> None:
    dented = mesh.vertices.copy()
    right = dented[:, 0] > CENTRE[0] + 50
    dented[right, 0] -= 9.0
    missed = {found.name: found for found in missed_contours(contours, TriangleMesh(dented, mesh.faces))}
    assert missed["axial"].millimetres == pytest.approx(9, abs=1)
    np.testing.assert_allclose(missed["axial"].place, CENTRE + np.array([60.0, 0, 0]), atol=3)
    assert missed["axial"].share > 0.05
    found = judged(contours, TriangleMesh(dented, mesh.faces), ellipsoid_prior)
    assert found.level == "medium"
    (sentence,) = (text for text in found.reasons if "'axial'" in text)
    assert sentence.startswith("The surface misses the contour 'axial' by up to 9 mm, at R ")
    assert not any("'sagittal'" in text for text in found.reasons)


@pytest.mark.parametrize(("length", "level"), [(6.0, "high"), (14.0, "medium")])
def test_a_missed_tip_is_a_note_unless_it_is_far_off(
    length: float, level: str, mesh: TriangleMesh, contours: PlanarContours, ellipsoid_prior: ShapePrior
) -> None:
    (axial,) = (contour for contour in contours.contours if contour.name == "axial")
    points = axial.points.copy()
    points[int(points[:, 0].argmax()), 0] += length
    others = [contour for contour in contours.contours if contour is not axial]
    spiked = PlanarContours((*others, Contour(points, None, "axial")))
    missed = {found.name: found for found in missed_contours(spiked, mesh)}
    assert missed["axial"].millimetres == pytest.approx(length, abs=0.5)
    assert 0 < missed["axial"].share < 0.05
    found = judged(spiked, mesh, ellipsoid_prior)
    assert found.level == level
    said = found.notes if level == "high" else found.reasons
    assert any(text.startswith(f"The surface misses the contour 'axial' by up to {length:.0f} mm") for text in said)


def test_a_section_where_nothing_was_outlined(
    mesh: TriangleMesh, contours: PlanarContours, ellipsoid_prior: ShapePrior
) -> None:
    apart = TriangleMesh(
        np.concatenate([mesh.vertices, mesh.vertices + np.array([0, 150.0, 0])]),
        np.concatenate([mesh.faces, mesh.faces + len(mesh.vertices)]),
    )
    strays = {found.name: found.millimetres for found in straying_sections(contours, apart)}
    assert strays["axial"] == pytest.approx(150, abs=5)
    assert strays["coronal"] < 1
    found = judged(contours, apart, ellipsoid_prior)
    assert sum("strays up to 150 mm" in text for text in found.reasons) == 2
    assert found.notes == ()


def test_a_small_section_where_nothing_was_outlined_is_a_note(
    mesh: TriangleMesh, contours: PlanarContours, ellipsoid_prior: ShapePrior
) -> None:
    """The organ is most often there, and was not outlined."""
    ball = icosphere(1)
    small = CENTRE + np.array([0, 70.0, 0]) + 8.0 * ball.vertices
    both = TriangleMesh(
        np.concatenate([mesh.vertices, small]), np.concatenate([mesh.faces, ball.faces + len(mesh.vertices)])
    )
    assert 0.0 < straying_share(contours, both, beyond_mm=6.0) < 0.1
    found = judged(contours, both, ellipsoid_prior)
    assert found.level == "high"
    assert any("strays up to" in text for text in found.notes)


def test_planes_that_the_surface_does_not_meet(mesh: TriangleMesh, contours: PlanarContours) -> None:
    assert straying_sections(contours, TriangleMesh(mesh.vertices + 1000.0, mesh.faces)) == []


def test_a_small_part_of_an_organ_is_said(mesh: TriangleMesh, ellipsoid_prior: ShapePrior) -> None:
    # Two slices at the end of a spleen gave a surface that was 16 mm off, with high confidence.
    slices = PlanarContours(tuple(ellipse_contour(0, offset, name=f"{offset}") for offset in (40.0, 50.0)))
    found = judged(slices, mesh, ellipsoid_prior)
    assert found.level == "medium"
    (reason,) = found.reasons
    assert "of what the prior ellipsoid usually does" in reason


def test_an_unusual_latent_is_said(mesh: TriangleMesh, contours: PlanarContours, ellipsoid_prior: ShapePrior) -> None:
    basis = ellipsoid_prior.latent_basis.numpy()
    found = judged(contours, mesh, ellipsoid_prior, basis @ np.full(basis.shape[1], 3.5))
    assert len(found.reasons) == 1
    assert "unusual for the prior ellipsoid: 3.5 standard deviations" in found.reasons[0]


def test_the_deviation_of_training_shapes_is_about_one(ellipsoid_prior: ShapePrior) -> None:
    deviations = []
    for latent in ellipsoid_prior.latents.numpy():
        state = FitState(Pose(70.0, CENTRE), latent, None, 4)
        deviations.append(
            latent_deviation(FitResult(ellipsoid(), state, 0, 1, 1, "cpu", FitSettings()), ellipsoid_prior)
        )
    assert np.sqrt(np.mean(np.square(deviations))) == pytest.approx(1, abs=0.05)


def test_a_place_in_the_letters_of_the_slice_views() -> None:
    assert place_text(np.array([12.4, -40.0, 130.0])) == "R 12, P 40, S 130 mm"


def test_a_section_that_is_known_to_be_missing_is_not_asked_for(
    contours: PlanarContours, ellipsoid_prior: ShapePrior
) -> None:
    """All of a convex organ is outlined: there is no other section; on open planes nothing is said at all."""
    plain = fit(ellipsoid_prior, contours).plain
    assert plain is not None
    assert expected_sections(contours, plain) == []
    assert expected_sections(contours.with_open_planes(["axial", "coronal", "sagittal"]), plain) == []


def test_a_section_of_the_prior_that_nobody_outlined(liver_with_two_sections: PlanarContours) -> None:
    prior = load_prior("liver")
    result = fit(prior, liver_with_two_sections)
    assert result.plain is not None
    found = expected_sections(liver_with_two_sections, result.plain)
    assert [one.name for one in found] == ["cut"]
    assert found[0].millimetres > 20
    confidence = confidence_in(liver_with_two_sections, result, prior, result.mesh)
    assert confidence is not None
    assert any("'cut'" in note and "mark the plane as incomplete" in note for note in confidence.notes)
    opened = liver_with_two_sections.with_open_planes(["cut"])
    assert expected_sections(opened, result.plain) == []


@pytest.fixture(scope="module")
def liver_with_two_sections() -> PlanarContours:
    """The prior's mean liver, cut in two by an oblique plane on which only the larger section was outlined."""
    prior = load_prior("liver")
    template = icosphere(4)
    mean = TriangleMesh(130.0 * prior.mean_shape(template).double().numpy(), template.faces)
    middle = mean.vertices.mean(axis=0)
    planes = [(middle, np.eye(3)[axis]) for axis in range(3)]
    best: tuple[float, tuple[FloatArray, FloatArray]] | None = None
    directions = np.random.default_rng(0).normal(size=(300, 3))
    for normal in directions / np.linalg.norm(directions, axis=1, keepdims=True):
        for depth in (-45.0, -30.0, -15.0, 0.0, 15.0, 30.0):
            loops = section_loops(mean, middle + depth * normal, normal)
            if len(loops) == 2:
                shorter, longer = sorted(loops, key=loop_length)
                apart = float(cKDTree(longer).query(shorter)[0].mean()) if loop_length(shorter) > 100 else 0.0
                if best is None or apart > best[0]:
                    best = apart, (middle + depth * normal, normal)
    assert best is not None
    assert best[0] > 25
    contours = [
        Contour(max(section_loops(mean, *plane), key=loop_length), None, name)
        for plane, name in zip([*planes, best[1]], ["sagittal", "coronal", "axial", "cut"], strict=True)
    ]
    return PlanarContours(tuple(contours))
