"""A pose whose parameters are optimised during a fit, and random rotations."""

from __future__ import annotations

import torch
from torch import Tensor

from dals.model.pose import Pose


class PoseCorrection(torch.nn.Module):
    """A similarity transform within the canonical frame, optimised during a fit.

    The parameters are the logarithm of the scale, the translation and a rotation vector, all initially zero.
    `rotating` says whether the rotation is optimised.
    """

    def __init__(self, *, rotating: bool, device: torch.device) -> None:
        super().__init__()
        self.log_scale = torch.nn.Parameter(torch.zeros((), device=device))
        self.translation = torch.nn.Parameter(torch.zeros(3, device=device))
        self.rotation = torch.nn.Parameter(torch.zeros(3, device=device), requires_grad=rotating)

    def forward(self, points: Tensor) -> Tensor:
        """Transform canonical points (..., 3)."""
        if self.rotation.requires_grad:
            points = points @ rotation_matrix(self.rotation).T
        return points * self.log_scale.exp() + self.translation

    def as_pose(self) -> Pose:
        """The present correction as a pose."""
        rotation = rotation_matrix(self.rotation.detach()).cpu().double().numpy()
        translation = self.translation.detach().cpu().double().numpy()
        return Pose(float(self.log_scale.detach().exp()), translation, rotation)


def rotation_matrix(vector: Tensor) -> Tensor:
    """Rotation matrix (3, 3) of a rotation vector (3,), radians."""
    x, y, z = vector.unbind()
    zero = torch.zeros_like(x)
    skew = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero]).view(3, 3)
    return torch.linalg.matrix_exp(skew)


def random_rotations(count: int, *, generator: torch.Generator, device: torch.device | str = "cpu") -> Tensor:
    """Draw uniform rotation matrices (count, 3, 3) from unit quaternions."""
    q = torch.nn.functional.normalize(torch.randn(count, 4, generator=generator, device=device), dim=1)
    w, x, y, z = q.unbind(dim=1)
    rows = [
        1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
        2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
        2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y),
    ]  # fmt: skip
    return torch.stack(rows, dim=1).view(count, 3, 3)
