"""Fits in a process of their own: the same result, heard of on the way, stopped at once, and no crash ends it all."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from listening import Listener, previews

from dals.errors import DalsError, InputError, PriorError
from dals.geometry.cross_sections import section_loops
from dals.geometry.label_map import LabelMap
from dals.geometry.mesh import FloatArray, TriangleMesh
from dals.geometry.volume import Volume
from dals.geometry.voxelisation import mesh_to_label_map
from dals.model.pose import Pose
from dals.model.prior import ShapePrior, load_prior
from dals.model.template import icosphere
from dals.observations import Contour, Observation, PlanarContours, PointCloud, Segmentation
from dals.refinement import Refinement, refine
from DALSRefineLib.process.jobs import FitCancelled, FitFailed, FitFinished, FitProgress, FitStarted, Request
from DALSRefineLib.process.messages import job_message
from DALSRefineLib.process.plain_process import PlainProcess
from DALSRefineLib.process.runner import ProcessRunner
from DALSRefineLib.process.wire import pack, unpack

PROCESS = Path(__file__).resolve().parents[2] / "DALSRefine" / "DALSRefineLib" / "process"
PATIENCE = 60.0
QUICK = {"shared_steps": 30, "local_steps": 10, "shared_level": 2, "level": 2, "points": 300, "points_per_plane": 150}
ENDLESS = {**QUICK, "shared_steps": 10_000_000}


@pytest.fixture(scope="module")
def runner() -> Iterator[ProcessRunner]:
    runner = ProcessRunner(PlainProcess, python=sys.executable)
    yield runner
    runner.close()


@pytest.fixture
def listener(runner: ProcessRunner) -> Iterator[Listener]:
    listener = Listener(runner)
    yield listener
    listener.runner.cancel()


@pytest.fixture
def new_listener() -> Iterator[Callable[..., Listener]]:
    """Makes listeners to runners of their own, which are closed in the end."""
    with contextlib.ExitStack() as stack:

        def make(python: str = sys.executable, search_path: tuple[str, ...] = ()) -> Listener:
            made = ProcessRunner(PlainProcess, python=python, search_path=[*search_path, *sys.path])
            stack.callback(made.close)
            return Listener(made)

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
    return {
        "points": PointCloud(truth.vertices),
        "contours": contours,
        "segmentation": segmentation_of(truth),
        "probabilities": with_probabilities(segmentation_of(truth)),
        "left and right": mirrored_twice(segmentation_of(truth), None),
        "left": mirrored_twice(segmentation_of(truth), "left"),
    }


def segmentation_of(mesh: TriangleMesh) -> Segmentation:
    matrix = np.diag([6.0, 6.0, 8.0, 1.0])
    matrix[:3, 3] = mesh.vertices.min(axis=0) - 15
    size = np.ceil((np.ptp(mesh.vertices, axis=0) + 30) / np.diag(matrix)[:3]).astype(int)
    return Segmentation(mesh_to_label_map(mesh, LabelMap(np.zeros(size[::-1], dtype=bool), matrix, "grid")))


def with_probabilities(segmentation: Segmentation) -> Segmentation:
    """A network that is sure of the lower half alone, which the fit then follows more closely."""
    label_map = segmentation.label_map
    sure = np.where(label_map.array, 0.95, 0.05).astype(np.float32)
    sure[len(sure) // 2 :] = np.where(label_map.array[len(sure) // 2 :], 0.6, 0.4)
    return Segmentation(label_map, sure)


def mirrored_twice(segmentation: Segmentation, component: Literal["left"] | None) -> Segmentation:
    """The organ once more, on the other side of the body."""
    label_map = segmentation.label_map
    both = np.concatenate([label_map.array, label_map.array[:, :, ::-1]], axis=2)
    return Segmentation(LabelMap(both, label_map.ijk_to_ras, "both"), component=component)


@pytest.fixture(scope="module")
def quick(ellipsoid_prior_file: Path, observations: dict[str, Observation]) -> Request:
    return Request(observation=observations["points"], prior=ellipsoid_prior_file, changes=QUICK, device="cpu")


@pytest.fixture(scope="module")
def endless(quick: Request) -> Request:
    return replace(quick, changes=ENDLESS, preview_seconds=0.0)


def here(request: Request) -> Refinement:
    """The same in this process."""
    settings = request.observation.defaults.changed(**request.changes)
    return refine(request.observation, request.prior, settings=settings, start=request.start, device="cpu")


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


@pytest.mark.parametrize("task", ["points", "contours", "segmentation", "probabilities", "left and right", "left"])
def test_a_fit_gives_what_it_gives_in_this_process(
    task: str, listener: Listener, quick: Request, observations: dict[str, Observation]
) -> None:
    request = replace(quick, observation=observations[task], changes={**QUICK, "seed": 4})
    expected = here(request)
    finished, _ = listener.finish(request)
    assert_close(finished.mesh.vertices, expected.mesh.vertices)
    np.testing.assert_array_equal(finished.mesh.faces, expected.mesh.faces)
    assert finished.warnings == expected.warnings
    assert bool(finished.warnings) == (task == "left and right")
    assert comparable(finished.report) == comparable(expected.report)
    assert finished.report["settings"]["seed"] == 4
    assert finished.report["previews"]["count"] > 0
    assert set(finished.report["timings_s"]) == {"prior", "fit", "remesh", "report"}
    assert finished.state.pose.scale == pytest.approx(expected.state.pose.scale, rel=1e-5)
    assert not listener.runner.running


def comparable(value: Any) -> Any:
    """A report without the times and with numbers to four digits."""
    if isinstance(value, dict):
        left_out = ("seconds", "timings_s", "previews", "places")
        return {name: comparable(each) for name, each in value.items() if name not in left_out}
    if isinstance(value, list | tuple):
        return [comparable(each) for each in value]
    return float(f"{value:.4g}") if isinstance(value, float) else value


def test_an_image_reaches_each_fit_and_a_new_process(
    new_listener: Callable[..., Listener], quick: Request, observations: dict[str, Observation]
) -> None:
    image = Volume(np.zeros((30, 30, 30), dtype=np.int16), np.diag([10.0, 10.0, 10.0, 1.0]), "CT")
    image.ijk_to_ras[:3, 3] = np.array([30.0, -20.0, 45.0]) - 150.0
    request = replace(quick, observation=observations["contours"], changes={"level": 2, "shared_level": 2}, image=image)
    listener = new_listener()
    for _ in range(2):
        finished, _events = listener.finish(request)
        assert finished.report["image"]["reason"] == "The image shows nothing there."
    assert listener.runner.process_id is not None
    os.kill(listener.runner.process_id, signal.SIGTERM)
    finished, _events = listener.finish(request)
    assert finished.report["image"]["name"] == "CT"


def test_infinite_settings_reach_the_fit(listener: Listener, quick: Request) -> None:
    finished, _ = listener.finish(replace(quick, changes={**QUICK, "lambda_dir": float("inf")}))
    assert finished.report["settings"]["lambda_dir"] == "inf"
    assert finished.state.local is None


def test_a_fit_goes_on_from_where_another_ended(listener: Listener, quick: Request) -> None:
    first, _ = listener.finish(quick)
    again = replace(quick, start=first.state)
    second, _ = listener.finish(again)
    assert second.report["iterations"] < first.report["iterations"]
    assert_close(second.mesh.vertices, here(again).mesh.vertices)


def test_a_start_from_another_prior_is_refused(listener: Listener, quick: Request) -> None:
    first, _ = listener.finish(quick)
    with pytest.raises(InputError, match="another prior"):
        listener.finish(replace(quick, start=replace(first.state, shared=np.zeros(9, dtype=np.float32))))


def test_a_strange_size_is_warned_of(listener: Listener, quick: Request, truth: TriangleMesh) -> None:
    finished, _ = listener.finish(quick)
    assert finished.warnings == ()
    finished, _ = listener.finish(replace(quick, observation=PointCloud(truth.vertices / 1000)))
    assert len(finished.warnings) == 1
    assert "metres instead of millimetres" in finished.warnings[0]


def test_a_prior_that_has_changed_is_loaded_again(listener: Listener, quick: Request, tmp_path: Path) -> None:
    path = tmp_path / "changing.safetensors"
    path.write_bytes(quick.prior.read_bytes())
    listener.finish(replace(quick, prior=path))
    path.write_bytes(b"something else")
    with pytest.raises(PriorError, match="cannot be read"):
        listener.finish(replace(quick, prior=path))


# --- on the way ---------------------------------------------------------------------------------


def test_progress_and_previews_arrive_in_order(listener: Listener, quick: Request) -> None:
    finished, events = listener.finish(replace(quick, preview_seconds=0.0))
    assert isinstance(events[0], FitStarted)
    assert events[0].device == "cpu"
    assert events[-1] is finished
    steps = [event for event in events if isinstance(event, FitProgress)]
    assert [event.step for event in steps] == list(range(1, 41))
    assert {event.total for event in steps} == {40}
    assert [event.stage for event in steps] == ["shared"] * 30 + ["local"] * 10
    shown = [
        event.mesh for event in previews(events) if event.mesh is not None
    ]  # of those that come together: the last
    assert {mesh.vertices.shape for mesh in shown} == {(162, 3)}
    assert len(shown) > 1
    assert steps[-1].loss_mm < steps[0].loss_mm
    assert steps[-1].remaining_s == 0.0
    assert steps[-1].mesh is not None
    assert_close(steps[-1].mesh.vertices, finished.mesh.vertices[:162], 10.0)  # the result is finer
    assert finished.report["previews"]["count"] == 40


def test_nothing_is_previewed_unless_asked_for(listener: Listener, quick: Request) -> None:
    finished, events = listener.finish(replace(quick, preview_seconds=float("inf")))
    assert any(isinstance(event, FitProgress) for event in events)
    assert all(event.mesh is None for event in events if isinstance(event, FitProgress))
    assert finished.report["previews"]["count"] == 0


# --- cancelling and replacing -------------------------------------------------------------------


def test_a_cancelled_fit_is_heard_of_once_and_the_next_one_works(
    listener: Listener, quick: Request, endless: Request
) -> None:
    listener.runner.start(endless)
    listener.until(FitProgress)
    process = listener.runner.process_id
    listener.runner.cancel()
    assert not listener.runner.running
    assert listener.events == [FitCancelled()], "at once"
    assert listener.silence() == [FitCancelled()]
    finished, events = listener.finish(quick)
    assert_close(finished.mesh.vertices, here(quick).mesh.vertices)
    assert not any(isinstance(event, FitProgress) and event.total > 40 for event in events)
    assert listener.runner.process_id == process


def test_cancelling_while_nothing_runs_does_nothing(listener: Listener, quick: Request) -> None:
    listener.finish(quick)
    listener.runner.cancel()
    assert listener.silence() == []


def test_cancelling_stops_the_fit_within_half_a_second(listener: Listener, quick: Request, endless: Request) -> None:
    listener.finish(quick)
    listener.runner.start(endless)
    listener.until(FitProgress)
    began = time.monotonic()
    listener.runner.cancel()
    assert listener.events == [FitCancelled()]
    listener.runner.start(quick)
    listener.until(FitStarted)  # the process is free again
    assert time.monotonic() - began < 0.5
    listener.until(FitFinished)


def test_a_job_replaces_the_one_that_runs(listener: Listener, quick: Request, endless: Request) -> None:
    listener.runner.start(endless)
    listener.until(FitProgress)
    process = listener.runner.process_id
    finished, events = listener.finish(quick)
    assert finished.report["settings"]["shared_steps"] == QUICK["shared_steps"]
    assert not any(isinstance(event, FitCancelled) for event in events)
    assert not any(isinstance(event, FitProgress) and event.total > 40 for event in events)
    assert listener.runner.process_id == process


def test_of_jobs_that_come_at_once_the_last_one_counts(listener: Listener, quick: Request, endless: Request) -> None:
    for _ in range(3):
        listener.runner.start(endless)
        listener.runner.cancel()
        listener.runner.start(endless)
    listener.events.clear()
    finished, events = listener.finish(quick)
    assert sum(isinstance(event, (FitStarted, FitCancelled)) for event in events) == 1
    assert finished.report["settings"]["shared_steps"] == QUICK["shared_steps"]


# --- what can go wrong --------------------------------------------------------------------------


def test_a_prior_that_is_not_there_gives_the_sentence_of_dals(
    listener: Listener, quick: Request, tmp_path: Path
) -> None:
    path = tmp_path / "missing.safetensors"
    with pytest.raises(PriorError) as expected:
        load_prior(path)
    with pytest.raises(PriorError) as error:
        listener.finish(replace(quick, prior=path))
    assert str(error.value) == str(expected.value)


def test_a_former_name_of_a_setting_is_refused_with_the_present_one(listener: Listener, quick: Request) -> None:
    with pytest.raises(InputError, match="'reach'; it is now called robust_scale"):
        listener.finish(replace(quick, changes={"reach": 0.1}))


def test_an_error_that_nobody_foresaw_is_one_sentence_with_a_traceback_for_the_log(
    listener: Listener, quick: Request
) -> None:
    listener.runner.start(replace(quick, changes={"level": "fine"}))
    failed = listener.until(FitFailed)
    assert failed.sentence == "The fit failed unexpectedly; the log tells the details."
    assert "Traceback" in failed.details
    assert "TypeError" in failed.details
    listener.finish(quick)


def test_a_process_that_is_killed_fails_the_fit_and_the_next_one_works(
    listener: Listener, quick: Request, endless: Request
) -> None:
    listener.runner.start(endless)
    listener.until(FitProgress)
    killed = listener.runner.process_id
    assert killed is not None
    os.kill(killed, getattr(signal, "SIGKILL", signal.SIGTERM))
    failed = listener.until(FitFailed)
    assert "ended unexpectedly" in failed.sentence
    assert "exit status" in failed.details
    assert not listener.runner.running
    assert listener.silence() == []
    listener.finish(quick)
    assert listener.runner.process_id != killed


@pytest.mark.parametrize("noticed", [True, False])
def test_a_process_that_dies_while_idle_is_replaced_without_a_word(
    noticed: bool, listener: Listener, quick: Request
) -> None:
    listener.finish(quick)
    killed = listener.runner.process_id
    assert killed is not None
    os.kill(killed, getattr(signal, "SIGKILL", signal.SIGTERM))
    if noticed:
        assert listener.silence() == []
        assert listener.runner.process_id is None
    _, events = listener.finish(quick)
    assert not any(isinstance(event, FitFailed) for event in events)
    assert listener.runner.process_id != killed


def test_an_interpreter_that_is_not_there_fails_with_a_sentence(
    new_listener: Callable[..., Listener], quick: Request, tmp_path: Path
) -> None:
    listener = new_listener(str(tmp_path / "no-python"))
    with pytest.raises(DalsError, match="could not be started"):
        listener.finish(quick)


@pytest.mark.skipif(sys.platform == "win32", reason="the impostor is a shell script")
def test_a_process_that_says_nonsense_fails_with_a_sentence(
    new_listener: Callable[..., Listener], quick: Request, tmp_path: Path
) -> None:
    fake = tmp_path / "python"
    fake.write_text("#!/bin/sh\necho 'Loading weights from the cache, please wait'; cat > /dev/null\n")
    fake.chmod(0o755)
    listener = new_listener(str(fake))
    with pytest.raises(DalsError, match="unreadable"):
        listener.finish(quick)


@pytest.mark.skipif(sys.platform == "win32", reason="the impostor is a shell script")
def test_a_process_that_ends_at_once_fails_with_a_sentence_and_its_last_words(
    new_listener: Callable[..., Listener], quick: Request, tmp_path: Path
) -> None:
    fake = tmp_path / "python"
    fake.write_text("#!/bin/sh\nhead -c 20000 /dev/zero | tr '\\0' x >&2; echo last words >&2; exit 3\n")
    fake.chmod(0o755)
    listener = new_listener(str(fake))
    listener.runner.start(quick)
    failed = listener.until(FitFailed)
    assert failed.sentence == "The fitting process ends as soon as it is started; the log tells the details."
    assert failed.details.startswith("exit status 3\n")
    assert failed.details.endswith("last words")
    assert len(failed.details) < 8100


def test_a_folder_that_cannot_be_written_fails_with_a_sentence(
    new_listener: Callable[..., Listener], quick: Request, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    listener = new_listener()
    listener.runner.warm_up()
    (folder,) = tmp_path.glob("dals-*")
    if os.name == "posix":
        assert folder.stat().st_mode & 0o077 == 0, "what is in it is nobody else's business"
    folder.rmdir()
    with pytest.raises(DalsError, match="cannot be written"):
        listener.finish(quick)
    folder.mkdir()
    listener.finish(quick)
    assert list(folder.iterdir()) == [], "whoever has read a file removes it"


def test_what_libraries_print_and_read_does_not_disturb(
    new_listener: Callable[..., Listener], quick: Request, tmp_path: Path
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
    listener = new_listener(search_path=(str(tmp_path),))
    finished, _ = listener.finish(replace(quick, remesh=True))
    assert finished.report["remeshed"] is True
    assert_close(finished.mesh.vertices, here(quick).mesh.vertices + 1.0)


def test_without_torch_the_sentence_names_the_remedy_and_the_process_lives(
    new_listener: Callable[..., Listener], quick: Request, tmp_path: Path
) -> None:
    absent = tmp_path / "torch.py"
    absent.write_text("raise ModuleNotFoundError(\"No module named 'torch'\", name='torch')\n")
    listener = new_listener(search_path=(str(tmp_path),))
    with pytest.raises(DalsError, match=r"PyTorch is missing.*Install button"):
        listener.finish(quick)
    process = listener.runner.process_id
    absent.unlink()  # it is installed now
    listener.finish(quick)
    assert listener.runner.process_id == process


# --- the end ------------------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no way to look for a process without ending it")
def test_closing_ends_the_process_during_a_fit(
    new_listener: Callable[..., Listener], endless: Request, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # where no other process makes folders
    listener = new_listener()
    listener.runner.start(endless)
    listener.until(FitProgress)
    process = listener.runner.process_id
    assert process is not None
    assert len(list(tmp_path.glob("dals-*"))) == 1
    listener.runner.close()
    assert has_gone(process)
    assert list(tmp_path.glob("dals-*")) == [], "its folder has gone"
    assert not listener.runner.running
    assert listener.silence() == []
    with pytest.raises(RuntimeError, match="closed"):
        listener.runner.start(endless)


@pytest.mark.parametrize("fitting", [False, True])
def test_the_end_of_its_input_ends_the_process(fitting: bool, endless: Request, tmp_path: Path) -> None:
    folder = tmp_path / "messages"
    folder.mkdir()
    command = [sys.executable, "-u", str(PROCESS / "worker.py"), str(folder), *filter(None, sys.path)]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert child.stdin is not None
    assert child.stdout is not None
    if fitting:
        child.stdin.write(pack(job_message(endless, 1), folder))
        child.stdin.flush()
        for kind in ("FitStarted", "FitProgress", "FitProgress"):
            assert unpack(child.stdout.readline(), folder).kind == kind
    child.stdin.close()
    # Nobody reads the previews any more: the process must not wait for that either.
    assert child.wait(10.0 if fitting else PATIENCE) == 0
    assert not folder.exists(), "Slicer has crashed and cannot remove it"
    child.stdout.close()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows sends no interrupt to a process without a console")
def test_an_interrupt_is_left_to_slicer(listener: Listener, quick: Request, endless: Request) -> None:
    listener.runner.start(endless)
    listener.until(FitProgress)
    process = listener.runner.process_id
    assert process is not None
    os.kill(process, signal.SIGINT)
    listener.finish(quick)
    assert listener.runner.process_id == process


def test_the_fit_finds_packages_in_unusual_places_and_not_the_modules_beside_it(tmp_path: Path) -> None:
    (tmp_path / "unusual_package.py").write_text("answer = 42\n")
    code = (
        "import os, runpy, sys; "
        f"worker = runpy.run_path({str(PROCESS / 'worker.py')!r}); "
        f"sys.path.insert(0, {str(PROCESS)!r}); "
        f"worker['_find_modules']([{str(tmp_path)!r}]); "
        "import unusual_package, DALSRefineLib; "
        f"print(unusual_package.answer, {str(PROCESS)!r} in sys.path)"
    )
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "42 False", done.stderr
