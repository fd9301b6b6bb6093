"""The progress display of the command line."""

from __future__ import annotations

import io

import pytest

from dals.cli.progress import ProgressBar

SHOW_CURSOR = "\x1b[?25h"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_log_gets_one_line_per_tenth() -> None:
    log = io.StringIO()
    with ProgressBar("Refining", stream=log) as progress:
        for step in range(251):
            progress.update(step, 250, f"step {step}")
    lines = log.getvalue().splitlines()
    assert len(lines) == 11
    assert lines[0].startswith("Refining:   0% after 0 s")
    assert lines[-1].startswith("Refining: 100%")
    assert lines[-1].endswith("step 250")
    assert all("\x1b" not in line for line in lines)


def test_a_log_skips_the_tenths_that_were_jumped_over() -> None:
    log = io.StringIO()
    with ProgressBar("Training", stream=log) as progress:
        progress.update(1, 2)
        progress.update(1, 2)
        progress.update(2, 2)
    assert [line.split()[1] for line in log.getvalue().splitlines()] == ["50%", "100%"]


def test_a_terminal_gets_a_bar_that_ends_full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    terminal = Terminal()
    with ProgressBar("Refining", stream=terminal) as progress:
        for step in range(11):
            progress.update(step, 10, "loss [1/2]")
    assert "100%" in terminal.getvalue()
    assert "loss [1/2]" in terminal.getvalue()
    assert terminal.getvalue().removesuffix(SHOW_CURSOR).endswith("\n")


def test_a_bar_that_was_never_fed_leaves_no_trace() -> None:
    terminal = Terminal()
    with ProgressBar("Refining", stream=terminal):
        pass
    assert terminal.getvalue() == ""


def test_a_bar_lets_go_of_the_terminal_when_the_work_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    terminal = Terminal()
    with pytest.raises(KeyboardInterrupt):
        _work_until_interrupted(terminal)
    assert terminal.getvalue().endswith(SHOW_CURSOR), "the cursor stays hidden"


def _work_until_interrupted(terminal: Terminal) -> None:
    with ProgressBar("Refining", stream=terminal) as progress:
        progress.update(1, 10)
        raise KeyboardInterrupt


@pytest.mark.parametrize("stream", [io.StringIO(), Terminal()])
def test_quiet_is_quiet(stream: io.StringIO) -> None:
    with ProgressBar("Refining", stream=stream, quiet=True) as progress:
        progress.update(1, 1)
    assert stream.getvalue() == ""


@pytest.mark.parametrize(("done", "total", "shown"), [(5, 0, "0%"), (-1, 4, "0%"), (9, 4, "100%")])
def test_odd_counts_do_no_harm(done: float, total: float, shown: str) -> None:
    log = io.StringIO()
    with ProgressBar("Working", stream=log) as progress:
        progress.update(done, total)
    assert log.getvalue().split()[1] == shown
