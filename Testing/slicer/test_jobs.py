"""Requests and events survive the way to the fitting process and back."""

from __future__ import annotations

import dataclasses
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dals.errors import DalsError, InputError
from dals.geometry.label_map import LabelMap
from dals.geometry.log_odds import LogOdds
from dals.geometry.mesh import TriangleMesh
from dals.geometry.volume import Volume
from dals.model.fit_state import FitState
from dals.model.pose import Pose
from dals.model.seen_image import SeenImage
from dals.observations import Contour, Observation, PlanarContours, PointCloud, Segmentation
from DALSRefineLib.process.fit_progress import RemainingTime, StepTeller
from DALSRefineLib.process.jobs import (
    Choice,
    Event,
    FitCancelled,
    FitFailed,
    FitFinished,
    FitProgress,
    FitStarted,
    OrganTask,
    Request,
)
from DALSRefineLib.process.messages import ImageMemory, event_message, event_of, job_message, job_of
from DALSRefineLib.process.wire import Message, WireError, pack, unpack

PACKAGE = Path(__file__).resolve().parents[2] / "DALSRefine"
MESH = TriangleMesh(np.random.default_rng(1).normal(size=(4, 3)), np.array([[0, 1, 2], [0, 2, 3]]))
STATE = FitState(
    Pose(91.5, np.array([1.0, -2.0, 3.5]), np.eye(3)[[1, 2, 0]]),
    np.arange(4, dtype=np.float32),
    np.arange(24, dtype=np.float32).reshape(6, 4),
    2,
    plain=FitState(Pose(90.0, np.array([1.0, -1.0, 3.0])), np.arange(4, dtype=np.float32) + 1, None, 1, "left"),
    departure=0.04,
    error=0.05,
    seen=SeenImage(
        odds=LogOdds(np.arange(24, dtype=np.float32).reshape(2, 3, 4), np.diag([3.0, 3.0, 5.0, 1.0])),
        trust=0.8,
        error_percent=4.5,
        surface_error_percent=9.25,
        outlines=np.arange(6.0).reshape(2, 3),
        kinds=np.array([1, 3], dtype=np.uint8),
        values=np.array([120.0, np.nan]),
    ),
)


def travelled(message: Message, folder: Path) -> Message:
    return unpack(pack(message, folder), folder)


