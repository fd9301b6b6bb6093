"""Fits in a process that Qt runs, as in Slicer: a real QProcess, with PythonQt's habits on PySide6."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
pytest.importorskip("PySide6.QtWidgets", reason="PySide6 is not installed")

from listening import PATIENCE, Listener, previews
from PySide6.QtWidgets import QApplication

from dals.model.template import icosphere
from dals.observations import PointCloud
from DALSRefineLib.process.jobs import Event, FitCancelled, FitFailed, FitFinished, FitProgress, FitStarted, Request
from DALSRefineLib.process.plain_process import PlainProcess
from DALSRefineLib.process.runner import ProcessRunner

QUICK = {"shared_steps": 30, "local_steps": 10, "shared_level": 2, "level": 2, "points": 300}
ENDLESS = {**QUICK, "shared_steps": 10_000_000}


@pytest.fixture(scope="module")
def make_process() -> Iterator[type]:
    from stand_ins import pythonqt

    _application = QApplication.instance() or QApplication(["stand-in", "-platform", "offscreen"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "qt", pythonqt.make_module())
        patch.delitem(sys.modules, "DALSRefineLib.process.qt_process", raising=False)
        from DALSRefineLib.process.qt_process import QtProcess

        yield QtProcess
        patch.delitem(sys.modules, "DALSRefineLib.process.qt_process")


@pytest.fixture(scope="module")
def runner(make_process: type) -> Iterator[ProcessRunner]:
    runner = ProcessRunner(make_process, python=sys.executable)
    yield runner
    runner.close()


@pytest.fixture
def listener(runner: ProcessRunner) -> Iterator[Listener]:
    listener = Listener(runner)
    yield listener
    runner.cancel()


@pytest.fixture
def new_listener(make_process: type) -> Iterator[Callable[..., Listener]]:
    """Makes listeners to runners of their own, which are closed in the end."""
    with contextlib.ExitStack() as stack:

        def make(python: str = sys.executable) -> Listener:
            made = ProcessRunner(make_process, python=python)
            stack.callback(made.close)
            return Listener(made)

        yield make


@pytest.fixture(scope="module")
def quick(ellipsoid_prior_file: Path) -> Request:
    vertices = np.asarray(icosphere(2).vertices) * [95.0, 70.0, 60.0] + [30.0, -20.0, 45.0]
    return Request(observation=PointCloud(vertices), prior=ellipsoid_prior_file, changes=QUICK, device="cpu")


@pytest.fixture(scope="module")
def endless(quick: Request) -> Request:
    return replace(quick, changes=ENDLESS, preview_seconds=0.0)


def turn(events: list[Event], *kinds: type[Event]) -> Event:
    """Let Qt's event loop turn until there is an event of one of the kinds: nothing is polled."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        while events:
            event = events.pop(0)
            if isinstance(event, kinds):
                return event
        QApplication.processEvents()
        time.sleep(0.005)
    raise TimeoutError(kinds)


def is_there(process_id: int) -> bool:
    """Whether a process runs or is a zombie."""
    try:
        os.kill(process_id, 0)
    except OSError:
        return False
    return True


def kill(process_id: int | None) -> None:
    assert process_id is not None
    os.kill(process_id, getattr(signal, "SIGKILL", signal.SIGTERM))


def test_a_fit_gives_what_it_gives_without_qt(listener: Listener, quick: Request) -> None:
    finished, events = listener.finish(replace(quick, preview_seconds=0.0))
    assert isinstance(events[0], FitStarted)
    assert previews(events)
    other = ProcessRunner(PlainProcess, python=sys.executable)
    try:
        expected, _ = Listener(other).finish(quick)
    finally:
        other.close()
    np.testing.assert_allclose(finished.mesh.vertices, expected.mesh.vertices, rtol=0, atol=0.01)


def test_the_event_loop_alone_brings_the_events(listener: Listener, quick: Request) -> None:
    listener.runner.start(quick)
    turn(listener.events, FitProgress)
    turn(listener.events, FitFinished)
    assert not listener.runner.running


def test_cancelling_stops_the_fit_within_half_a_second(listener: Listener, quick: Request, endless: Request) -> None:
    listener.finish(quick)
    process = listener.runner.process_id
    listener.runner.start(endless)
    listener.until(FitProgress)
    listener.events.clear()
    began = time.monotonic()
    listener.runner.cancel()
    assert listener.events == [FitCancelled()]
    listener.runner.start(quick)
    listener.until(FitStarted)  # the process is free again
    assert time.monotonic() - began < 0.5
    turn(listener.events, FitFinished)
    assert listener.runner.process_id == process


