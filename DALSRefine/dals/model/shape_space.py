"""The linear space that a prior's training shapes span."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dals.errors import PriorError
from dals.geometry.mesh import FloatArray
from dals.model.template import icosphere

LEVEL = 3
PREFIX = "shape_space."
"""Of the names of its tensors in a prior's file."""
_MOST_MODES = 100
_LEAST_DEVIATION = 1e-3  # of the first mode's
_STEPS = 127  # of an eight-bit number


@dataclass(frozen=True, eq=False)
class ShapeSpace:
    """Mean and principal modes of the decoded training shapes, which share the template's connectivity.

    Attributes
    ----------
    mean : (V, 3) float64
        Canonical; the vertices of icosphere level `LEVEL`.
    modes : (V, 3, M) float32
        Each as long as one standard deviation: coefficients are standard normal over the training shapes.
    latent_mean : (d,) float32
    latent_modes : (d, M) float32
        Change of the latent with each coefficient, by least squares.
    """

    mean: FloatArray
    modes: NDArray[np.float32]
    latent_mean: NDArray[np.float32]
    latent_modes: NDArray[np.float32]

    @classmethod
    def spanned_by(cls, shapes: FloatArray, latents: FloatArray) -> ShapeSpace:
        """The space of decoded shapes (N, V, 3) with latents (N, d), rounded as in a file.

        Raises
        ------
        PriorError
            If shapes are not finite.
        """
        if not np.isfinite(shapes).all():
            raise PriorError(
                "The shapes of this prior are no numbers: its training diverged. Train it with a lower learning rate."
            )
        count, mean, latent_mean = len(shapes), shapes.mean(axis=0), latents.mean(axis=0)
        scores, lengths, directions = np.linalg.svd((shapes - mean).reshape(count, -1), full_matrices=False)
        kept = min(int(np.count_nonzero(lengths > _LEAST_DEVIATION * lengths[0])), count - 1, _MOST_MODES)
        root = max(count - 1, 1) ** 0.5
        modes = (directions[:kept] * (lengths[:kept, None] / root)).reshape(kept, *mean.shape)
        latent_modes = (latents - latent_mean).T @ scores[:, :kept] / root
        exact = cls(
            mean.astype(np.float32).astype(np.float64),
            np.asarray(modes.transpose(1, 2, 0), dtype=np.float32),
            latent_mean.astype(np.float32),
            latent_modes.astype(np.float32),
        )
        return cls.unpacked(exact.packed())

    def packed(self) -> dict[str, Tensor]:
        """Tensors for a prior's file, under names with `PREFIX`: modes take eight bits a number."""
        modes, sizes = _rounded(self.modes.reshape(self.mean.size, self.modes.shape[2]))
        latent_modes, latent_sizes = _rounded(self.latent_modes)
        arrays = {
            "mean": self.mean.astype(np.float32),
            "modes": modes,
            "mode_sizes": sizes,
            "latent_mean": self.latent_mean,
            "latent_modes": latent_modes,
            "latent_mode_sizes": latent_sizes,
        }
        return {PREFIX + name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in arrays.items()}

    @classmethod
    def unpacked(cls, tensors: Mapping[str, Tensor]) -> ShapeSpace:
        """The space in a prior's file.

        Raises
        ------
        KeyError, ValueError
            If tensors are missing or of sizes that do not fit each other.
        """
        arrays = {name.removeprefix(PREFIX): tensor.numpy() for name, tensor in tensors.items()}
        mean = arrays["mean"].astype(np.float64)
        if mean.shape != icosphere(LEVEL).vertices.shape:
            raise ValueError("a mean shape of a wrong size")
        modes = arrays["modes"] * arrays["mode_sizes"]
        latent_modes = arrays["latent_modes"] * arrays["latent_mode_sizes"]
        if len(latent_modes) != len(arrays["latent_mean"]) or latent_modes.shape[1] != modes.shape[1]:
            raise ValueError("latent modes of a wrong size")
        if not all(np.isfinite(array).all() for array in arrays.values()):
            raise ValueError("not-a-number in the shape space")
        return cls(mean, modes.reshape(*mean.shape, modes.shape[1]), arrays["latent_mean"], latent_modes)

    def reflected(self) -> ShapeSpace:
        """The space of the shapes' mirror images, left and right swapped, in the same latents."""
        flip, vertices = np.array([-1.0, 1.0, 1.0]), icosphere(LEVEL).vertices
        partner = np.argmin(((vertices[:, None] - vertices * flip) ** 2).sum(axis=2), axis=1)
        modes = self.modes[partner] * flip.astype(np.float32)[:, None]
        return replace(self, mean=self.mean[partner] * flip, modes=modes)

    def latent(self, coefficients: FloatArray) -> NDArray[np.float32]:
        """The latent (d,) whose decoded shape has these coefficients, to first order."""
        return np.asarray(self.latent_mean + self.latent_modes @ coefficients, dtype=np.float32)


def _rounded(columns: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Columns (N, M) as whole numbers of one step (M,) each."""
    steps = np.maximum(np.abs(columns).max(axis=0, initial=0.0), np.finfo(np.float32).tiny) / np.float32(_STEPS)
    return np.round(columns / steps).astype(np.int8), steps.astype(np.float32)
