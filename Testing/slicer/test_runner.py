"""Fits in a process of their own: the same result, heard of on the way, stopped at once, and no crash ends it all."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from dals.errors import DalsError, FitCancelledError, InputError, PriorError
from dals.fitting import FitResult as Result
from dals.fitting import fit
from dals.geometry.cross_sections import section_loops
from dals.geometry.label_map import LabelMap
from dals.geometry.mesh import FloatArray, TriangleMesh
from dals.geometry.voxelisation import mesh_to_label_map
from dals.model.pose import Pose
from dals.model.prior import ShapePrior, load_prior
from dals.model.template import icosphere
from dals.observations import Contour, Observation, PlanarContours, PointCloud, Segmentation
from DALSRefineLib.process.fitting_job import fit_state
from DALSRefineLib.process.jobs import Cancelled, Event, Failed, Finished, Job, Progress, Started
from DALSRefineLib.process.messages import job_message
from DALSRefineLib.process.runner import ProcessRunner, wait
from DALSRefineLib.process.wire import read_message, write_message

PROCESS = Path(__file__).resolve().parents[2] / "DALSRefine" / "DALSRefineLib" / "process"
PATIENCE = 120.0
QUICK = {"shared_steps": 30, "local_steps": 10, "shared_level": 2, "level": 2, "points": 300, "points_per_plane": 150}
ENDLESS = {**QUICK, "shared_steps": 10_000_000}


@pytest.fixture(scope="module")
def runner() -> Iterator[ProcessRunner]:
    runner = ProcessRunner(sys.executable)
    yield runner
    runner.close()


@pytest.fixture
def new_runner() -> Iterator[Callable[..., ProcessRunner]]:
    """Makes runners that are closed in the end."""
    with contextlib.ExitStack() as stack:

        def make(python: str = sys.executable, environment: Mapping[str, str] | None = None) -> ProcessRunner:
            made = ProcessRunner(python, environment)
            stack.callback(made.close)
            return made

        yield make


@pytest.fixture(scope="module")
def truth(ellipsoid_prior: ShapePrior) -> TriangleMesh:
    template = icosphere(3)
    latent = torch.tensor([[1.0, -0.8, 0.6]])
    vertices = ellipsoid_prior.decoder(latent, ellipsoid_prior.sphere(template)).double().numpy()
    return TriangleMesh(Pose(90.0, np.array([30.0, -20.0, 45.0])).to_patient(vertices), template.faces)


@pytest.fixture(scope="module")
def observations(truth: TriangleMesh) -> dict[str, Observation]:
    middle = truth.vertices.mean(axis=0)
    loops = [section_loops(truth, middle + 4.0 * axis, axis)[0] for axis in np.eye(3)]
    contours = PlanarContours(tuple(Contour(loop, None, f"plane {k}") for k, loop in enumerate(loops)))
    return {"points": PointCloud(truth.vertices), "contours": contours, "segmentation": segmentation_of(truth)}


def segmentation_of(mesh: TriangleMesh) -> Segmentation:
    matrix = np.diag([6.0, 6.0, 8.0, 1.0])
    matrix[:3, 3] = mesh.vertices.min(axis=0) - 15
    size = np.ceil((np.ptp(mesh.vertices, axis=0) + 30) / np.diag(matrix)[:3]).astype(int)
    return Segmentation(mesh_to_label_map(mesh, LabelMap(np.zeros(size[::-1], dtype=bool), matrix, "grid")))


@pytest.fixture(scope="module")
def job(ellipsoid_prior_file: Path, observations: dict[str, Observation]) -> Job:
    return Job(ellipsoid_prior_file, observations["points"], QUICK, "cpu")


@pytest.fixture(scope="module")
def endless(job: Job) -> Job:
    return replace(job, changes=ENDLESS, preview_seconds=0.0)


def finish(runner: ProcessRunner, job: Job) -> tuple[Finished, list[Event]]:
    events: list[Event] = []
    runner.start(job)
    return wait(runner, on_event=events.append, timeout=PATIENCE), events


def until(runner: ProcessRunner, kind: type[Event]) -> Event:
    """Poll until there is an event of a kind."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        for event in runner.poll():
            if isinstance(event, kind):
                return event
        time.sleep(0.01)
    raise TimeoutError(kind.__name__)


def here(job: Job) -> Result:
    """The same fit in this process."""
    prior = load_prior(job.prior)
    settings = job.observation.defaults.changed(**job.changes)
    start = None if job.start is None else fit_state(job.start, prior)
    return fit(prior, job.observation, settings=settings, start=start)


def assert_close(a: FloatArray, b: FloatArray, millimetres: float = 0.01) -> None:
    np.testing.assert_allclose(a, b, rtol=0, atol=millimetres)


