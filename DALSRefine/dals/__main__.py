"""`python -m dals` is the `dals` command."""

import sys

from dals.cli import main

if __name__ == "__main__":
    sys.exit(main())
