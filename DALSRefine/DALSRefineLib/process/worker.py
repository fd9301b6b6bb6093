"""The fitting process: `python -u worker.py FOLDER SEARCH_PATH...`, spoken to over stdin and stdout.

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
    """Serve requests until stdin ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for Slicer, which then ends this process
    incoming, outgoing = take_streams()
    faulthandler.enable()  # a crash in a library leaves a trace in Slicer's log
    folder, *search_path = sys.argv[1:]
    _find_modules(search_path)
    # Where a user asks for MPS, the processor does what MPS cannot. Torch looks for that wish while it is imported,
    # before it is known which device will be asked for; elsewhere it has no effect.
    os.environ.setdefault("PYTORCH_ENABLE_MPS_FALLBACK", "1")
    from DALSRefineLib.process.server import serve

    return serve(incoming, outgoing, Path(folder))


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


def _find_modules(search_path: list[str]) -> None:
    """Look for modules where Slicer does, as packages may lie in unusual places.

    The module's own folder takes the place of this one, whose modules could hide others of their names.
    """
    here = Path(__file__).resolve().parent
    known = [path for path in sys.path if path and Path(path).resolve() != here]
    sys.path[:] = list(dict.fromkeys([*search_path, str(here.parents[1]), *known]))


if __name__ == "__main__":
    sys.exit(main())
