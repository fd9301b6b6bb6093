"""How far disagreement counts, step by step; the other settings are tested with the fits."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import pytest

from dals import fit_settings
from dals.fit_settings import FitSettings


def test_the_reach_falls_geometrically_during_the_first_stage() -> None:
    settings = FitSettings(reach=0.16, final_reach=0.04)
    assert [settings.reach_at(f) for f in (0.0, 0.5, 1.0, 1.7)] == pytest.approx([0.16, 0.08, 0.04, 0.04])


@pytest.mark.parametrize("reach", [0.1, math.inf])
def test_without_a_final_one_the_reach_stays(reach: float) -> None:
    assert {FitSettings(reach=reach).reach_at(f) for f in (0.0, 0.3, 1.0)} == {reach}


def test_only_segmentations_narrow_their_reach_by_default() -> None:
    narrowing = [task for task in ("points", "planes", "segmentation") if FitSettings.for_task(task).final_reach]
    assert narrowing == ["segmentation"]


def test_the_settings_need_no_torch() -> None:
    code = "import sys, dals.fit_settings; assert not {'torch', 'numpy', 'scipy'} & set(sys.modules)"
    folder = Path(fit_settings.__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
