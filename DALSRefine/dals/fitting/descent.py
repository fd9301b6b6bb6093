"""Minimisation of a part of a fit's variables by Adam, with a callback after each step."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from dals.errors import FitCancelledError
from dals.fitting.adam import Adam, ParameterGroup
from dals.fitting.result import FitStep, OnStep, Stage
from dals.geometry.mesh import TriangleMesh
from dals.model.pose import Pose
from dals.model.template import Template

_SLOWEST = 0.05  # final learning rate of a stage, relative to the initial one


@dataclass
class Descent:
    """Runs the stages of a fit and counts their steps.

    Attributes
    ----------
    on_step : callable or None
        Called after each step.
    decaying : bool
        Whether learning rates fall within a stage.
    total : int
        Steps of all stages.
    done : int
        Steps taken.
    """

    on_step: OnStep | None
    decaying: bool
    total: int
    done: int = 0

    def run(
        self,
        stage: Stage,
        steps: int,
        groups: list[ParameterGroup],
        *,
        vertices: Callable[[], Tensor],
        task: Callable[[Tensor], Tensor],
        penalty: Callable[[Tensor], Tensor],
        template: Template,
        pose: Pose,
    ) -> None:
        """Minimise task + penalty. The loop does not wait for the device.

        Parameters
        ----------
        stage : str
        steps : int
        groups
            Parameters with their learning rates.
        vertices
            Returns the canonical vertices (V, 3) of the current parameters.
        task, penalty
            Return scalars from these vertices.
        template, pose
            Faces and frame of the vertices, for `on_step`.

        Raises
        ------
        FitCancelledError
            If `on_step` returns False.
        """
        optimiser = Adam(groups)
        for step in range(steps):
            optimiser.clear_gradients()
            positions = vertices()
            loss = task(positions)
            (loss + penalty(positions)).backward()
            optimiser.step(factor=self._decay(step / steps))
            self.done += 1
            self._tell(stage, loss.detach(), positions.detach(), template, pose)

    def _decay(self, fraction: float) -> float:
        return _SLOWEST + (1 - _SLOWEST) * 0.5 * (1 + math.cos(math.pi * fraction)) if self.decaying else 1.0

    def _tell(self, stage: Stage, loss: Tensor, positions: Tensor, template: Template, pose: Pose) -> None:
        if self.on_step is None:
            return
        step = FitStep(
            stage,
            self.done,
            self.total,
            lambda: float(loss.clamp_min(0).sqrt()) * pose.scale,
            lambda: TriangleMesh(pose.to_patient(positions.cpu().double().numpy()), template.faces),
        )
        if self.on_step(step) is False:
            raise FitCancelledError
