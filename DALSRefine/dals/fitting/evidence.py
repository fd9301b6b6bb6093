"""How far the prior is trusted beside what was observed."""

from __future__ import annotations

from dals.fit_settings import FitSettings
from dals.fitting.data_term import evidence
from dals.observations import Observation


def weighed(settings: FitSettings, observation: Observation) -> FitSettings:
    """The settings with the prior's weights in proportion to what was observed.

    A task loss is a mean over what was observed. lambda_prior, lambda_scale and lambda_dir fall with the power
    `evidence_power` of the amount of it. The power is 1 where observations err independently, as points do. Planes are
    worth somewhat more, measured on livers. The result's own power is 0: what was weighed stays as it is.
    """
    if settings.evidence_power == 0:
        return settings
    share = evidence(observation) ** -settings.evidence_power
    return settings.changed(
        lambda_prior=share * settings.lambda_prior,
        lambda_scale=share * settings.lambda_scale,
        lambda_dir=share * settings.lambda_dir,
        evidence_power=0.0,
    )
