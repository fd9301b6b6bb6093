"""The fitting process where there is no Qt: in tests, and in front ends on slicer-core."""

from __future__ import annotations

import contextlib
import os
import queue
import subprocess
import tempfile
import threading
from collections.abc import Callable, Sequence

_TAIL = 8_000  # bytes of stderr worth keeping
_PATIENCE_S = 0.3


class PlainProcess:
    """A `WorkerProcess` that is heard of in `wait` only.

    Parameters
    ----------
    on_output, on_end
        See `WorkerProcess`.
    """

    def __init__(self, on_output: Callable[[bytes], None], on_end: Callable[[str], None]) -> None:
        self._on_output, self._on_end = on_output, on_end
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115
        self._process: subprocess.Popen[bytes] | None = None
        self._arrived: queue.SimpleQueue[bytes | str] = queue.SimpleQueue()  # output; a text ends it

    @property
    def process_id(self) -> int:
        """What the operating system knows it by."""
        return 0 if self._process is None else self._process.pid

    def start(self, program: str, arguments: Sequence[str]) -> None:
        """Start it; `wait` tells if that fails."""
        try:
            pipe = subprocess.PIPE
            self._process = subprocess.Popen([program, *arguments], stdin=pipe, stdout=pipe, stderr=self._errors)
        except OSError as error:
            self._arrived.put(error.strerror or str(error))
        else:
            threading.Thread(target=self._read, args=(self._process,), daemon=True).start()

    def write(self, line: bytes) -> None:
        """Write to its standard input; `wait` tells if it has gone."""
        if self._process is not None and self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.write(line)
                self._process.stdin.flush()

    def wait(self, seconds: float) -> None:
        """Hand on what has come, or else what comes first within so many seconds."""
        with contextlib.suppress(queue.Empty):
            self._hand_on(self._arrived.get(timeout=seconds))
            while True:
                self._hand_on(self._arrived.get_nowait())

    def stop(self) -> str:
        """End it, at once if it does not end by itself; its exit status and the end of its standard error."""
        self._on_output, self._on_end = _ignore, _ignore
        process, status = self._process, "none"
        if process is not None and process.stdin is not None:
            with contextlib.suppress(OSError):
                process.stdin.close()  # upon which it ends itself
            try:
                process.wait(_PATIENCE_S)
            except subprocess.TimeoutExpired:
                process.kill()
            status = str(process.wait())
        with self._errors as errors:
            errors.seek(max(0, errors.seek(0, os.SEEK_END) - _TAIL))
            text = errors.read().decode(errors="replace")
        return f"exit status {status}\n{text}".strip()

    def _hand_on(self, arrived: bytes | str) -> None:
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
