"""A Python process spoken to in messages, whose answers are read without ever waiting and without a thread."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from typing import cast

from DALSRefineLib.process.wire import Message, MessageBuffer, write_message

if sys.platform == "win32":
    import _winapi
    import msvcrt

_CHUNK = 2**20
_TAIL = 8_000  # bytes of stderr worth keeping
_PATIENCE_S = 0.3


class ChildProcess:
    """A running process.

    Parameters
    ----------
    command : sequence of str
    environment : mapping, optional
        All its variables; those of this process by default.

    Raises
    ------
    OSError
        If it cannot be started.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115
        try:
            self._process = subprocess.Popen(
                list(command),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                env=None if environment is None else dict(environment),
                creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
            )
        except BaseException:
            self._errors.close()
            raise
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._stdin, self._stdout = self._process.stdin, self._process.stdout
        self._ended = False
        self._buffer = MessageBuffer()
        if sys.platform != "win32":
            os.set_blocking(self._stdout.fileno(), False)

    @property
    def process_id(self) -> int:
        """What the operating system knows it by."""
        return self._process.pid

    @property
    def has_ended(self) -> bool:
        """Whether no more answers will come."""
        # A launcher may end before or after the interpreter that it has started: either will do.
        return self._ended or self._process.poll() is not None

    def send(self, message: Message) -> None:
        """Write a message; waits while the process has not read what came before.

        Raises
        ------
        OSError
            If the process has gone.
        """
        write_message(self._stdin, message.kind, message.fields, message.arrays)

    def receive(self) -> tuple[list[Message], bool]:
        """The messages that have arrived, and whether the process has ended after them.

        Raises
        ------
        WireError
            If what has arrived is no message.
        """
        ended = self.has_ended  # asked before reading, so that its last words are read
        while data := self._read():
            self._buffer.feed(data)
        messages = []
        while (message := self._buffer.take()) is not None:
            messages.append(message)
        return messages, ended or self._ended

    def stop(self) -> str:
        """End the process, at once if it does not end by itself.

        Returns
        -------
        str
            Its exit status and the end of what it wrote to stderr.
        """
        with contextlib.suppress(OSError):
            self._stdin.close()  # upon which it ends itself
        try:
            self._process.wait(_PATIENCE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._stdout.close()
        with self._errors as errors:
            errors.seek(max(0, errors.seek(0, os.SEEK_END) - _TAIL))
            text = errors.read().decode(errors="replace")
        return f"exit status {self._process.returncode}\n{text}".strip()

    def _read(self) -> bytes:
        """What can be read now, perhaps nothing."""
        if self._ended:
            return b""
        descriptor, size = self._stdout.fileno(), _CHUNK
        try:
            if sys.platform == "win32":
                size = min(size, cast(int, _winapi.PeekNamedPipe(msvcrt.get_osfhandle(descriptor), 0)[0]))
                if size == 0:
                    return b""
            data = os.read(descriptor, size)
        except BlockingIOError:
            return b""
        except OSError:  # on Windows: the other end was closed
            data = b""
        self._ended = not data
        return data
