"""The steps on each level of the template; the other settings are tested with the fits."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from dals import fit_settings
from dals.errors import InputError
from dals.fit_settings import FitSettings
from dals.observations import kind_named


@pytest.mark.parametrize(
    ("shares", "level", "expected"),
    [
        ((1.0,), 4, [(4, 40)]),
        ((0.7, 0.3), 4, [(3, 28), (4, 12)]),
        ((2.0, 1.0, 1.0), 4, [(2, 20), (3, 10), (4, 10)]),
        ((0.5, 0.25, 0.25), 1, [(0, 20), (1, 20)]),  # there is nothing coarser than level 0
    ],
)
def test_local_steps_are_shared_among_levels(
    shares: tuple[float, ...], level: int, expected: list[tuple[int, int]]
) -> None:
    assert FitSettings(local_steps=40, level_shares=shares, level=level).local_schedule() == expected


@pytest.mark.parametrize("steps", [0, 1, 7, 33])
def test_no_local_step_is_lost(steps: int) -> None:
    schedule = FitSettings(local_steps=steps, level_shares=(0.85, 0.15)).local_schedule()
    assert sum(count for _, count in schedule) == steps


def test_only_segmentations_go_from_coarse_to_fine_by_default() -> None:
    several = [
        task for task in ("points", "contours", "segmentation") if len(kind_named(task).defaults.level_shares) > 1
    ]
    assert several == ["segmentation"]


@pytest.mark.parametrize(
    ("former", "present"),
    [
        ("reach", "robust_scale"),
        ("starts", "initial_scales"),
        ("retrieved", "initial_shapes"),
        ("snapping", "projection_distance"),
        ("untangled", "removing_folds"),
    ],
)
def test_a_former_name_is_refused_with_the_present_one(former: str, present: str) -> None:
    assert hasattr(FitSettings(), present)
    with pytest.raises(InputError, match=f"'{former}'; it is now called {present}"):
        FitSettings().changed(**{former: 1})


def test_an_unknown_setting_is_refused_with_those_there_are() -> None:
    with pytest.raises(InputError, match=r"'lambda_drr'; there are .*lambda_dir, "):
        FitSettings().changed(lambda_drr=None)


def test_the_settings_need_no_torch() -> None:
    code = "import sys, dals.fit_settings; assert not {'torch', 'numpy', 'scipy'} & set(sys.modules)"
    folder = Path(fit_settings.__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("seed", [-1, 2**64])
def test_a_seed_that_no_generator_takes_is_refused(seed: int) -> None:
    with pytest.raises(InputError, match="The seed must be a whole number"):
        FitSettings(seed=seed)
    assert FitSettings(seed=2**64 - 1).seed == 2**64 - 1
