"""Curves with error bands, written as PNG."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np

from benchmarks.comparison.report import COLUMNS, Row, curve
from dals.io.atomic import atomic_path

_MARKERS = "osD^vP*Xdhp<>"
_OURS = {"DALS": "black", "DALS by Adam": "dimgray", "DALS global": "darkgray"}
"""Colours of the project's own method: those of the others come from a map."""


def draw_curves(
    path: Path,
    rows: Sequence[Row],
    *,
    systems: Sequence[str],
    position: Callable[[Row], float],
    label: str,
    columns: Sequence[str] = ("chamfer", "hausdorff", "f_score_1", "quality"),
    logarithmic: bool = False,
    title: str = "",
) -> None:
    """A panel for each metric, a line for each system, bands of one standard deviation.

    Parameters
    ----------
    path : Path
        The PNG.
    rows : sequence of dict
    systems : sequence of str
        In the order of the legend; those without rows are left out. The project's own are drawn thicker.
    position : callable
        A row's place on the horizontal axis.
    label : str
        Of that axis.
    columns : sequence of str
        Metrics.
    logarithmic : bool
        Whether the horizontal axis is.
    title : str
    """
    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, len(columns), figsize=(4.6 * len(columns), 4.6), squeeze=False)
    colours = plt.get_cmap("tab20")(np.linspace(0, 1, 20))
    for index, system in enumerate(systems):
        colour = _OURS.get(system, colours[(2 * index) % 20 + (2 * index) // 20])
        style = {"color": colour, "marker": _MARKERS[index % len(_MARKERS)]}
        for axis, column in zip(axes[0], columns, strict=True):
            places, means, deviations = curve(rows, system, column, position)
            if not places:
                continue
            low, high = np.subtract(means, deviations), np.add(means, deviations)
            if column == "chamfer":  # on a logarithmic axis a band must not reach zero
                low = np.maximum(low, 0.5 * np.array(means))
            axis.plot(places, means, label=system, linewidth=2.4 if system.startswith("DALS") else 1.2, ms=4, **style)
            axis.fill_between(places, low, high, color=style["color"], alpha=0.12, linewidth=0)
    for axis, column in zip(axes[0], columns, strict=True):
        axis.set_title(COLUMNS[column][0].replace(" (1e-3)", ""))
        axis.set_xlabel(label)
        axis.grid(alpha=0.3)
        if column in ("chamfer", "hausdorff"):
            axis.set_yscale("log")
        if logarithmic:
            axis.set_xscale("log")
    handles, labels = axes[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="lower center", ncol=min(len(labels), 7) or 1, frameon=False)
    figure.suptitle(title)
    figure.tight_layout(rect=(0, 0.12, 1, 0.98))
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=130, format="png")
    plt.close(figure)
