"""The settings of the panel's Advanced section, and how they differ from the defaults."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from dals.observations import kind_named

CONTOURS, SEGMENTATION, POINTS = "contours", "segmentation", "points"
SOURCES = (CONTOURS, SEGMENTATION, POINTS)
"""Kinds of observation, in the order of the panel's tabs."""

SIDES = ("auto", "left", "right")
"""Of the body, for a prior of one side."""
EDITS = ("applied", "proposed", "all")
"""Which edits of a segmentation are carried out: those that are probably right, none, all."""
DEVICES = ("auto", "cuda", "mps", "cpu")
PER_VERTEX, ONE_LATENT, FREE = "per vertex", "one latent", "free"
LATENTS = (PER_VERTEX, ONE_LATENT, FREE)
"""lambda_dir as it is set, infinite, or zero."""


@dataclass(frozen=True, kw_only=True)
class FitOptions:
    """The settings of the panel's Advanced section.

    Attributes
    ----------
    iterations : int
        Steps of both stages together, divided between them as in the defaults.
    lambda_reg, lambda_dir : float
        Weights of Eqs. 2 and 4, for three planes or 2,500 points; `lambda_dir` has an effect with latents per vertex
        only.
    latents : str
        One of `LATENTS`.
    level : int
        Subdivision level of the result's template.
    seed : int
    """

    iterations: int
    lambda_reg: float
    lambda_dir: float
    latents: str
    level: int
    seed: int


FORMER_DEFAULTS = FitOptions(iterations=145, lambda_reg=1e-2, lambda_dir=5e-3, latents=PER_VERTEX, level=4, seed=0)
"""Those of contours while Adam fitted them: scenes that were saved then hold them."""


def default_options(source: str) -> FitOptions:
    """The defaults for contours, a segmentation or points."""
    settings = kind_named(source).defaults
    if settings.single_latent:
        latents, lambda_dir = ONE_LATENT, 0.0
    else:
        latents, lambda_dir = (PER_VERTEX if settings.lambda_dir > 0 else FREE), settings.lambda_dir
    return FitOptions(
        iterations=settings.shared_steps + settings.local_steps,
        lambda_reg=settings.lambda_reg,
        lambda_dir=lambda_dir,
        latents=latents,
        level=settings.level,
        seed=settings.seed,
    )


def changed_settings(options: FitOptions, source: str) -> dict[str, Any]:
    """The fields of `FitSettings` in which options differ from the defaults of their source."""
    settings, defaults = kind_named(source).defaults, default_options(source)
    changes: dict[str, Any] = {}
    if options.iterations != defaults.iterations:
        share = settings.shared_steps / defaults.iterations
        changes["shared_steps"] = max(1, round(share * options.iterations))
        changes["local_steps"] = max(0, options.iterations - changes["shared_steps"])
    lambda_dir = {ONE_LATENT: math.inf, FREE: 0.0}.get(options.latents, options.lambda_dir)
    chosen = {
        "lambda_reg": options.lambda_reg,
        "lambda_dir": lambda_dir,
        "level": options.level,
        "shared_level": min(settings.shared_level, options.level),
        "seed": options.seed,
    }
    return changes | {name: value for name, value in chosen.items() if value != getattr(settings, name)}
