"""Run the module's self tests in Slicer and exit with their outcome.

Slicer --testing --no-splash --additional-module-paths DALSRefine --python-script Testing/run_in_slicer.py
"""

import sys
import traceback

import slicer


def main() -> int:
    """Run every self test; those that cannot be run here are told with the reason."""
    import unittest

    slicer.util.selectModule("DALSRefine")
    slicer.util.getModuleWidget("DALSRefine").enter()
    from DALSRefine import DALSRefineTest
    from DALSRefineLib import self_test

    failed = []
    for test in self_test.TESTS:
        slicer.mrmlScene.Clear()
        try:
            test(DALSRefineTest())
            outcome = "passed"
        except unittest.SkipTest as reason:
            outcome = f"skipped: {reason}"
        except Exception:
            outcome = "FAILED\n" + traceback.format_exc()
            failed.append(test.__name__)
        print(f"{test.__name__}: {outcome}", flush=True)
    return len(failed)


try:
    status = 1 if main() else 0
except Exception:
    traceback.print_exc(file=sys.stdout)
    status = 1
slicer.util.exit(status)
