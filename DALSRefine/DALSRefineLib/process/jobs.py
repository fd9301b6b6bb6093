"""Requests to the worker process and the events that it sends.

This module does not import torch, because Slicer's own process never does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

import dals.errors
from dals.errors import DalsError
from dals.geometry.label_map import LabelMap
from dals.geometry.mesh import TriangleMesh
from dals.geometry.volume import Volume
from dals.model.fit_state import FitState
from dals.observations import Observation
from DALSRefineLib.priors import Side

KEPT = 3
"""The worker remembers the edits of so many refinements; each holds its segmentation a few times."""


@dataclass(frozen=True, kw_only=True, eq=False)
class OrganTask:
    """Another organ of the patient, refined with the first one and kept apart from it.

    Attributes
    ----------
    name : str
        For messages.
    observation, prior, changes, side
        As in `Request`.
    """

    name: str
    observation: Observation
    prior: Path
    changes: Mapping[str, Any] = field(default_factory=dict)
    side: Side = "auto"


@dataclass(frozen=True, kw_only=True, eq=False)
class Request:
    """A request for one fit.

    Attributes
    ----------
    observation : Observation
        World coordinates, RAS mm.
    prior : Path
        File of the prior.
    changes : mapping
        Fields of `dals.FitSettings` that differ from the observation's defaults.
    device : str
        "auto", "cpu", "cuda" or "mps".
    start : FitState or None
        End state of an earlier fit with the same prior, from which to continue.
    image : Volume or None
        The image around the organ (`Volume.around`), for contours and segmentations.
    side : "auto", "left" or "right"
        Of the body, for a prior of one side.
    remesh : bool
        Whether to remesh the result.
    preview_seconds : float
        Minimum time between previews; infinity for no previews.
    name : str
        Of the organ, for messages; needed where there are others.
    others : tuple of OrganTask
        Refined together with it; `start` and `image` are of no use then.
    """

    observation: Observation
    prior: Path
    changes: Mapping[str, Any] = field(default_factory=dict)
    device: str = "auto"
    start: FitState | None = None
    image: Volume | None = None
    side: Side = "auto"
    remesh: bool = False
    preview_seconds: float = 0.2
    name: str = ""
    others: tuple[OrganTask, ...] = ()


@dataclass(frozen=True)
class Choice:
    """A request for another choice of the edits of a finished refinement.

    Attributes
    ----------
    key : str
        `FitFinished.key` of that refinement.
    chosen : tuple of tuple of int
        For each of its organs, the indices of the edits to be carried out.
    """

    key: str
    chosen: tuple[tuple[int, ...], ...]


Job: TypeAlias = Request | Choice


@dataclass(frozen=True)
class FitStarted:
    """The fit has started on a device."""

    device: str


@dataclass(frozen=True, eq=False)
class FitProgress:
    """Progress of a fit.

    Attributes
    ----------
    stage : "shared" or "local"
    step, total : int
        Steps done and steps in all.
    loss_mm : float
        Root of the task loss in millimetres when it was last read.
    remaining_s : float or None
        Estimated seconds until the last step; None while unknown.
    mesh : TriangleMesh or None
        A preview, RAS mm.
    """

    stage: str
    step: int
    total: int
    loss_mm: float
    remaining_s: float | None
    mesh: TriangleMesh | None = None


@dataclass(frozen=True, eq=False)
class FitFinished:
    """The result of a fit.

    Attributes
    ----------
    mesh : TriangleMesh
        RAS mm, remeshed if requested.
    report : dict
        Report of `dals.Refinement`, with three additions: `previews` (their count and duration), `places` (see
        `worst_places`) and, in `timings_s`, the time taken to load the prior.
    state : FitState
        End state of the fit.
    warnings : tuple of str
        Points for the clinician to check.
    deviation_mm : (V,) float64 or None
        Standard deviation of each vertex along its normal, where it is known.
    key : str
        By which a `Choice` names this refinement; empty where there is nothing to choose.
    label_map : LabelMap or None
        The result of a segmentation on its own grid, cropped; RAS mm.
    others : tuple of FitFinished
        Results of `Request.others`.
    """

    mesh: TriangleMesh
    report: dict[str, Any]
    state: FitState
    warnings: tuple[str, ...] = ()
    deviation_mm: NDArray[np.float64] | None = None
    key: str = ""
    label_map: LabelMap | None = None
    others: tuple[FitFinished, ...] = ()


@dataclass(frozen=True)
class FitFailed:
    """A failed fit.

    Attributes
    ----------
    sentence : str
        Message for the user.
    details : str
        Text for the log; may be empty.
    error : str
        Name of the class in `dals.errors`.
    """

    sentence: str
    details: str = ""
    error: str = DalsError.__name__

    def exception(self) -> DalsError:
        """The corresponding exception with the message for the user."""
        named = getattr(dals.errors, self.error, None)
        kind = named if isinstance(named, type) and issubclass(named, DalsError) else DalsError
        error = kind(self.sentence)
        error.__cause__ = RuntimeError(self.details) if self.details else None
        return error


@dataclass(frozen=True)
class FitCancelled:
    """A fit was cancelled."""


Outcome: TypeAlias = FitFinished | FitFailed | FitCancelled
"""The last event of a fit."""
Event: TypeAlias = FitStarted | FitProgress | Outcome
