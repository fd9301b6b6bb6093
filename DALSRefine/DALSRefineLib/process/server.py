"""The fitting process's main loop: requests come in, events go out."""

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
from DALSRefineLib.process.jobs import Event, FitCancelled, FitFailed
from DALSRefineLib.process.messages import REQUEST, event_message, request_of
from DALSRefineLib.process.wire import Message, pack, unpack

_ENGINE = "DALSRefineLib.process.fitting_job"


def serve(incoming: IO[bytes], outgoing: IO[bytes], folder: Path) -> int:
    """Run fits as they are asked for; never returns, as the end of `incoming` ends the process.

    Parameters
    ----------
    incoming, outgoing
        The pipes to Slicer.
    folder : Path
        Of the messages' arrays; removed in the end, which Slicer cannot do if it has crashed.
    """
    inbox = Inbox()
    threading.Thread(target=_listen, args=(incoming, inbox, folder), daemon=True).start()
    fitter: Any = None
    try:
        fitter = _engine().Fitter()  # torch is loaded while the user still draws
    except DalsError:
        traceback.print_exc()  # the first fit says it to the user, if it still holds by then
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
            tell(fitter.run(request_of(message), tell=tell, wanted=wanted))
        except Exception as error:
            tell(outcome_of(error))


class Inbox:
    """What Slicer has asked for.

    Attributes
    ----------
    wanted : int or None
        Number of the fit that Slicer waits for.
    """

    def __init__(self) -> None:
        self._requests: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self.wanted: int | None = None

    def put(self, message: Message) -> None:
        """Take a request, which replaces all earlier ones, or the wish to cancel it."""
        self.wanted = message.fields["number"] if message.kind == REQUEST else None
        if message.kind == REQUEST:
            self._requests.put(message)

    def next_request(self) -> Message:
        """Wait for one that is still wanted."""
        while True:
            message = self._requests.get()
            if message.fields["number"] == self.wanted:
                return message


def outcome_of(error: Exception) -> Event:
    """What a fit that raised an exception comes to."""
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


def _listen(incoming: IO[bytes], inbox: Inbox, folder: Path) -> None:
    """Take messages until Slicer closes the pipe, then end the process, whatever it is doing."""
    status = 1
    try:
        for line in incoming:
            inbox.put(unpack(line, folder))
        status = 0
    except Exception:
        traceback.print_exc()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os._exit(status)
