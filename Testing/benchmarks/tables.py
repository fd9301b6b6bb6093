"""The tables and figures that compare the project's method with others: `python Testing/benchmarks/tables.py table1`.

`--quick` takes minutes on two cores: few cases, short models. `--full` takes all cases and the models of
`train_systems.py`. Both go on where they were interrupted; fits that another table has made are not made again.
Tuning is done with `--split validation`, never on the test shapes.
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "DALSRefine"), str(ROOT / "Testing")]

if __name__ == "__main__":
    # Imported here only: ITK, in a process of its own, imports this module and has to be alone there.
    from benchmarks.comparison.command import main

    sys.exit(main(description=__doc__))
