"""The fitting process's main loop: jobs come in, events go out."""

from __future__ import annotations

import importlib
import os
import queue
import threading
import traceback
from collections.abc import Callable
from types import ModuleType
from typing import IO, Any

from dals.errors import DalsError, DeviceError, FitCancelledError
from DALSRefineLib.process.jobs import Cancelled, Event, Failed
from DALSRefineLib.process.messages import event_message, job_of
from DALSRefineLib.process.wire import Message, read_message, write_message

_ENGINE = "DALSRefineLib.process.fitting_job"


def serve(incoming: IO[bytes], outgoing: IO[bytes]) -> int:
    """Run jobs as they come; returns never, as the end of `incoming` ends the process."""
    inbox, outbox = Inbox(), Outbox(outgoing)
    threading.Thread(target=_listen, args=(incoming, inbox), daemon=True).start()
    fitter: Any = None
    try:
        fitter = _engine().Fitter()  # torch is loaded while the user still draws
    except DalsError:
        traceback.print_exc()  # the first job says it to the user, if it still holds by then
    while True:
        message = inbox.next_job()
        number = message.fields["job"]

        def tell(event: Event, number: int = number) -> None:
            outbox.put(event_message(event, number))

        def wanted(number: int = number) -> bool:
            return inbox.wants(number)

        try:
            fitter = fitter or _engine().Fitter()
            event = fitter.run(job_of(message), tell=tell, wanted=wanted)
        except Exception as error:
            event = outcome_of(error)
        tell(event)


class Outbox:
    """What goes out, written by a thread: a fit must not wait until Slicer has read a preview."""

    def __init__(self, outgoing: IO[bytes]) -> None:
        self._outgoing = outgoing
        self._messages: queue.SimpleQueue[Message] = queue.SimpleQueue()
        threading.Thread(target=self._write_all, daemon=True).start()

    def put(self, message: Message) -> None:
        """Take a message; they are written in order."""
        self._messages.put(message)

    def _write_all(self) -> None:
        while True:
            message = self._messages.get()
            try:
                write_message(self._outgoing, message.kind, message.fields, message.arrays)
            except OSError:  # nobody listens any more
                os._exit(0)


class Inbox:
    """What came in: the newest job, and which jobs nobody wants any more."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._job: Message | None = None
        self._newest = -1
        self._cancelled = -1

    def put(self, message: Message) -> None:
        """Take a job, which replaces all earlier ones, or the wish to cancel all jobs up to one."""
        with self._changed:
            number = int(message.fields["job"])
            if message.kind == "job":
                self._job, self._newest = message, number
            else:
                self._cancelled = max(self._cancelled, number)
            self._changed.notify()

    def next_job(self) -> Message:
        """Wait for a job that is still wanted."""
        with self._changed:
            while self._job is None or not self.wants(self._newest):
                self._changed.wait()
            message, self._job = self._job, None
            return message

    def wants(self, number: int) -> bool:
        """Whether a job was neither cancelled nor replaced."""
        return number == self._newest and number > self._cancelled


def outcome_of(error: Exception) -> Event:
    """What a job that raised an exception comes to."""
    if isinstance(error, FitCancelledError):
        return Cancelled()
    details = "".join(traceback.format_exception(error))
    if isinstance(error, DalsError):
        return Failed(str(error), details if error.__cause__ else "", type(error).__name__)
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        sentence = (
            "The fit ran out of memory; choose the processor as device or a coarser mesh, or close other programs."
        )
        return Failed(sentence, details, DeviceError.__name__)
    return Failed("The fit failed unexpectedly; the log tells the details.", details)


def _engine() -> ModuleType:
    """The module that fits; torch comes with it.

    Raises
    ------
    DalsError
        If it cannot be loaded.
    """
    importlib.invalidate_caches()  # it may have been installed since the last attempt
    try:
        return importlib.import_module(_ENGINE)
    except (ImportError, OSError) as error:
        missing = (getattr(error, "name", None) or "").split(".")[0]
        if isinstance(error, ModuleNotFoundError) and missing:
            what = "PyTorch is missing" if missing == "torch" else f"The Python package {missing} is missing"
            raise DalsError(f"{what}; please get it with the module's Install button.") from error
        raise DalsError(
            f"What the fit needs cannot be loaded ({error}); please get it again with the module's Install button."
        ) from error


def _listen(incoming: IO[bytes], inbox: Inbox) -> None:
    """Take messages until Slicer closes the pipe or asks to quit, then end the process, whatever it is doing."""
    status = 1
    try:
        _take_all(incoming, inbox.put)
        status = 0
    except Exception:
        traceback.print_exc()
    finally:
        os._exit(status)


def _take_all(incoming: IO[bytes], put: Callable[[Message], None]) -> None:
    while (message := read_message(incoming)) is not None and message.kind != "quit":
        put(message)
