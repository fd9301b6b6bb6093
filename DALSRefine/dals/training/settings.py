"""How a prior is trained; stored in its card."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

from dals.model.decoder import DecoderSettings
from dals.training.augmentation import PointWolfSettings


@dataclass(frozen=True)
class TrainingSettings:
    """Settings of Eq. 1 and of its optimiser.

    The defaults are this project's recipe; `TrainingSettings.paper()` is the published one.

    Attributes
    ----------
    decoder : DecoderSettings
    augmentation : PointWolfSettings
    variants : int
        Warped copies of each training shape; each has its own latent.
    real_share : float or None
        Share of the visits that go to unwarped shapes; None visits all shapes alike.
    latent_start : "descriptor" or "random"
        Where latents start: at the principal components of a shape descriptor, so that
        alike shapes are alike from the first step, or at small random vectors.
    latent_scale : float
        Root mean square length of the starting latents.
    template_level : int
        Subdivision level of the template during training.
    template_radius : float
        Radius of the template that the decoder sees, canonical units.
    points : int
        Points drawn from the prediction and from the target at each visit.
    lambda_reg, lambda_norm : float
        Weights of the triangle quality and of the latents' squared length.
    batch_size : int
        Shapes in one step, over all processes.
    learning_rate, min_learning_rate : float
    warm_up : int
        Steps over which the learning rate first rises from nothing. Without it the first steps may turn
        the sphere inside out, where it stays: the Chamfer distance does not see orientation
        (`dals.model.prior.right_side_out` mirrors what comes of it).
    schedule : "cosine" or "plateau"
        Cosine decay over the whole budget, or halving after `patience` epochs without
        improvement of the epoch's loss.
    patience : int
    epochs : int
        Upper bound; an epoch visits as many shapes as there are latents.
    precision : "bfloat16" or "float32"
        Of the decoder's hidden layers while training; the weights stay float32.
    seed : int
    """

    decoder: DecoderSettings = field(default_factory=DecoderSettings)
    augmentation: PointWolfSettings = field(default_factory=PointWolfSettings)
    variants: int = 30
    real_share: float | None = 0.25
    latent_start: Literal["descriptor", "random"] = "descriptor"
    latent_scale: float = 1.0
    template_level: int = 3
    template_radius: float = 1.0
    points: int = 2500
    lambda_reg: float = 5e-4
    lambda_norm: float = 1e-5
    batch_size: int = 8
    learning_rate: float = 2e-3
    min_learning_rate: float = 1e-5
    warm_up: int = 200
    schedule: Literal["cosine", "plateau"] = "cosine"
    patience: int = 100
    epochs: int = 1000
    precision: Literal["bfloat16", "float32"] = "bfloat16"
    seed: int = 0

    @classmethod
    def paper(cls) -> TrainingSettings:
        """The recipe of the paper and its authors' code."""
        return cls(
            variants=100,
            real_share=None,
            latent_start="random",
            latent_scale=0.01,
            template_radius=0.1,
            points=10_000,
            lambda_reg=1e-4,
            lambda_norm=1e-3,
            warm_up=0,
            schedule="plateau",
            precision="float32",
        )

    def changed(self, **options: object) -> TrainingSettings:
        """A copy with the options that are not None."""
        return replace(self, **{k: v for k, v in options.items() if v is not None})  # type: ignore[arg-type]