def has_gone(process_id: int) -> bool:
    """Whether a process ends within a few seconds."""
    for _ in range(500):
        try:
            os.kill(process_id, 0)
        except OSError:
            return True
        time.sleep(0.01)
    return False


# --- results ------------------------------------------------------------------------------------


@pytest.mark.parametrize("task", ["points", "contours", "segmentation"])
def test_a_fit_gives_what_it_gives_in_this_process(
    task: str, runner: ProcessRunner, job: Job, observations: dict[str, Observation]
) -> None:
    job = replace(job, observation=observations[task], changes={**QUICK, "seed": 4})
    expected = here(job)
    finished, _ = finish(runner, job)
    assert_close(finished.mesh.vertices, expected.mesh.vertices)
    np.testing.assert_array_equal(finished.mesh.faces, expected.mesh.faces)
    assert finished.report["task"] == task
    assert finished.report["settings"]["seed"] == 4
    assert finished.report["iterations"] == expected.steps
    assert finished.report["volume_ml"] == pytest.approx(expected.mesh.volume / 1e3, rel=1e-4)
    assert finished.state.scale == pytest.approx(expected.state.pose.scale, rel=1e-5)
    assert not runner.running


def test_infinite_settings_reach_the_fit(runner: ProcessRunner, job: Job) -> None:
    finished, _ = finish(runner, replace(job, changes={**QUICK, "lambda_dir": float("inf")}))
    assert finished.report["settings"]["lambda_dir"] == "inf"
    assert finished.state.local is None


def test_a_fit_goes_on_from_where_another_ended(runner: ProcessRunner, job: Job) -> None:
    first, _ = finish(runner, job)
    again = replace(job, start=first.state)
    second, _ = finish(runner, again)
    assert second.report["iterations"] < first.report["iterations"]
    assert_close(second.mesh.vertices, here(again).mesh.vertices)


def test_a_start_from_another_prior_is_refused(runner: ProcessRunner, job: Job) -> None:
    first, _ = finish(runner, job)
    runner.start(replace(job, start=replace(first.state, shared=np.zeros(9, dtype=np.float32))))
    with pytest.raises(InputError, match="another prior"):
        wait(runner, timeout=PATIENCE)


def test_a_strange_size_is_warned_of(runner: ProcessRunner, job: Job, truth: TriangleMesh) -> None:
    finished, _ = finish(runner, job)
    assert finished.warnings == ()
    finished, _ = finish(runner, replace(job, observation=PointCloud(truth.vertices / 1000)))
    assert len(finished.warnings) == 1
    assert "metres instead of millimetres" in finished.warnings[0]


def test_a_prior_that_has_changed_is_loaded_again(runner: ProcessRunner, job: Job, tmp_path: Path) -> None:
    path = tmp_path / "changing.safetensors"
    path.write_bytes(job.prior.read_bytes())
    finish(runner, replace(job, prior=path))
    path.write_bytes(b"something else")
    runner.start(replace(job, prior=path))
    with pytest.raises(PriorError, match="cannot be read"):
        wait(runner, timeout=PATIENCE)


# --- on the way ---------------------------------------------------------------------------------


def test_progress_and_previews_arrive_in_order(runner: ProcessRunner, job: Job) -> None:
    finished, events = finish(runner, replace(job, preview_seconds=0.0))
    assert isinstance(events[0], Started)
    assert events[0].device == "cpu"
    assert events[-1] is finished
    steps = [event for event in events if isinstance(event, Progress)]
    assert [event.step for event in steps] == list(range(1, 41))
    assert {event.total for event in steps} == {40}
    assert [event.stage for event in steps] == ["shared"] * 30 + ["local"] * 10
    assert all(event.mesh is not None and event.mesh.vertices.shape == (162, 3) for event in steps)
    assert steps[-1].loss_mm < steps[0].loss_mm
    assert steps[-1].remaining_s == 0.0
    assert steps[-1].mesh is not None
    assert_close(steps[-1].mesh.vertices, finished.mesh.vertices, 10.0)
    assert finished.report["previews"]["count"] == 40


def test_nothing_is_previewed_unless_asked_for(runner: ProcessRunner, job: Job) -> None:
    finished, events = finish(runner, replace(job, preview_seconds=float("inf")))
    assert any(isinstance(event, Progress) for event in events)
    assert all(event.mesh is None for event in events if isinstance(event, Progress))
    assert finished.report["previews"]["count"] == 0


# --- cancelling and replacing -------------------------------------------------------------------


