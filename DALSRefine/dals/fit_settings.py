"""Settings of a fit: the weights of Eq. 3, the steps and the learning rates."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from typing import Literal

from dals.errors import InputError

Edits = Literal["applied", "proposed", "all"]

_RENAMED = {
    "reach": "robust_scale",
    "starts": "initial_scales",
    "retrieved": "initial_shapes",
    "snapping": "projection_distance",
    "untangled": "removing_folds",
}
"""Former names of settings."""


LARGEST_SEED = 2**64 - 1
"""What a random number generator of torch takes."""

Method = Literal["adam", "gauss-newton"]


@dataclass(frozen=True)
class FitSettings:
    """Settings of a fit. The defaults of a kind of observation are its `defaults`: `PlanarContours.defaults`.

    A fit has up to two stages. The shared stage fits one latent for all vertices, and the pose unless it is known.
    The local stage fits one latent per vertex.

    Attributes
    ----------
    method : "adam" or "gauss-newton"
        How the energy is minimised. Kinds of observation without residuals for Gauss-Newton are fitted by Adam.
        Gauss-Newton counts everything in standard deviations: lambda_prior, lambda_dir and lambda_scale are weights of
        their squares, and the settings of Adam, of samples and of initialisations have no effect.
    lambda_reg : float
        Weight of the triangle quality L_reg (Eq. 2).
    lambda_dir : float
        Weight of the Dirichlet energy of the latents L_dir (Eq. 4). Infinity keeps one latent for all vertices;
        0 leaves the latents free.
    evidence_power : float
        lambda_prior, lambda_scale and lambda_dir are divided by the amount of evidence to this power. An amount of 1 is
        2,500 points or three independent planes (`dals.fitting.evidence`). 0, as in the paper, leaves the weights
        unchanged.
    power : int
        p of Eq. 4.
    lambda_prior : float
        Weight of the squared length of the shared latent, in standard deviations of the training latents (mean over
        dimensions); 0 in the paper.
    lambda_scale : float
        Weight of the squared deviation of the organ's size from the training shapes', in standard deviations of its
        logarithm. Above the usual size, Gauss-Newton takes it for 0.04 at most. Used only where the pose is estimated.
    shared_steps, local_steps : int
        Adam steps of the two stages.
    pose_rate, shared_rate, local_rate : float
        Learning rates.
    decaying : bool
        Whether learning rates fall along a cosine to a twentieth within each stage.
    whitened : bool
        Whether Adam works on whitened latents (standard deviations along the principal directions). Otherwise it works
        on the latents themselves, as in the paper.
    shared_level, level : int
        Subdivision level of the template in the shared stage and in the end. The surface of contours and points is a
        level finer.
    level_shares : tuple of float
        Shares of the local steps on templates from coarse to fine; the last template is that of the result. Each
        template has a quarter of the vertices of the next, so its steps are faster and move the surface further.
    initial_scales : tuple of float
        Factors on the first guess of the scale. Each gives one initialisation where the pose is estimated.
    initial_shapes : int
        Number of training shapes, those that agree best, that serve as further initialisations.
    rotating : bool
        Whether an estimated pose may rotate.
    points : int
        Points sampled on the mesh (and at most from the observation) for the Chamfer loss.
    points_per_plane : int
        Points sampled on each plane for the slice Chamfer loss.
    robust_scale : float
        Robust-loss scale, a canonical distance; infinite in the paper. For contours, the squared distance of the mesh's
        section from the contours levels off beyond it: such a section may belong to a part that was not outlined. For
        segmentations, the squared distance between boundary and mesh grows linearly beyond it: the boundary may be
        wrong there, but still counts.
    coverage : float
        For segmentations: weight of the distance from the boundary to the mesh. It is 0 in the paper, whose loss
        measures only from the mesh to the boundary and therefore lets the mesh shrink.
    projection_distance : float
        For segmentations: canonical distance within which vertices are finally projected onto the boundary. 0, as in
        the paper, turns the projection off.
    removing_folds : bool
        Whether small folds of the result are smoothed away; not in the paper.
    edits : "applied", "proposed", "all" or None
        For segmentations: which edits are carried out: those that are probably right, none (all are only proposed), or
        the doubtful ones, too. None fits a surface of the template instead, as in the paper.
    complete : bool
        For segmentations with edits: whether an organ that the image's border cuts off is continued beyond it.
    seed : int
    """

    method: Method = "adam"
    lambda_reg: float = 1e-3
    lambda_dir: float = 0.2
    power: int = 2
    lambda_prior: float = 0.0
    lambda_scale: float = 0.0
    evidence_power: float = 0.0
    shared_steps: int = 100
    local_steps: int = 60
    pose_rate: float = 2e-2
    shared_rate: float = 5e-2
    local_rate: float = 5e-2
    decaying: bool = True
    whitened: bool = True
    shared_level: int = 3
    level: int = 4
    level_shares: tuple[float, ...] = (1.0,)
    initial_scales: tuple[float, ...] = (1.0,)
    initial_shapes: int = 0
    rotating: bool = False
    points: int = 2_500
    points_per_plane: int = 1_000
    robust_scale: float = math.inf
    coverage: float = 0.0
    projection_distance: float = 0.0
    removing_folds: bool = True
    edits: Edits | None = None
    complete: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.seed <= LARGEST_SEED:
            raise InputError(f"The seed must be a whole number from 0 to {LARGEST_SEED}, not {self.seed}.")

    @property
    def single_latent(self) -> bool:
        """Whether all vertices keep one latent."""
        return math.isinf(self.lambda_dir)

    @property
    def total_steps(self) -> int:
        """Steps of all stages together with a single initialisation."""
        return self.shared_steps + (0 if self.single_latent else self.local_steps)

    def local_schedule(self) -> list[tuple[int, int]]:
        """Levels of the local stage from coarse to fine, and the steps on each."""
        shares = self.level_shares[-(self.level + 1) :]
        ends = [round(self.local_steps * sum(shares[: i + 1]) / sum(shares)) for i in range(len(shares))]
        starts = [0, *ends[:-1]]
        return [(self.level - len(shares) + 1 + i, ends[i] - starts[i]) for i in range(len(shares))]

    @classmethod
    def of_paper(cls, *, lambda_reg: float, lambda_dir: float) -> FitSettings:
        """The paper's settings with the weights of one of its tables: 250 Adam steps at 1e-3 from the mean latent."""
        single = math.isinf(lambda_dir)
        return cls(
            lambda_reg=lambda_reg,
            lambda_dir=lambda_dir,
            shared_steps=250 if single else 0,
            local_steps=0 if single else 250,
            shared_rate=1e-3,
            local_rate=1e-3,
            pose_rate=1e-3,
            decaying=False,
            removing_folds=False,
            whitened=False,
            shared_level=4,
            points_per_plane=5_000,
        )

    def changed(self, **options: object) -> FitSettings:
        """A copy with the options that are not None.

        Raises
        ------
        InputError
            If there is no setting of that name; for a former name it gives the present one.
        """
        known = {field.name for field in fields(self)}
        for name in options:
            if name not in known:
                hint = (
                    f"it is now called {_RENAMED[name]}"
                    if name in _RENAMED
                    else f"there are {', '.join(sorted(known))}"
                )
                raise InputError(f"A fit has no setting {name!r}; {hint}.")
        return replace(self, **{k: v for k, v in options.items() if v is not None})  # type: ignore[arg-type]
