"""The fitting process as Qt runs it: nothing is polled, and no thread is needed. For Slicer only."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import qt

_TAIL = 8_000  # bytes of stderr worth keeping
_PATIENCE_MS = 300


class QtProcess:
    """A `WorkerProcess` on `qt.QProcess`.

    Parameters
    ----------
    on_output, on_end
        See `WorkerProcess`.
    """

    def __init__(self, on_output: Callable[[bytes], None], on_end: Callable[[str], None]) -> None:
        self._on_output, self._on_end = on_output, on_end
        self._errors = b""
        self._stopped = False
        self._process: Any = qt.QProcess()
        # PythonQt drops a slot that nobody else holds; and the cycle keeps the process while Qt is in a signal of it.
        self._slots = {
            "readyReadStandardOutput()": self._read,
            "readyReadStandardError()": self._keep_errors,
            "finished(int,QProcess::ExitStatus)": self._finished,
            "errorOccurred(QProcess::ProcessError)": self._failed,
        }
        for signal, slot in self._slots.items():
            self._process.connect(signal, slot)

    @property
    def process_id(self) -> int:
        """What the operating system knows it by."""
        return int(self._process.processId())

    def start(self, program: str, arguments: Sequence[str]) -> None:
        """Start it; `errorOccurred` tells if that fails."""
        self._process.start(program, list(arguments))

    def write(self, line: bytes) -> None:
        """Write to its standard input; Qt keeps what the process does not read yet."""
        self._process.write(line)

    def wait(self, seconds: float) -> None:
        """Hand on what comes within so many seconds, also where no event loop runs."""
        self._process.waitForReadyRead(round(1000 * seconds))
        self._read()  # Qt emits no signal from within a slot of the same signal

    def stop(self) -> str:
        """End it, at once if it does not end by itself; its exit status and the end of its standard error."""
        self._stopped = True
        self._process.closeWriteChannel()  # upon which it ends itself
        if not self._process.waitForFinished(_PATIENCE_MS):
            self._process.kill()
            self._process.waitForFinished(_PATIENCE_MS)
        self._keep_errors()
        self._process.deleteLater()
        return f"exit status {self._process.exitCode()}\n{self._errors.decode(errors='replace')}".strip()

    def _read(self) -> None:
        while not self._stopped and (data := bytes(self._process.readAllStandardOutput().data())):
            self._on_output(data)

    def _keep_errors(self) -> None:
        self._errors = (self._errors + bytes(self._process.readAllStandardError().data()))[-_TAIL:]

    def _finished(self, _code: int, _status: Any) -> None:
        self._read()  # its last words
        self._end("")

    def _failed(self, error: Any) -> None:
        if error == qt.QProcess.FailedToStart:
            self._end(str(self._process.errorString()))

    def _end(self, obstacle: str) -> None:
        if not self._stopped:
            self._stopped = True
            self._on_end(obstacle)
