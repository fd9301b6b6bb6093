"""The worker process as a `qt.QProcess`, without polling or threads. For Slicer only."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import qt

_TAIL = 8_000  # bytes of stderr to keep
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
        # Holding the slots keeps PythonQt from dropping them; the cycle keeps the process alive during its own signals.
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
        """Process id, 0 before the start."""
        return int(self._process.processId())

    def start(self, program: str, arguments: Sequence[str]) -> None:
        """Start the process; `errorOccurred` reports a failure."""
        self._process.start(program, list(arguments))

    def write(self, line: bytes) -> None:
        """Write to standard input; Qt buffers what the process has not read yet."""
        self._process.write(line)

    def wait(self, seconds: float) -> None:
        """Deliver output that arrives within `seconds`, even without an event loop."""
        self._process.waitForReadyRead(round(1000 * seconds))
        self._read()  # within a slot, Qt does not emit the same signal again

    def stop(self) -> str:
        """Close standard input, kill the process if it does not end; returns its exit status and the end of stderr."""
        self._stopped = True
        self._process.closeWriteChannel()  # the worker then ends by itself
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
        self._read()  # remaining output
        self._end("")

    def _failed(self, error: Any) -> None:
        if error == qt.QProcess.FailedToStart:
            self._end(str(self._process.errorString()))

    def _end(self, obstacle: str) -> None:
        if not self._stopped:
            self._stopped = True
            self._on_end(obstacle)
