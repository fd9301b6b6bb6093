"""Organs of the other side of the body."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from dals.cli.numbers import side_of
from dals.errors import InputError, PriorError
from dals.fitting import FitResult, FitState, OnStep, sides
from dals.fitting.result import FitStep
from dals.fitting.sides import fit_on_side
from dals.geometry.cross_sections import section_loops
from dals.geometry.mesh import FloatArray, TriangleMesh
from dals.geometry.surface_distance import surface_distances
from dals.model.pose import Pose
from dals.model.prior import ShapePrior, load_prior
from dals.model.template import icosphere
from dals.observations import Contour, PlanarContours
from dals.refinement import refine

UNCHANGED = np.ones(3)
QUICK = PlanarContours.defaults.changed(level=3, shared_level=2, shared_steps=6, local_steps=3)
MIRROR = np.array([-1.0, 1.0, 1.0])
DATA = Path(__file__).resolve().parents[4] / "shared" / "data" / "kidneys" / "labels"


@pytest.fixture(scope="module")
def kidney() -> ShapePrior:
    return load_prior("kidney")


def shape_of(prior: ShapePrior, seed: int, *, level: int = 4) -> TriangleMesh:
    """A random plausible organ of the prior's own side, RAS mm."""
    template = icosphere(level)
    drawn = torch.randn(prior.latent_basis.shape[1], generator=torch.Generator().manual_seed(seed))
    latent = prior.latent_mean + 0.7 * prior.latent_basis @ drawn
    vertices = prior.decoder(latent[None], prior.sphere(template)).double().numpy()
    return TriangleMesh(Pose(62.0, np.array([40.0, -10.0, 25.0])).to_patient(vertices), template.faces)


def contours_of(mesh: TriangleMesh, mirror: FloatArray = UNCHANGED) -> PlanarContours:
    middle = mesh.vertices.mean(axis=0)
    loops = [max(section_loops(mesh, middle, axis), key=len) for axis in np.eye(3)]
    return PlanarContours(tuple(Contour(loop * mirror, None, f"plane {k}") for k, loop in enumerate(loops)))


def test_the_other_sides_shapes_are_mirror_images_that_face_outwards(kidney: ShapePrior) -> None:
    other = kidney.of_other_side()
    assert (kidney.side, other.side) == ("right", "left")
    template = icosphere(3)
    sphere = kidney.sphere(template)
    mirror = torch.tensor([-1.0, 1.0, 1.0])
    for latent in kidney.latents[:3]:
        mine = kidney.decoder(latent[None], sphere * mirror) * mirror
        theirs = other.decoder(latent[None], sphere)
        assert torch.allclose(mine, theirs, atol=1e-5)
        assert TriangleMesh(theirs.double().numpy(), template.faces).volume > 0
    again = other.of_other_side()
    assert all(torch.equal(a, b) for a, b in zip(kidney.decoder.parameters(), again.decoder.parameters(), strict=True))


def test_a_prior_of_no_side_has_no_other_one() -> None:
    liver = load_prior("liver")
    with pytest.raises(PriorError, match="leave out the side"):
        liver.of_other_side()
    with pytest.raises(PriorError, match="leave out the side"):
        fit_on_side(liver, "left", lambda prior, on_step: pytest.fail("fitted"))


@pytest.mark.parametrize("seed", [1])
@pytest.mark.parametrize("side", ["right", "left"])
def test_the_side_is_found(kidney: ShapePrior, side: str, seed: int) -> None:
    truth = shape_of(kidney, seed)
    mirror = MIRROR if side == "left" else UNCHANGED
    found = refine(contours_of(truth, mirror), kidney, settings=QUICK)
    assert found.report["side"] == {"side": side, "chosen": "by the fit"}
    assert found.state.side == side
    assert surface_distances(found.mesh.vertices * mirror, truth).mean() < 2.5
    assert found.mesh.volume > 0


@pytest.mark.skipif(not DATA.is_dir(), reason="the real kidneys are not here (../shared/data)")
def test_a_mirrored_case_gives_the_mirrored_surface(kidney: ShapePrior) -> None:
    from dals.dataset.normalisation import normalise
    from dals.io.label_maps import read_label_map

    truth = normalise(read_label_map(DATA / "btcv_0028_left.nii.gz"), name="kidney").patient_mesh
    left = refine(contours_of(truth), kidney, settings=QUICK)
    right = refine(contours_of(truth, MIRROR), kidney, settings=QUICK)
    assert (left.report["side"]["side"], right.report["side"]["side"]) == ("left", "right")
    assert surface_distances(left.mesh.vertices * MIRROR, right.mesh).max() < 0.5
    assert surface_distances(left.mesh.vertices, truth).mean() < 3.0


def test_a_given_side_and_that_of_a_start_are_kept(kidney: ShapePrior) -> None:
    contours = contours_of(shape_of(kidney, 1))  # of a right one
    wrong = refine(contours, kidney, settings=QUICK, side="left")
    assert wrong.report["side"] == {"side": "left", "chosen": "beforehand"}
    again = refine(contours, kidney, settings=QUICK, start=wrong.state)
    assert again.report["side"] == {"side": "left", "chosen": "beforehand"}
    changed = FitState.from_arrays(*wrong.state.to_arrays())
    assert changed.side == "left"


def test_both_fits_count_as_one_in_progress(kidney: ShapePrior) -> None:
    told: list[tuple[int, int]] = []

    def solve(prior: ShapePrior, on_step: OnStep | None) -> FitResult:
        assert on_step is not None
        for step in (1, 2):
            on_step(FitStep("shared", step, 2, lambda: 0.0, lambda: pytest.fail("asked for a mesh")))
        return _result(prior)

    def hear(step: FitStep) -> None:
        told.append((step.step, step.total))

    fitted = fit_on_side(kidney, "auto", solve, on_step=hear)
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert fitted.tried
    assert fitted.prior.side == "left"  # the less improbable one
    assert fitted.clear


def test_a_side_that_is_not_clear_is_said(kidney: ShapePrior, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sides, "_CLEAR", 1e6)
    found = refine(contours_of(shape_of(kidney, 1)), kidney, settings=QUICK)
    assert [sentence for sentence in found.warnings if "Please state the side" in sentence]


def _result(prior: ShapePrior) -> FitResult:
    mesh = TriangleMesh(icosphere(1).vertices, icosphere(1).faces)
    state = FitState(Pose(1.0, np.zeros(3)), np.zeros(128, dtype=np.float32), None, 1, prior.side)
    settings = PlanarContours.defaults
    return replace(
        FitResult(mesh, state, 0.0, 1, 0.0, "cpu", settings), improbability=1.0 if prior.side == "left" else 2.0
    )


def test_another_word_is_no_side() -> None:
    assert side_of("left") == "left"
    with pytest.raises(InputError, match="auto, left or right"):
        side_of("up")
