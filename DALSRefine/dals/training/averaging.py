"""A running mean of what is trained, which generalises better than the last step."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn


class RunningMean:
    """Exponential mean of parameters over the steps of a training (Polyak and Juditsky, 1992).

    Weights and latents belong together, so that both are averaged. In the first steps, the mean follows closely.

    Parameters
    ----------
    parameters : iterable of Parameter
    decay : float
        Share of the mean that a step keeps; 0 follows the parameters.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], decay: float) -> None:
        self._parameters, self._decay = list(parameters), decay
        self.values = [parameter.detach().clone() for parameter in self._parameters]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the parameters after step number `step`, from 0."""
        kept = min(self._decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(self.values, [parameter.detach() for parameter in self._parameters], 1 - kept)

    @torch.no_grad()
    def restore(self, values: Sequence[Tensor]) -> None:
        """Go on from stored values."""
        for mine, stored in zip(self.values, values, strict=True):
            mine.copy_(stored)

    def copies(self) -> list[Tensor]:
        """The mean of each parameter, on the CPU."""
        return [value.detach().cpu().clone() for value in self.values]

    @torch.no_grad()
    def apply(self) -> None:
        """Give the parameters their mean."""
        for parameter, mean in zip(self._parameters, self.values, strict=True):
            parameter.copy_(mean)
