"""Settings of a training, stored in the card of the prior."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

from dals.model.decoder import DecoderSettings
from dals.training.augmentation import PointWolfSettings


@dataclass(frozen=True)
class TrainingSettings:
    """Settings of Eq. 1 and of its optimiser.

    The defaults are those of this project. `TrainingSettings.paper()` gives the published ones.

    Attributes
    ----------
    decoder : DecoderSettings
    augmentation : PointWolfSettings
    variants : int
        Warped copies of each training shape, each with its own latent.
    real_share : float or None
        Share of unwarped shapes in a batch; None draws all shapes uniformly.
    latent_start : "descriptor" or "random"
        Initialisation of the latents: principal components of a shape descriptor, so that similar shapes have
        similar latents from the first step, or small random vectors.
    latent_scale : float
        Root mean square length of the initial latents.
    template_level : int
        Subdivision level of the template.
    template_radius : float
        Radius of the template, canonical units.
    points : int
        Points drawn from prediction and target in each step.
    lambda_reg, lambda_norm : float
        Weights of the triangle quality and of the squared latent length.
    lambda_volume : float
        Weight of the squared lack of volume: a surface that encloses less than half of the smallest shape's volume,
        or is inside out, costs.
    lambda_blend : float
        Weight of the squared distance between the surface of a blend of latents and the blend of their surfaces; 0
        leaves it out, and a step is twice as fast.
    displacement_start : float
        Factor of the initial displacements: small ones start from a sphere that is right side out.
    mean_decay : float
        Share that a step keeps of the running mean of weights and latents, which is the result; 0 takes the last step.
    batch_size : int
        Shapes per step, over all processes.
    learning_rate, min_learning_rate : float
    warm_up : int
        Steps over which the learning rate rises from zero.
    schedule : "cosine" or "plateau"
        Cosine decay over the whole run, or halving after `patience` epochs without improvement.
    patience : int
    epochs : int
        Upper bound. An epoch draws as many shapes as there are latents.
    precision : "bfloat16" or "float32"
        Precision of the hidden layers during training. The weights stay float32.
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
    lambda_volume: float = 1e-2
    lambda_blend: float = 0.0
    displacement_start: float = 0.05
    mean_decay: float = 0.999
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
        """The settings of the paper and its authors' code."""
        return cls(
            variants=100,
            real_share=None,
            latent_start="random",
            latent_scale=0.01,
            template_radius=0.1,
            points=10_000,
            lambda_reg=1e-4,
            lambda_norm=1e-3,
            lambda_volume=0.0,
            displacement_start=1.0,
            mean_decay=0.0,
            warm_up=0,
            schedule="plateau",
            precision="float32",
        )

    def changed(self, **options: object) -> TrainingSettings:
        """A copy with those options that are not None."""
        return replace(self, **{k: v for k, v in options.items() if v is not None})  # type: ignore[arg-type]
