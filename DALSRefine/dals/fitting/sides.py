"""Left or right: a prior of one side of the body fits organs of the other one mirrored."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from dals.fitting.result import FitResult, FitStep, OnStep
from dals.model.fit_state import FitState
from dals.model.prior import ShapePrior

SideChoice = Literal["auto", "left", "right"]
SIDE_CHOICES: tuple[SideChoice, ...] = ("auto", "left", "right")
_CLEAR = 0.1
"""Share by which the wrong side's fit is more improbable at least, where the side is clear."""


@dataclass(frozen=True, eq=False)
class SidedFit:
    """A fit, and the prior on the side that it was made with.

    Attributes
    ----------
    result : FitResult
    prior : ShapePrior
    tried : bool
        Whether both sides were fitted and the more probable one was kept.
    clear : bool
        Whether it was more probable by far.
    """

    result: FitResult
    prior: ShapePrior
    tried: bool = False
    clear: bool = True


def fit_on_side(
    prior: ShapePrior,
    side: SideChoice,
    solve: Callable[[ShapePrior, OnStep | None], FitResult],
    *,
    start: FitState | None = None,
    on_step: OnStep | None = None,
) -> SidedFit:
    """Fit on one side of the body, or on both and keep the more probable fit.

    Parameters
    ----------
    prior : ShapePrior
    side : "auto", "left" or "right"
        "auto" tries both sides where the prior is of one side, and goes on with the side of `start`.
    solve : callable
        Fits a prior, telling its steps to a callback.
    start : FitState, optional
    on_step : callable, optional

    Raises
    ------
    PriorError
        If a side is asked for and the prior is not of one.
    """
    wanted = side if side != "auto" else None if start is None else start.side
    if wanted is not None and prior.side != "both":
        chosen = prior if prior.side == wanted else prior.of_other_side()
        return SidedFit(solve(chosen, on_step), chosen)
    if prior.side not in ("left", "right") or start is not None:
        return SidedFit(solve(prior, on_step), prior)
    other = prior.of_other_side()
    fits = [SidedFit(solve(one, _as_half(on_step, half)), one, tried=True) for half, one in enumerate((prior, other))]
    better, worse = sorted(fits, key=lambda fit: fit.result.improbability)
    margin = (worse.result.improbability - better.result.improbability) / max(abs(better.result.improbability), 1e-12)
    return replace(better, clear=margin > _CLEAR)


def _as_half(on_step: OnStep | None, half: int) -> OnStep | None:
    """Steps of the first or the second of two fits that are told as one."""
    if on_step is None:
        return None

    def told(step: FitStep) -> bool | None:
        return on_step(replace(step, step=step.step + half * step.total, total=2 * step.total))

    return told
