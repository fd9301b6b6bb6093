"""Whether what was measured on the same cases differs by more than chance."""

from __future__ import annotations

import numpy as np
from scipy.stats import wilcoxon

from dals.geometry.mesh import FloatArray


def signed_rank_p(first: FloatArray, second: FloatArray) -> float:
    """The p of Wilcoxon's signed-rank test, two-sided, of paired values (N,); not-a-number where no pair differs."""
    return float(wilcoxon(first, second).pvalue) if np.any(first != second) else float("nan")
