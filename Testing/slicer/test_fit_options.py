"""The settings that the panel shows become changes of the defaults; no Slicer is needed."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from dals.fit_settings import FitSettings
from dals.observations import kind_named
from DALSRefineLib.panel.fit_options import (
    CONTOURS,
    FREE,
    LATENTS,
    ONE_LATENT,
    PER_VERTEX,
    POINTS,
    SEGMENTATION,
    SOURCES,
    changed_settings,
    default_options,
)

TASKS = {CONTOURS: "contours", SEGMENTATION: "segmentation", POINTS: "points"}


def settings_of(source, **options) -> FitSettings:
    """What a fit would be made with."""
    changes = changed_settings(replace(default_options(source), **options), source)
    return kind_named(TASKS[source]).defaults.changed(**changes)


@pytest.mark.parametrize("source", SOURCES)
def test_defaults_change_nothing(source):
    options, settings = default_options(source), kind_named(TASKS[source]).defaults
    assert changed_settings(options, source) == {}
    assert options.iterations == settings.shared_steps + settings.local_steps
    assert (options.lambda_reg, options.level, options.seed) == (settings.lambda_reg, settings.level, settings.seed)
    assert options.latents in LATENTS


def test_defaults_differ_between_sources():
    assert default_options(CONTOURS) != default_options(SEGMENTATION)


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("iterations", [5, 7, 50, 333, 5000])
def test_iterations_are_shared_out_as_by_default(source, iterations):
    default, settings = kind_named(TASKS[source]).defaults, settings_of(source, iterations=iterations)
    assert settings.shared_steps + settings.local_steps == iterations
    share = default.shared_steps / (default.shared_steps + default.local_steps)
    assert settings.shared_steps == pytest.approx(share * iterations, abs=0.51)
    assert settings.shared_steps >= 1
    assert settings.local_steps >= 0


def test_one_latent_is_an_infinite_weight():
    settings = settings_of(CONTOURS, latents=ONE_LATENT)
    assert math.isinf(settings.lambda_dir)
    assert settings.single_latent


def test_free_latents_have_no_weight():
    settings = settings_of(CONTOURS, latents=FREE, lambda_dir=3.0)
    assert settings.lambda_dir == 0.0
    assert not settings.single_latent


def test_latents_per_vertex_have_the_weight_that_is_set():
    assert changed_settings(replace(default_options(CONTOURS), lambda_dir=3.0), CONTOURS) == {"lambda_dir": 3.0}
    assert default_options(CONTOURS).latents == PER_VERTEX


@pytest.mark.parametrize(("level", "shared"), [(2, 2), (3, 3), (5, 3)])
def test_the_first_stage_is_never_finer_than_the_result(level, shared):
    settings = settings_of(CONTOURS, level=level)
    assert (settings.level, settings.shared_level) == (level, shared)


def test_the_rest_goes_through():
    changes = changed_settings(replace(default_options(POINTS), seed=9, lambda_reg=0.5), POINTS)
    assert changes == {"seed": 9, "lambda_reg": 0.5}
