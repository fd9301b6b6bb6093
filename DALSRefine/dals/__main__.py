"""`python -m dals` is the `dals` command."""

import os
import sys
from typing import NoReturn

from dals.cli import main


def _leave(status: int) -> NoReturn:
    """End one of torchrun's processes, everything being written, without finalising the interpreter.

    There, a thread of PyTorch's process group now and then aborts ("terminate called without an active exception"),
    although the group is destroyed, and torchrun takes a finished training for a failed one.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    status = main()
    if "TORCHELASTIC_RUN_ID" in os.environ:
        _leave(status)
    sys.exit(status)
