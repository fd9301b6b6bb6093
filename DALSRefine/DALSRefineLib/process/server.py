"""Main loop of the worker process: receives requests, sends events."""

from __future__ import annotations

import errno
import importlib
import os
import queue
import shutil
import threading
import traceback
from pathlib import Path
from types import ModuleType
from typing import IO, Any

from dals.errors import DalsError, DeviceError, FitCancelledError
from dals.loading import without_collection
from DALSRefineLib.process.jobs import Event, FitCancelled, FitFailed
from DALSRefineLib.process.messages import JOBS, ImageMemory, event_message, job_of
from DALSRefineLib.process.wire import Message, pack, unpack

_ENGINE = "DALSRefineLib.process.fitting_job"


def serve(incoming: IO[bytes], outgoing: IO[bytes], folder: Path) -> int:
    """Run requested fits. Never returns: the process exits when `incoming` ends.

    Parameters
    ----------
    incoming, outgoing
        The pipes to Slicer.
    folder : Path
        For the messages' arrays. It is removed on exit, because a crashed Slicer cannot do so.
    """
    inbox = Inbox()
    threading.Thread(target=_listen, args=(incoming, inbox, folder), daemon=True).start()
    fitter: Any = None
    try:
        fitter = _engine().Fitter()  # loads torch while the user still draws
    except DalsError:
        traceback.print_exc()  # if the problem persists, the first fit reports it to the user
    while True:
        message = inbox.next_request()
        number = message.fields["number"]

        def tell(event: Event, number: int = number) -> None:
            outgoing.write(pack(event_message(event, number), folder))
            outgoing.flush()

        def wanted(number: int = number) -> bool:
            return inbox.wanted == number

        try:
            fitter = fitter or _engine().Fitter()
            tell(fitter.run(job_of(message), tell=tell, wanted=wanted))
        except Exception as error:
            tell(outcome_of(error))


class Inbox:
    """Requests from Slicer.

    Attributes
    ----------
    wanted : int or None
        Number of the fit that Slicer is waiting for.
    """

    def __init__(self) -> None:
        self._requests: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self.wanted: int | None = None

    def put(self, message: Message) -> None:
        """Add a request, which replaces all earlier ones, or cancel the current one."""
        self.wanted = message.fields["number"] if message.kind in JOBS else None
        if message.kind in JOBS:
            self._requests.put(message)

    def next_request(self) -> Message:
        """Wait for a request that has not been cancelled or replaced."""
        while True:
            message = self._requests.get()
            if message.fields["number"] == self.wanted:
                return message


def outcome_of(error: Exception) -> Event:
    """The last event of a fit that raised an exception."""
    if isinstance(error, FitCancelledError):
        return FitCancelled()
    details = "".join(traceback.format_exception(error))
    if isinstance(error, DalsError):
        return FitFailed(str(error), details if error.__cause__ else "", type(error).__name__)
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        sentence = (
            "The fit ran out of memory; choose the processor as device or a coarser mesh, or close other programs."
        )
        return FitFailed(sentence, details, DeviceError.__name__)
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return FitFailed("The disk for temporary files is full; please make room on it.", details)
    return FitFailed("The fit failed unexpectedly; the log tells the details.", details)


def _engine() -> ModuleType:
    """Import the module that runs fits, and with it torch.

    Raises
    ------
    DalsError
        If it cannot be imported.
    """
    importlib.invalidate_caches()  # it may have been installed since the last attempt
    try:
        with without_collection():
            return importlib.import_module(_ENGINE)
    except (ImportError, OSError) as error:
        missing = (getattr(error, "name", None) or "").split(".")[0]
        if isinstance(error, ModuleNotFoundError) and missing:
            what = "PyTorch is missing" if missing == "torch" else f"The Python package {missing} is missing"
            raise DalsError(f"{what}; please install it with the module's Install button.") from error
        raise DalsError(
            f"A package that the fit needs cannot be loaded ({error}); please install it again with the module's "
            "Install button."
        ) from error


def _listen(incoming: IO[bytes], inbox: Inbox, folder: Path) -> None:
    """Receive messages until Slicer closes the pipe, then end the process immediately."""
    status, images = 1, ImageMemory()
    try:
        for line in incoming:
            inbox.put(images.completed(unpack(line, folder)))
        status = 0
    except Exception:
        traceback.print_exc()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os._exit(status)
