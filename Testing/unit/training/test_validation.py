"""What is set aside from a training, and what a prior is worth there."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from dals.dataset.normalisation import NormalisedShape
from dals.errors import InputError
from dals.geometry.mesh import TriangleMesh
from dals.model.prior import ShapePrior
from dals.model.template import icosphere
from dals.training.validation import HeldOutError, Validator, Verdict, split, subject_of


def named(*names: str) -> list[NormalisedShape]:
    mesh = TriangleMesh(icosphere(1).vertices, icosphere(1).faces)
    return [NormalisedShape(name, mesh, np.zeros(3), 50.0, 1.0) for name in names]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("btcv_0001_right", "btcv_0001_left-mirrored"),
        ("0522c0125", "0522c0125-mirrored"),
        ("Parotid-Lt 7", "Parotid-Rt 7"),
        ("patient4.L", "patient4.R"),
    ],
)
def test_the_two_organs_of_a_patient_have_one_subject(first: str, second: str) -> None:
    assert subject_of(first) == subject_of(second)


def test_other_patients_are_other_subjects() -> None:
    names = ["liver_1", "liver_11", "river_1", "bright_1", "amos_001", "lr1"]
    assert len({subject_of(name) for name in names}) == len(names)


def test_a_patients_organs_stay_on_one_side_of_the_split() -> None:
    shapes = named(*(f"case{k:02d}_{side}" for k in range(20) for side in ("left-mirrored", "right")))
    training, aside = split(shapes)
    assert len(aside) == 4
    assert len(training) == 36
    assert not {subject_of(s.name) for s in training} & {subject_of(s.name) for s in aside}
    assert [s.name for s in training] == sorted(s.name for s in training)
    assert split(shapes) == (training, aside)


@pytest.mark.parametrize(("count", "aside"), [(2, 0), (7, 0), (8, 1), (28, 2), (149, 5)])
def test_one_in_ten_is_set_aside(count: int, aside: int) -> None:
    shapes = named(*(f"case{k}" for k in range(count)))
    assert [len(part) for part in split(shapes)] == [count - aside, aside]
    assert [len(part) for part in split(shapes, 0)] == [count, 0]


def test_what_is_set_aside_is_spread_over_the_names() -> None:
    shapes = named(*(f"case{k:03d}" for k in range(100)))
    numbers = sorted(int(shape.name[4:]) for shape in split(shapes, 5)[1])
    assert numbers[0] < 35
    assert numbers[-1] > 65


@pytest.fixture(scope="module")
def family(ellipsoid_prior: ShapePrior) -> list[NormalisedShape]:
    """The shapes that the prior makes of its own latents."""
    template = icosphere(4)
    with torch.no_grad():
        decoded = [
            ellipsoid_prior.decoder(latent[None], ellipsoid_prior.sphere(template)).double().numpy()
            for latent in ellipsoid_prior.latents
        ]
    place = np.array([10.0, 20.0, 30.0])
    meshes = [TriangleMesh(vertices, template.faces) for vertices in decoded]
    return [NormalisedShape(f"case{k}", mesh, place, 80.0, 1.0) for k, mesh in enumerate(meshes)]


def test_a_prior_that_knows_its_shapes_is_of_use(ellipsoid_prior: ShapePrior, family: list[NormalisedShape]) -> None:
    done: list[tuple[int, int]] = []
    validator = Validator(family, family[:1])
    verdict = validator.verdict(ellipsoid_prior, progress=lambda *counts: done.append(counts))
    assert done == [(0, 2), (1, 2)]
    assert verdict.warning is None
    assert verdict.learnt_mm < 0.5 * verdict.learnt_typical_mm
    assert verdict.held_out is not None
    assert verdict.held_out.points_mm < 2.0
    assert verdict.figures["useful"] is True
    assert Validator(family, []).held_out(ellipsoid_prior) is None


def test_a_prior_that_knows_nothing_is_of_none(ellipsoid_prior: ShapePrior, family: list[NormalisedShape]) -> None:
    """As four steps of training leave it: every latent gives the same sphere."""
    ignorant = replace(ellipsoid_prior, latents=torch.zeros_like(ellipsoid_prior.latents) + 9.0)
    verdict = Validator(family, []).verdict(ignorant)
    assert verdict.warning is not None
    assert "it misses its own training shapes" in verdict.warning


@pytest.mark.parametrize("failure", [np.linalg.LinAlgError("singular"), InputError("It does not fit.")])
def test_a_fit_that_fails_does_not_end_the_training(
    failure: Exception,
    ellipsoid_prior: ShapePrior,
    family: list[NormalisedShape],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def failing(*_: object, **__: object) -> None:
        raise failure

    monkeypatch.setattr("dals.training.validation.fit", failing)
    error = Validator(family, family[:2]).held_out(ellipsoid_prior)
    assert error is not None
    assert error.points_mm == error.planes_mm == error.typical_mm > 0


def test_a_prior_without_a_surface_is_of_no_use(ellipsoid_prior: ShapePrior, family: list[NormalisedShape]) -> None:
    lost = replace(ellipsoid_prior, latents=torch.full_like(ellipsoid_prior.latents, torch.nan))
    verdict = Validator(family, []).verdict(lost)
    assert verdict.warning is not None
    assert verdict.figures["learnt_mm"] is None


@pytest.mark.parametrize(("planes", "warned"), [(2.9, False), (3.1, True), (float("nan"), True)])
def test_a_fit_must_be_better_than_no_prior(planes: float, warned: bool) -> None:
    verdict = Verdict(HeldOutError(2, 1.0, planes, 3.0), 1.0, 3.0)
    assert (verdict.warning is not None) is warned
    assert verdict.figures["useful"] is not warned
