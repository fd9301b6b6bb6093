"""The worker process without Qt, for tests and front ends on slicer-core."""

from __future__ import annotations

import contextlib
import os
import queue
import subprocess
import tempfile
import threading
from collections.abc import Callable, Sequence

_TAIL = 8_000  # bytes of stderr to keep
_PATIENCE_S = 0.3


class PlainProcess:
    """A `WorkerProcess` that delivers its output in `wait` only.

    Parameters
    ----------
    on_output, on_end
        See `WorkerProcess`.
    """

    def __init__(self, on_output: Callable[[bytes], None], on_end: Callable[[str], None]) -> None:
        self._on_output, self._on_end = on_output, on_end
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115
        self._process: subprocess.Popen[bytes] | None = None
        self._arrived: queue.SimpleQueue[bytes | str] = queue.SimpleQueue()  # output as bytes; a str marks the end

    @property
    def process_id(self) -> int:
        """Process id, 0 before the start."""
        return 0 if self._process is None else self._process.pid

    def start(self, program: str, arguments: Sequence[str]) -> None:
        """Start the process; `wait` reports a failure."""
        try:
            pipe = subprocess.PIPE
            self._process = subprocess.Popen([program, *arguments], stdin=pipe, stdout=pipe, stderr=self._errors)
        except OSError as error:
            self._arrived.put(error.strerror or str(error))
        else:
            threading.Thread(target=self._read, args=(self._process,), daemon=True).start()

    def write(self, line: bytes) -> None:
        """Write to standard input; `wait` reports a process that has ended."""
        if self._process is not None and self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.write(line)
                self._process.stdin.flush()

    def wait(self, seconds: float) -> None:
        """Deliver pending output, or wait up to `seconds` for the first."""
        with contextlib.suppress(queue.Empty):
            self._deliver(self._arrived.get(timeout=seconds))
            while True:
                self._deliver(self._arrived.get_nowait())

    def stop(self) -> str:
        """Close standard input, kill the process if it does not end; returns its exit status and the end of stderr."""
        self._on_output, self._on_end = _ignore, _ignore
        process, status = self._process, "none"
        if process is not None and process.stdin is not None:
            with contextlib.suppress(OSError):
                process.stdin.close()  # the worker then ends by itself
            try:
                process.wait(_PATIENCE_S)
            except subprocess.TimeoutExpired:
                process.kill()
            status = str(process.wait())
        with self._errors as errors:
            errors.seek(max(0, errors.seek(0, os.SEEK_END) - _TAIL))
            text = errors.read().decode(errors="replace")
        return f"exit status {status}\n{text}".strip()

    def _deliver(self, arrived: bytes | str) -> None:
        if isinstance(arrived, bytes):
            self._on_output(arrived)
        else:
            self._on_end(arrived)

    def _read(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        with process.stdout as stdout:
            while data := os.read(stdout.fileno(), 2**16):
                self._arrived.put(data)
        self._arrived.put("")


def _ignore(_arrived: bytes | str) -> None:
    pass
