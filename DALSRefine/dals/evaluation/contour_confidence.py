"""Whether a surface fitted to contours can be trusted."""

from __future__ import annotations

import math

import numpy as np

from dals.evaluation.confidence import Confidence, Level, confidence_in
from dals.evaluation.contour_residuals import MISSED_MM, Deviation, missed_contours, straying_sections, straying_share
from dals.evaluation.undrawn_sections import expected_sections
from dals.fitting import FitResult
from dals.fitting.first_guess import first_guess
from dals.fitting.precise_decoder import PreciseDecoder
from dals.geometry.mesh import TriangleMesh
from dals.geometry.places import place_text
from dals.model.prior import ShapePrior
from dals.observations import PlanarContours

_MISSED_SHARE, _MISSED_FAR_MM = 0.1, 10.0
"""Share of what was drawn on a plane, or distance, from which a missed contour lowers the level. Less is the tip of a
lobe, and does not go with a worse surface (`docs/decisions/021-departures.md`)."""
STRAYING_MM = 10.0
"""Sections this far from all contours of their plane are not a matter of drawing."""
_STRAYING_SHARE = 0.1
"""Share of all sections. Less is mostly a part of the organ that was not outlined: in 135 fits of livers (BTCV) it was
8% at most, in good ones as in bad ones."""
_STRAYING_FROM_MM = 6.0
UNUSUAL_DEVIATIONS = 2.0
"""Root mean square of the shared latent, in standard deviations over the training shapes."""

_LITTLE = math.exp(-0.55)
"""Share of the usual organ's extent that was drawn, below which its size is a guess. On three planes through the middle
of livers, kidneys, spleens, hippocampi, parotid glands and brainstems it is 0.68 and more."""
_TEMPLATE_LEVEL = 2


@confidence_in.register
def contour_confidence(
    observation: PlanarContours, result: FitResult, prior: ShapePrior, mesh: TriangleMesh
) -> Confidence:
    """Judge a surface by contours it misses, sections where nothing was drawn, its latent, and how much was drawn.

    Parameters are those of `confidence_in`.
    """
    missed = [found for found in missed_contours(observation, mesh) if found.millimetres > MISSED_MM]
    grave = [found for found in missed if found.share > _MISSED_SHARE or found.millimetres > _MISSED_FAR_MM]
    reasons, notes = [_missed(found) for found in grave], [_missed(found) for found in missed if found not in grave]
    straying = [found for found in straying_sections(observation, mesh) if found.millimetres > STRAYING_MM]
    sentences = [_straying(found) for found in straying]
    share = straying_share(observation, mesh, beyond_mm=_STRAYING_FROM_MM)
    (reasons if share > _STRAYING_SHARE else notes).extend(sentences)
    if result.plain is not None:
        told = {found.name for found in straying}
        expected = expected_sections(observation, result.plain)
        notes += [_expected(found) for found in expected if found.name not in told]
    drawn = _drawn_share(observation, prior)
    if drawn < _LITTLE:
        reasons.append(
            f"What was drawn spans {100 * drawn:.0f}% of what the prior {prior.name} usually does. How far the organ "
            "reaches beyond is a guess. Draw it along its whole length, or check that it is the right prior."
        )
    unusual = latent_deviation(result, prior)
    if unusual > UNUSUAL_DEVIATIONS:
        reasons.append(f"{unusual_shape(unusual, prior)} It may be wrong between the contours.")
    level: Level = "medium" if reasons else "high"
    return Confidence(level=level, reasons=tuple(reasons), notes=tuple(notes))


def _drawn_share(observation: PlanarContours, prior: ShapePrior) -> float:
    """Extent of what was drawn, as a share of that of the usual organ."""
    decoder = PreciseDecoder(prior)
    mean = decoder.vertices(np.zeros((1, decoder.size)), _TEMPLATE_LEVEL)
    return first_guess(observation, mean).scale / math.exp(prior.log_scale[0])


def _missed(found: Deviation) -> str:
    return (
        f"The surface misses the contour '{found.name}' by up to {found.millimetres:.0f} mm, at "
        f"{place_text(found.place)}."
    )


def _straying(found: Deviation) -> str:
    return (
        f"On the plane of the contour '{found.name}' the surface strays up to {found.millimetres:.0f} mm from what was "
        f"outlined, at {place_text(found.place)}. Outline all of the organ on that plane, mark the plane as "
        "incomplete, or add a plane there."
    )


def _expected(found: Deviation) -> str:
    return (
        f"On the plane of the contour '{found.name}' the prior expects another section, up to {found.millimetres:.0f} "
        f"mm from what was outlined, at {place_text(found.place)}. If the organ is there, outline it or mark the plane "
        "as incomplete: without it a lobe may be missing."
    )


def unusual_shape(deviations: float, prior: ShapePrior) -> str:
    """Say that a latent is far from the mean."""
    return f"The shape is unusual for the prior {prior.name}: {deviations:.1f} standard deviations from its mean."


def latent_deviation(result: FitResult, prior: ShapePrior) -> float:
    """Root mean square of the shared latent's whitened coordinates; about 1 for a training shape."""
    basis = prior.latent_basis.cpu().double().numpy()
    offset = result.state.shared - prior.latent_mean.cpu().numpy()
    coordinates = offset.astype(np.float64) @ (basis / np.square(basis).sum(axis=0))
    return float(np.sqrt(np.mean(np.square(coordinates))))
