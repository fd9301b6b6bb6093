"""The fitting process: `python -u worker.py`, spoken to over stdin and stdout.

A fit cannot run in a thread of Slicer, whose event loop holds Python's lock while Qt works.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
from pathlib import Path
from typing import IO


def main() -> int:
    """Serve jobs until stdin ends or Slicer asks to quit."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for Slicer, which then ends this process
    incoming, outgoing = take_streams()
    faulthandler.enable()  # a crash in a library leaves a trace in Slicer's log
    _find_package()
    from DALSRefineLib.process.server import serve

    return serve(incoming, outgoing)


def take_streams() -> tuple[IO[bytes], IO[bytes]]:
    """Streams of the protocol, which nothing else can read from or write to.

    What libraries print goes to stderr, and they read nothing. On Windows this also keeps libraries
    from hanging while they load: they look at the standard input, which waits for the pending read.
    """
    incoming, outgoing = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    return incoming, outgoing


def _find_package() -> None:
    """Put the module's folder on the path, instead of this one, whose modules could hide others of their names."""
    here = Path(__file__).resolve().parent
    sys.path[:] = [str(here.parents[1]), *(entry for entry in sys.path if not entry or Path(entry).resolve() != here)]


if __name__ == "__main__":
    sys.exit(main())
