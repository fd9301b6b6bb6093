"""What the worker process does with a job: fits, several organs, edits that are chosen, work that nobody waits for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from known_shapes import ellipse_contour, grid, inside_ellipsoid

import dals
from dals.errors import FitCancelledError, InputError
from DALSRefineLib.process.fitting_job import Fitter
from DALSRefineLib.process.jobs import KEPT, Choice, FitFinished, FitProgress, OrganTask, Request

RADII = (95.0, 75.0, 60.0)


def contours() -> dals.PlanarContours:
    outlines = (ellipse_contour(axis, 5.0, radii=RADII) for axis in range(3))
    return dals.PlanarContours(tuple(dals.Contour(o.points[::10], o.points[::10], o.name) for o in outlines))


def segmentation(*, shift: int = 0) -> dals.Segmentation:
    """An ellipsoid with a cavity and an island, `shift` voxels to the right; there is room for two."""
    empty = grid((110, 50, 45), (4.0, 4.0, 4.0))
    array = np.roll(inside_ellipsoid(empty, RADII), shift, axis=2)
    middle = [int(index) for index in np.argwhere(array).mean(axis=0)]
    array[middle[0] - 1 : middle[0] + 1, middle[1], middle[2] : middle[2] + 3] = False
    array[1:3, 1:3, middle[2]] = True
    return dals.Segmentation(empty.with_array(array))


def run(fitter: Fitter, job, *, heard=None) -> FitFinished:
    return fitter.run(job, tell=(lambda _: None) if heard is None else heard.append, wanted=lambda: True)


@pytest.fixture
def request_of(ellipsoid_prior_file: Path):
    return lambda observation, **more: Request(
        observation=observation, prior=ellipsoid_prior_file, device="cpu", **more
    )


def test_a_choice_of_edits_is_carried_out_without_a_fit(request_of) -> None:
    fitter, observation = Fitter(), segmentation()
    found = run(fitter, request_of(observation))
    kinds = [edit["kind"] for edit in found.report["edits"]]
    assert {"hole filled", "island removed"} <= set(kinds)
    assert found.key
    heard: list = []
    none = run(fitter, Choice(found.key, ((),)), heard=heard)
    assert heard == [], "neither a start nor steps"
    given = observation.label_map.cropped()
    np.testing.assert_array_equal(none.label_map.array, given.array)
    np.testing.assert_allclose(none.label_map.ijk_to_ras, given.ijk_to_ras)
    assert not any(edit["applied"] for edit in none.report["edits"])
    assert none.report["edits_chosen"] == "by hand"
    again = run(fitter, Choice(found.key, (tuple(i for i, e in enumerate(found.report["edits"]) if e["applied"]),)))
    np.testing.assert_array_equal(again.mesh.vertices, found.mesh.vertices)
    assert again.report["edits"] == found.report["edits"]
    assert again.report["residuals_mm"] == found.report["residuals_mm"]
    assert again.warnings == found.warnings


def test_only_the_last_refinements_are_kept(request_of) -> None:
    fitter = Fitter()
    keys = [run(fitter, request_of(segmentation())).key for _ in range(KEPT + 1)]
    run(fitter, Choice(keys[1], ((),)))
    with pytest.raises(InputError, match="refine once more"):
        run(fitter, Choice(keys[0], ((),)))


def test_contours_have_nothing_to_choose(request_of) -> None:
    assert run(Fitter(), request_of(contours(), changes={"level": 2})).key == ""


def test_two_organs_get_a_result_each(request_of, ellipsoid_prior_file: Path) -> None:
    left, right = segmentation(shift=-23), segmentation(shift=23)
    other = OrganTask(name="right one", observation=right, prior=ellipsoid_prior_file)
    heard: list = []
    fitter = Fitter()
    found = run(fitter, request_of(left, name="left one", others=(other,)), heard=heard)
    assert len(found.others) == 1
    assert found.mesh.vertices[:, 0].mean() + 150 < found.others[0].mesh.vertices[:, 0].mean()
    steps = [event.step / event.total for event in heard if isinstance(event, FitProgress)]
    assert steps == sorted(steps)
    assert steps[-1] == 1
    applied = tuple(i for i, e in enumerate(found.report["edits"]) if e["applied"])
    none = run(fitter, Choice(found.key, (applied, ())))
    np.testing.assert_array_equal(none.mesh.vertices, found.mesh.vertices)
    assert not any(edit["applied"] for edit in none.others[0].report["edits"])


def test_nobody_waits_for_the_report_of_a_fit_that_is_not_wanted(request_of) -> None:
    """While a contour is dragged, the next fit must not wait for the report of the one before."""
    fitter, request = Fitter(), request_of(contours(), changes={"level": 2})
    calls, over = [0], [False]

    def tell(event) -> None:
        if isinstance(event, FitProgress) and event.step == event.total:
            over[0] = True
            calls[0] = 0

    run(fitter, request)  # loads the prior
    (prior,) = (prior for _changed, prior in fitter._priors.values())
    prior.decoder.register_forward_pre_hook(lambda *_: calls.__setitem__(0, calls[0] + 1))
    fitter.run(request, tell=tell, wanted=lambda: True)
    assert calls[0] > 0, "the report decodes shapes"
    over[0] = False
    with pytest.raises(FitCancelledError):
        fitter.run(request, tell=tell, wanted=lambda: not over[0])
    assert calls[0] == 0
    over[0] = False
    assert fitter.run(request, tell=tell, wanted=lambda: True).report