def same(a: Any, b: Any) -> bool:
    """Whether two records are of one type and equal in every field, not-a-number included."""
    if type(a) is not type(b):
        return False
    if dataclasses.is_dataclass(a):
        return all(same(getattr(a, f.name), getattr(b, f.name)) for f in dataclasses.fields(a))
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
    if isinstance(a, tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return bool(a == b) or (isinstance(a, float) and math.isnan(a) and math.isnan(b))


def circle(axis: int, *, clicked: bool, radius: float = 50.0) -> Contour:
    angle = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    points = radius * np.insert(np.stack([np.cos(angle), np.sin(angle)], axis=1), axis, 0.0, axis=1)
    return Contour(points, points[::6] if clicked else None, f"Ebene {axis} ü")


def label_map() -> LabelMap:
    array = np.zeros((4, 5, 6), dtype=bool)
    array[1:3, 2:4, 1:5] = True
    return LabelMap(array, np.array([[0, -2.0, 0, 5], [3, 0, 0, 1], [0, 0, 4.5, -7], [0, 0, 0, 1]]), "Liver")


OBSERVATIONS: dict[str, Observation] = {
    "points": PointCloud(np.random.default_rng(2).normal(size=(20, 3))),
    "contours": PlanarContours((circle(0, clicked=False), circle(1, clicked=True), circle(2, clicked=False))),
    "segmentation": Segmentation(label_map()),
    "probabilities": Segmentation(
        label_map(), np.random.default_rng(3).random(label_map().array.shape, dtype=np.float32)
    ),
}


@pytest.mark.parametrize("task", OBSERVATIONS)
def test_a_request_survives_the_way(task: str, tmp_path: Path) -> None:
    request = Request(
        observation=OBSERVATIONS[task],
        prior=Path("priors") / "léber.safetensors",
        changes={
            "lambda_dir": math.inf,
            "initial_scales": (0.8, 1.0),
            "seed": 3,
            "removing_folds": False,
            "rotating": True,
        },
        device="cpu",
        start=STATE,
        remesh=True,
        preview_seconds=math.inf,
    )
    message = travelled(job_message(request, 7), tmp_path)
    assert message.fields["number"] == 7
    assert same(job_of(message), request)


def test_a_request_without_options_survives_the_way(tmp_path: Path) -> None:
    request = Request(observation=OBSERVATIONS["points"], prior=Path("liver.safetensors"))
    assert same(job_of(travelled(job_message(request, 0), tmp_path)), request)


def test_a_start_without_latents_of_vertices_survives_the_way(tmp_path: Path) -> None:
    start = dataclasses.replace(STATE, local=None)
    request = Request(observation=OBSERVATIONS["points"], prior=Path("liver.safetensors"), start=start)
    assert same(job_of(travelled(job_message(request, 0), tmp_path)).start, start)


def test_an_image_survives_the_way(tmp_path: Path) -> None:
    image = Volume(np.arange(60, dtype=np.int16).reshape(3, 4, 5), np.diag([1.0, -2.0, 3.0, 1.0]), "CT")
    request = Request(observation=OBSERVATIONS["contours"], prior=Path("liver.safetensors"), image=image)
    assert same(job_of(travelled(job_message(request, 0), tmp_path)), request)


def test_an_image_is_sent_once(tmp_path: Path) -> None:
    ct = Volume(np.arange(60, dtype=np.int16).reshape(3, 4, 5), np.diag([1.0, -2.0, 3.0, 1.0]), "CT")
    mr = dataclasses.replace(ct, name="MR", array=-ct.array)
    request = Request(observation=OBSERVATIONS["contours"], prior=Path("liver.safetensors"), image=ct)
    memory, known = ImageMemory(), None
    for image, sent in ((ct, True), (ct, False), (None, False), (ct, False), (mr, True), (mr, False), (ct, True)):
        wanted = dataclasses.replace(request, image=image)
        message = job_message(wanted, 0, known=known)
        assert any(name.startswith("image") for name in message.arrays) == sent
        assert same(job_of(memory.completed(travelled(message, tmp_path))), wanted)
        known = known if image is None else image


def test_an_image_that_was_never_sent_is_refused_with_a_sentence(tmp_path: Path) -> None:
    image = Volume(np.zeros((3, 4, 5), dtype=np.int16), np.eye(4), "CT")
    request = Request(observation=OBSERVATIONS["contours"], prior=Path("liver.safetensors"), image=image)
    message = ImageMemory().completed(travelled(job_message(request, 0, known=image), tmp_path))
    with pytest.raises(WireError, match="malformed"):
        job_of(message)


def test_further_organs_survive_the_way(tmp_path: Path) -> None:
    other = OrganTask(
        name="left kidney",
        observation=OBSERVATIONS["probabilities"],
        prior=Path("kidney.safetensors"),
        changes={"edits": "all"},
        side="left",
    )
    request = Request(
        observation=OBSERVATIONS["segmentation"], prior=Path("liver.safetensors"), name="Liver", others=(other, other)
    )
    assert same(job_of(travelled(job_message(request, 0), tmp_path)), request)


def test_a_choice_of_edits_survives_the_way(tmp_path: Path) -> None:
    choice = Choice("abc", ((0, 2), ()))
    message = travelled(job_message(choice, 5), tmp_path)
    assert message.fields["number"] == 5
    assert same(job_of(message), choice)
    with pytest.raises(WireError):
        job_of(Message("Choice", {"key": "abc", "chosen": 3}))


EVENTS: dict[str, Event] = {
    "started": FitStarted("cuda:0"),
    "several": FitFinished(
        MESH,
        {"volume_ml": 1.0},
        STATE,
        key="abc",
        label_map=label_map(),
        others=(
            FitFinished(MESH, {}, STATE, ("a",), np.arange(4.0), label_map=label_map()),
            FitFinished(MESH, {}, STATE),
        ),
    ),
    "progress": FitProgress("shared", 3, 150, 4.5, None),
    "progress with preview": FitProgress("local", 149, 150, math.nan, math.inf, MESH),
    "empty preview": FitProgress("local", 1, 2, 0.0, 0.5, TriangleMesh(np.empty((0, 3)), np.empty((0, 3), dtype=int))),
    "finished": FitFinished(MESH, {"volume_ml": 1500.5, "rows": [{"mean": math.inf}]}, STATE, ("Größe", "b")),
    "failed": FitFailed("The contours contradict each other.", "Traceback ...\n", "InputError"),
    "cancelled": FitCancelled(),
}


@pytest.mark.parametrize("name", EVENTS)
def test_an_event_survives_the_way(name: str, tmp_path: Path) -> None:
    message = travelled(event_message(EVENTS[name], 12), tmp_path)
    assert message.fields["number"] == 12
    assert same(event_of(message), EVENTS[name])


@pytest.mark.parametrize(
    "message",
    [
        Message("Telegram", {"number": 1}),
        Message("FitProgress", {"number": 1, "stage": "shared"}),
        Message("FitProgress", {"number": 1, "weather": "fine"}),
        Message("FitFinished", {"number": 1, "report": {}, "warnings": [], "state": {"scale": 1.0, "level": 2}}),
    ],
)
def test_what_is_no_event_is_refused_with_a_sentence(message: Message) -> None:
    with pytest.raises(WireError, match=r"^A message of kind .*\.$"):
        event_of(message)


def test_what_is_no_request_is_refused_with_a_sentence() -> None:
    with pytest.raises(WireError, match=r"^A message of kind .*\.$"):
        job_of(Message("Request", {"number": 1, "prior": "liver"}))


@pytest.mark.parametrize(("name", "kind"), [("InputError", InputError), ("no such error", DalsError)])
def test_a_failure_is_raised_as_what_it_was(name: str, kind: type[DalsError]) -> None:
    error = FitFailed("The liver is inside out.", "Traceback ...", name).exception()
    assert type(error) is kind
    assert str(error) == "The liver is inside out."
    assert "Traceback" in str(error.__cause__)


def test_slicers_side_needs_no_torch() -> None:
    code = (
        "import sys; sys.modules['torch'] = None; "
        "import DALSRefineLib.process.runner, DALSRefineLib.process.fit_progress"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=PACKAGE, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


# --- how a fit tells its progress ---------------------------------------------------------------


def test_remaining_time_counts_local_steps_to_come_as_dearer() -> None:
    remaining = RemainingTime(10)
    assert remaining.after("shared", 1, 30, 100.0) is None
    assert remaining.after("shared", 2, 30, 100.1) == pytest.approx(0.1 * (18 + 4 * 10))
    for step in range(3, 20):
        remaining.after("shared", step, 30, 99.9 + 0.1 * step)
    assert remaining.after("shared", 20, 30, 101.9) == pytest.approx(0.1 * 4 * 10)


def test_remaining_time_adapts_to_what_local_steps_really_take() -> None:
    remaining = RemainingTime(10)
    remaining.after("shared", 19, 30, 100.0)
    remaining.after("shared", 20, 30, 100.1)
    assert remaining.after("local", 21, 30, 105.0) == pytest.approx(0.4 * 9)  # five seconds of setting up do not count
    assert remaining.after("local", 22, 30, 105.8) == pytest.approx(0.8 * 8)
    assert remaining.after("local", 30, 30, 110.0) == 0.0


class FakeFit:
    """Steps of a tenth of a second each; counts how often the device had to be waited for."""

    def __init__(self, total: int = 100) -> None:
        self.now, self.step, self.total, self.stage, self.looks = 0.0, 0, total, "shared", 0

    def loss_mm(self) -> float:
        self.looks += 1
        return 10.0 / self.step

    def mesh(self) -> TriangleMesh:
        return MESH

    def run(self, told: list[FitProgress], *, preview_seconds: float, steps: int = 101) -> StepTeller:
        teller = StepTeller(
            told.append,
            lambda: self.step < steps,
            local_steps=0,
            preview_seconds=preview_seconds,
            clock=lambda: self.now,
        )
        while self.step < self.total:
            self.step, self.now = self.step + 1, self.now + 0.1
            if not teller(self):  # type: ignore[arg-type]
                break
        return teller


def test_previews_and_losses_are_looked_at_as_rarely_as_asked() -> None:
    fit, told = FakeFit(), list[FitProgress]()
    teller = fit.run(told, preview_seconds=0.95)
    previews = [progress for progress in told if progress.mesh is not None]
    assert fit.looks == len(previews) == teller.previews == 10
    assert [progress.step for progress in previews[:3]] == [1, 11, 21]
    assert told[5].loss_mm == 10.0  # of the last look
    assert told[-1].step == 100


def test_without_previews_the_loss_is_still_told() -> None:
    fit, told = FakeFit(), list[FitProgress]()
    fit.run(told, preview_seconds=math.inf)
    assert all(progress.mesh is None for progress in told)
    assert 5 < fit.looks < 15
    assert all(math.isfinite(progress.loss_mm) for progress in told)


def test_fast_steps_do_not_flood_the_pipe() -> None:
    fit, told = FakeFit(20_000), list[FitProgress]()
    clock = iter(np.arange(0, 100, 0.001))  # a millisecond passes whenever somebody looks
    teller = StepTeller(told.append, lambda: True, local_steps=0, preview_seconds=math.inf, clock=lambda: next(clock))
    for step in range(1, 2001):
        fit.step, fit.total = step, 2000
        assert teller(fit)  # type: ignore[arg-type]
    assert 20 < len(told) < 60
    assert told[-1].step == 2000


def test_a_fit_that_nobody_wants_ends() -> None:
    fit, told = FakeFit(), list[FitProgress]()
    fit.run(told, preview_seconds=0.2, steps=30)
    assert fit.step == 30
    assert told[-1].step == 29