def test_a_cancelled_fit_is_heard_of_once_and_the_next_one_works(runner: ProcessRunner, job: Job, endless: Job) -> None:
    runner.start(endless)
    until(runner, Progress)
    process = runner.process_id
    runner.cancel()
    assert not runner.running
    assert runner.poll() == [Cancelled()]
    time.sleep(0.2)
    assert runner.poll() == []
    finished, events = finish(runner, job)
    assert_close(finished.mesh.vertices, here(job).mesh.vertices)
    assert not any(isinstance(event, Progress) and event.total > 40 for event in events)
    assert runner.process_id == process


def test_cancelling_while_nothing_runs_does_nothing(runner: ProcessRunner, job: Job) -> None:
    finish(runner, job)
    runner.cancel()
    assert runner.poll() == []
    with pytest.raises(DalsError, match="no fit to wait for"):
        wait(runner, timeout=PATIENCE)


def test_waiting_for_a_fit_that_is_cancelled_says_so(runner: ProcessRunner, endless: Job) -> None:
    def cancel_at_first_progress(event: Event) -> None:
        if isinstance(event, Progress):
            runner.cancel()

    runner.start(endless)
    with pytest.raises(FitCancelledError, match="nothing was changed"):
        wait(runner, on_event=cancel_at_first_progress, timeout=PATIENCE)


def test_waiting_too_long_cancels(runner: ProcessRunner, endless: Job) -> None:
    runner.start(endless)
    with pytest.raises(TimeoutError):
        wait(runner, timeout=0.0)
    assert not runner.running


def test_a_job_replaces_the_one_that_runs(runner: ProcessRunner, job: Job, endless: Job) -> None:
    runner.start(endless)
    until(runner, Progress)
    process = runner.process_id
    finished, events = finish(runner, job)
    assert finished.report["settings"]["shared_steps"] == QUICK["shared_steps"]
    assert not any(isinstance(event, Cancelled) for event in events)
    assert not any(isinstance(event, Progress) and event.total > 40 for event in events)
    assert runner.process_id == process


def test_of_jobs_that_come_at_once_the_last_one_counts(runner: ProcessRunner, job: Job, endless: Job) -> None:
    for _ in range(3):
        runner.start(endless)
        runner.cancel()
        runner.start(endless)
    finished, events = finish(runner, job)
    assert sum(isinstance(event, (Started, Cancelled)) for event in events) == 1
    assert finished.report["settings"]["shared_steps"] == QUICK["shared_steps"]


# --- what can go wrong --------------------------------------------------------------------------


def test_a_prior_that_is_not_there_gives_the_sentence_of_dals(runner: ProcessRunner, job: Job, tmp_path: Path) -> None:
    path = tmp_path / "missing.safetensors"
    with pytest.raises(PriorError) as expected:
        load_prior(path)
    runner.start(replace(job, prior=path))
    with pytest.raises(PriorError) as error:
        wait(runner, timeout=PATIENCE)
    assert str(error.value) == str(expected.value)


def test_input_that_contradicts_itself_gives_the_sentence_of_dals(
    runner: ProcessRunner, job: Job, observations: dict[str, Observation]
) -> None:
    contours = observations["contours"]
    assert isinstance(contours, PlanarContours)
    first, *others = contours.contours
    middle = first.points.mean(axis=0)
    bad = (Contour(middle + 3.0 * (first.points - middle), None, first.name), *others)
    with pytest.raises(InputError) as expected:
        PlanarContours(bad)
    unchecked = object.__new__(PlanarContours)
    object.__setattr__(unchecked, "contours", bad)
    runner.start(replace(job, observation=unchecked))
    with pytest.raises(InputError) as error:
        wait(runner, timeout=PATIENCE)
    assert str(error.value) == str(expected.value)


def test_an_error_that_nobody_foresaw_is_one_sentence_with_a_traceback_for_the_log(
    runner: ProcessRunner, job: Job
) -> None:
    runner.start(replace(job, changes={"no_such_setting": 1}))
    failed = until(runner, Failed)
    assert isinstance(failed, Failed)
    assert failed.sentence == "The fit failed unexpectedly; the log tells the details."
    assert "no_such_setting" in failed.details
    assert "Traceback" in failed.details
    finish(runner, job)


def test_a_process_that_is_killed_fails_the_fit_and_the_next_one_works(
    runner: ProcessRunner, job: Job, endless: Job
) -> None:
    runner.start(endless)
    until(runner, Progress)
    killed = runner.process_id
    assert killed is not None
    os.kill(killed, getattr(signal, "SIGKILL", signal.SIGTERM))
    failed = until(runner, Failed)
    assert isinstance(failed, Failed)
    assert "ended unexpectedly" in failed.sentence
    assert "exit status" in failed.details
    assert not runner.running
    assert runner.poll() == []
    finish(runner, job)
    assert runner.process_id != killed