def test_a_listener_that_waits_for_another_fit_gets_it(runner: ProcessRunner, quick: Request, endless: Request) -> None:
    """Such as a message box, which has an event loop of its own, or a script that refines at each event."""
    outer: list[Event] = []
    inner: list[Event] = []

    def hear(event: Event) -> None:
        outer.append(event)
        if isinstance(event, FitProgress):
            runner.on_event = inner.append
            runner.start(quick)
            end = time.monotonic() + PATIENCE
            while runner.running and time.monotonic() < end:
                runner.wait(0.02)
                QApplication.processEvents()

    runner.on_event = hear
    runner.start(endless)
    turn(inner, FitFinished)
    assert sum(isinstance(event, FitProgress) for event in outer) == 1


def test_a_process_that_is_killed_fails_the_fit_and_the_next_one_works(
    listener: Listener, quick: Request, endless: Request
) -> None:
    listener.runner.start(endless)
    turn(listener.events, FitProgress)
    killed = listener.runner.process_id
    kill(killed)
    failed = turn(listener.events, FitFailed)
    assert isinstance(failed, FitFailed)
    assert "ended unexpectedly" in failed.sentence
    assert "exit status" in failed.details
    assert killed is not None
    assert not is_there(killed)
    listener.finish(quick)
    assert listener.runner.process_id != killed


@pytest.mark.parametrize("noticed", [True, False])
def test_a_process_that_dies_while_idle_is_replaced_without_a_word(
    noticed: bool, listener: Listener, quick: Request
) -> None:
    listener.finish(quick)
    killed = listener.runner.process_id
    kill(killed)
    if noticed:
        assert listener.silence() == []
        assert listener.runner.process_id is None
    listener.finish(quick)
    assert listener.runner.process_id != killed


@pytest.mark.parametrize("how", ["the event loop", "waiting"])
def test_an_interpreter_that_is_not_there_fails_with_a_sentence(
    how: str, new_listener: Callable[..., Listener], quick: Request, tmp_path: Path
) -> None:
    listener = new_listener(str(tmp_path / "no-python"))
    listener.runner.start(quick)
    failed = listener.until(FitFailed) if how == "waiting" else turn(listener.events, FitFailed)
    assert isinstance(failed, FitFailed)
    assert "could not be started" in failed.sentence


@pytest.mark.skipif(sys.platform == "win32", reason="the impostors are shell scripts")
@pytest.mark.parametrize(
    ("script", "sentence"),
    [
        ("echo 'Loading weights, please wait'; cat > /dev/null", "unreadable"),
        ("head -c 20000 /dev/zero | tr '\\0' x >&2; echo last words >&2; exit 3", "ends as soon as it is started"),
    ],
)
def test_an_impostor_fails_with_a_sentence_and_its_last_words(
    script: str, sentence: str, new_listener: Callable[..., Listener], quick: Request, tmp_path: Path
) -> None:
    fake = tmp_path / "python"
    fake.write_text(f"#!/bin/sh\n{script}\n")
    fake.chmod(0o755)
    listener = new_listener(str(fake))
    listener.runner.start(quick)
    failed = turn(listener.events, FitFailed)
    assert isinstance(failed, FitFailed)
    assert sentence in failed.sentence
    assert len(failed.details) < 8_100
    if "exit 3" in script:
        assert failed.details.startswith("exit status 3\n")
        assert failed.details.endswith("last words")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no way to look for a process without ending it")
@pytest.mark.parametrize("fitting", [True, False])
def test_closing_ends_the_process_and_leaves_no_zombie(
    fitting: bool, new_listener: Callable[..., Listener], endless: Request
) -> None:
    listener = new_listener()
    listener.runner.start(endless) if fitting else listener.runner.warm_up()
    if fitting:
        listener.until(FitProgress)
    process = listener.runner.process_id
    assert process is not None
    assert is_there(process)
    listener.events.clear()
    began = time.monotonic()
    listener.runner.close()
    assert time.monotonic() - began < 0.7
    assert not is_there(process)
    assert listener.silence() == []
