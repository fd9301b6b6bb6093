"""What is asked of the worker for the further organs of a refinement. For Slicer only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from dals.model.prior_files import PriorHeader
from DALSRefineLib.panel.source_section import SourceSection
from DALSRefineLib.priors import Organ, guessed_side, organ_of
from DALSRefineLib.process.jobs import OrganTask


def organ_tasks(
    source: SourceSection, headers: Mapping[str, PriorHeader], changes: Mapping[str, Any]
) -> tuple[tuple[OrganTask, ...], tuple[Organ, ...]]:
    """For each ticked segment the task for the request, and the organ that it is shown as.

    Parameters
    ----------
    source : SourceSection
    headers : mapping
        The available priors by name.
    changes : mapping
        As in `Request`.

    Raises
    ------
    InputError
        If a segment cannot be used.
    """
    tasks, organs = [], []
    for name, prior, segment in source.other_organs:
        header = headers[prior]
        side = guessed_side(name) if header.side else "auto"
        observation = source.observation_of(segment)
        tasks.append(OrganTask(name=name, observation=observation, prior=header.path, changes=changes, side=side))
        organs.append(replace(organ_of(header.name), name=name))
    return tuple(tasks), tuple(organs)