def test_a_process_that_dies_while_idle_is_replaced_without_a_word(runner: ProcessRunner, job: Job) -> None:
    finish(runner, job)
    killed = runner.process_id
    assert killed is not None
    os.kill(killed, getattr(signal, "SIGKILL", signal.SIGTERM))
    end = time.monotonic() + PATIENCE
    while runner.process_id is not None and time.monotonic() < end:
        assert runner.poll() == []
        time.sleep(0.01)
    _, events = finish(runner, job)
    assert not any(isinstance(event, Failed) for event in events)
    assert runner.process_id != killed


def test_an_interpreter_that_is_not_there_fails_with_a_sentence(
    new_runner: Callable[..., ProcessRunner], job: Job, tmp_path: Path
) -> None:
    runner = new_runner(str(tmp_path / "no-python"))
    runner.start(job)
    with pytest.raises(DalsError, match="could not be started"):
        wait(runner, timeout=PATIENCE)


@pytest.mark.skipif(sys.platform == "win32", reason="the impostor is a shell script")
def test_a_process_that_says_nonsense_fails_with_a_sentence(
    new_runner: Callable[..., ProcessRunner], job: Job, tmp_path: Path
) -> None:
    fake = tmp_path / "python"
    fake.write_text("#!/bin/sh\necho 'Loading weights from the cache, please wait'; cat > /dev/null\n")
    fake.chmod(0o755)
    runner = new_runner(str(fake))
    runner.start(job)
    with pytest.raises(DalsError, match="unreadable"):
        wait(runner, timeout=PATIENCE)


def test_what_libraries_print_and_read_does_not_disturb(
    new_runner: Callable[..., ProcessRunner], job: Job, tmp_path: Path
) -> None:
    library = tmp_path / "gpytoolbox.py"
    library.write_text(
        "import os, sys\n"
        "print('a banner')\n"
        "def remesh_botsch(vertices, faces, *_):\n"
        "    print('progress 50%')\n"
        "    os.write(1, b'from C\\n')\n"
        "    assert sys.stdin.read() == '' and os.read(0, 10) == b''\n"
        "    return vertices + 1.0, faces\n"
    )
    runner = new_runner(environment={**os.environ, "PYTHONPATH": str(tmp_path)})
    finished, _ = finish(runner, replace(job, remesh=True))
    assert finished.report["remeshed"] is True
    assert_close(finished.mesh.vertices, here(job).mesh.vertices + 1.0)


def test_without_torch_the_sentence_names_the_remedy_and_the_process_lives(
    new_runner: Callable[..., ProcessRunner], job: Job, tmp_path: Path
) -> None:
    absent = tmp_path / "torch.py"
    absent.write_text("raise ModuleNotFoundError(\"No module named 'torch'\", name='torch')\n")
    runner = new_runner(environment={**os.environ, "PYTHONPATH": str(tmp_path)})
    runner.start(job)
    with pytest.raises(DalsError, match=r"PyTorch is missing.*Install button"):
        wait(runner, timeout=PATIENCE)
    process = runner.process_id
    absent.unlink()  # it is installed now
    finish(runner, job)
    assert runner.process_id == process


# --- the end ------------------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no way to look for a process without ending it")
def test_closing_ends_the_process_during_a_fit(new_runner: Callable[..., ProcessRunner], endless: Job) -> None:
    runner = new_runner()
    runner.start(endless)
    until(runner, Progress)
    process = runner.process_id
    assert process is not None
    runner.close()
    assert has_gone(process)
    assert not runner.running
    assert runner.poll() == []
    with pytest.raises(RuntimeError, match="closed"):
        runner.start(endless)


@pytest.mark.parametrize("fitting", [False, True])
def test_the_end_of_its_input_ends_the_process(fitting: bool, endless: Job) -> None:
    command = [sys.executable, "-u", str(PROCESS / "worker.py")]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert child.stdin is not None
    assert child.stdout is not None
    if fitting:
        message = job_message(endless, 1)
        write_message(child.stdin, message.kind, message.fields, message.arrays)
        for kind in ("started", "progress", "progress"):
            answer = read_message(child.stdout)
            assert answer is not None
            assert answer.kind == kind
    child.stdin.close()
    # Nobody reads the previews any more: the process must not wait for that either.
    assert child.wait(10.0 if fitting else PATIENCE) == 0
    child.stdout.close()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows sends no interrupt to a process without a console")
def test_an_interrupt_is_left_to_slicer(runner: ProcessRunner, job: Job, endless: Job) -> None:
    runner.start(endless)
    until(runner, Progress)
    process = runner.process_id
    assert process is not None
    os.kill(process, signal.SIGINT)
    finish(runner, job)
    assert runner.process_id == process
