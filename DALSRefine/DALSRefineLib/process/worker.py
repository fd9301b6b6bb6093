"""The worker process: `python -u worker.py FOLDER SEARCH_PATH...`, with messages over stdin and stdout.

A fit cannot run in a thread of Slicer, whose event loop holds Python's global lock while Qt works.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
from pathlib import Path
from typing import IO


def main() -> int:
    """Serve requests until stdin ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for Slicer, which then ends the worker
    incoming, outgoing = take_streams()
    faulthandler.enable()  # a crash in a library leaves a trace in Slicer's log
    folder, *search_path = sys.argv[1:]
    _find_modules(search_path)
    # Lets the CPU run operations that MPS lacks. Torch reads this variable on import, before the device is known; it
    # has no effect on other devices.
    os.environ.setdefault("PYTORCH_ENABLE_MPS_FALLBACK", "1")
    from DALSRefineLib.process.server import serve

    return serve(incoming, outgoing, Path(folder))


def take_streams() -> tuple[IO[bytes], IO[bytes]]:
    """Reserve stdin and stdout for messages.

    Output of libraries goes to stderr, and their stdin is empty. On Windows this also keeps libraries that inspect
    stdin on import from hanging: it would block on the pending read.
    """
    incoming, outgoing = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    return incoming, outgoing


def _find_modules(search_path: list[str]) -> None:
    """Use Slicer's search path, because packages may be installed in unusual places.

    The extension's folder replaces this script's folder, whose modules could shadow others of the same name.
    """
    here = Path(__file__).resolve().parent
    known = [path for path in sys.path if path and Path(path).resolve() != here]
    sys.path[:] = list(dict.fromkeys([*search_path, str(here.parents[1]), *known]))


if __name__ == "__main__":
    sys.exit(main())
