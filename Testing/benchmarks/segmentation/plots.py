"""Pictures of the comparison: paired plots, outlines on slices, surfaces side by side."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.segmentation.rows import Row
from benchmarks.segmentation.table import DICE, DISTANCES, Pair, pairs_of
from dals.demo.offscreen import can_render
from dals.demo.rendering import Panel, Surface, render_meshes
from dals.geometry.cross_sections import section_loops
from dals.geometry.label_map import LabelMap
from dals.geometry.mesh import FloatArray, TriangleMesh
from dals.io.atomic import atomic_path

mpl.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke

DPI = 100
PALETTE = 256
BETTER, WORSE = "#2166ac", "#d6604d"
COLOURS = {"raw": (0.95, 0.55, 0.10), "refined": (0.20, 0.60, 1.00), "truth": (0.25, 0.80, 0.30)}
_NUDGE_MM = 0.01
"""Off the voxels' centres, where vertices of label maps' surfaces lie: sections through vertices do not close."""


@dataclass(frozen=True, eq=False)
class Example:
    """A case to be drawn.

    Attributes
    ----------
    title : str
    raw, refined, truth : TriangleMesh
        RAS mm.
    image : (K, J, I) float32, optional
    organ, differing : LabelMap, optional
        On the image's grid, which lies along the body's axes: the truth, and what raw and refined segmentation do not
        have in common.
    """

    title: str
    raw: TriangleMesh
    refined: TriangleMesh
    truth: TriangleMesh
    image: NDArray[np.float32] | None = None
    organ: LabelMap | None = None
    differing: LabelMap | None = None

    @property
    def surfaces(self) -> dict[str, TriangleMesh]:
        """By name, as in `COLOURS`."""
        return {"raw": self.raw, "refined": self.refined, "truth": self.truth}


def paired_plot(path: Path, rows: list[Row], panels: Sequence[tuple[str, str]], *, titles: Sequence[str]) -> None:
    """Dice and Hausdorff distance of each case, raw and with a method.

    Parameters
    ----------
    path : Path
        PNG.
    rows : list of Row
    panels : sequence of (str, str)
        Group and method of each column.
    titles : sequence of str
        Of the columns.
    """
    figure, axes = plt.subplots(2, len(panels), figsize=(2.6 * len(panels) + 0.6, 6.4), sharey="row", squeeze=False)
    for column, ((group, method), title) in enumerate(zip(panels, titles, strict=True)):
        pairs = pairs_of(rows, group, method)
        for axis, metric, sign in zip(axes[:, column], (DICE, DISTANCES[0]), (1, -1), strict=True):
            _paired_lines(axis, pairs, metric.name, sign)
            axis.set_xticks([0, 1], ["raw", method])
            axis.set_xlim(-0.25, 1.25)
            axis.grid(axis="y", alpha=0.3)
            if column == 0:
                axis.set_ylabel(metric.title)
        axes[0, column].set_title(title, fontsize=10)
    figure.suptitle("each line a case: blue better, red worse; black the mean", fontsize=9, y=0.995)
    figure.tight_layout()
    _save(path, figure)


def slices_picture(path: Path, examples: Sequence[Example]) -> None:
    """Outlines on the axial, coronal and sagittal slice where raw and refined segmentation differ most.

    Of those on which the organ is at least half as large as on its largest.
    """
    figure, axes = plt.subplots(len(examples), 3, figsize=(9, 3.1 * len(examples) + 0.5), squeeze=False)
    for row, example in enumerate(examples):
        for column, (name, normal) in enumerate((("axial", 2), ("coronal", 1), ("sagittal", 0))):
            _slice(axes[row, column], example, normal)
            axes[row, column].set_title(name if column else f"{example.title}\n{name}", fontsize=8, loc="left")
    handles = [Line2D([], [], color=colour, label=name) for name, colour in COLOURS.items()]
    figure.legend(handles=handles, loc="lower center", ncols=3, fontsize=9, frameon=False)
    figure.tight_layout(rect=(0, 0.03, 1, 1))
    _save(path, figure)


def surfaces_picture(path: Path, examples: Sequence[Example], *, view_from: tuple[float, float, float]) -> None:
    """Raw, refined and true surface of each example in a row; does nothing where there is no off-screen OpenGL."""
    if not can_render():
        print(f"{path.name} is not drawn: this machine offers no off-screen OpenGL")
        return
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for example in examples:
            part = Path(folder) / "row.png"
            panels = [
                Panel(title=name, surfaces=[Surface(mesh=mesh, colour=COLOURS[name])])
                for name, mesh in example.surfaces.items()
            ]
            render_meshes(part, panels, size=(300, 240), view_from=view_from)
            rows.append(plt.imread(part)[..., :3])
    figure, axes = plt.subplots(len(rows), 1, figsize=(9, 2.7 * len(rows)), squeeze=False)
    for axis, pixels, example in zip(axes[:, 0], rows, examples, strict=True):
        axis.imshow(pixels)
        axis.set_title(example.title, fontsize=9, loc="left")
        axis.axis("off")
    figure.tight_layout()
    _save(path, figure)


def _paired_lines(axis: Any, pairs: list[Pair], name: str, sign: int) -> None:
    values = np.array([[getattr(row, name) for row in pair] for pair in pairs], dtype=np.float64).reshape(-1, 2)
    values = values[np.isfinite(values).all(axis=1)]
    for before, after in values:
        colour = BETTER if sign * (after - before) >= 0 else WORSE
        axis.plot([0, 1], [before, after], color=colour, alpha=0.55, linewidth=1, marker="o", markersize=2.5)
    if len(values):
        axis.plot([0, 1], values.mean(axis=0), color="black", linewidth=2.5, marker="o")


def _slice(axis: Any, example: Example, normal: int) -> None:
    """Draw the image's slice across an axis of RAS, as radiologists see it, with all outlines."""
    assert example.image is not None
    assert example.organ is not None
    assert example.differing is not None
    grid, index = example.organ, busiest_slice(example.differing, example.organ, 2 - normal)
    across, up = [a for a in range(3) if a != normal]
    pixels = example.image.take(index, 2 - normal)  # of (K, J, I)
    low, high = np.percentile(example.image, (1, 99.5))
    extent = [*_range(grid, across), *_range(grid, up)]
    axis.imshow(pixels, cmap="gray", vmin=low, vmax=high, origin="lower", extent=extent, interpolation="nearest")
    origin = np.zeros(3)
    origin[normal] = grid.ijk_to_ras[normal, normal] * index + grid.ijk_to_ras[normal, 3] + _NUDGE_MM
    for name, mesh in example.surfaces.items():
        for loop in section_loops(mesh, origin, np.eye(3)[normal]):
            closed = np.vstack([loop, loop[:1]])
            axis.plot(closed[:, across], closed[:, up], color=COLOURS[name], linewidth=1.4)
    axis.set_xlim(max(extent[:2]), min(extent[:2]))  # the patient's right, or the front, is on the left
    axis.set_ylim(min(extent[2:]), max(extent[2:]))
    axis.set_xticks([])
    axis.set_yticks([])
    left, right, top = ("A", "P", "S") if normal == 0 else ("R", "L", "S" if normal == 1 else "A")
    for letter, place in ((left, (0.03, 0.5)), (right, (0.97, 0.5)), (top, (0.5, 0.95))):
        text = axis.text(*place, letter, transform=axis.transAxes, color="white", ha="center", va="center", fontsize=8)
        text.set_path_effects([withStroke(linewidth=2, foreground="black")])
    axis.set_anchor("N")


def busiest_slice(differing: LabelMap, organ: LabelMap, axis: int) -> int:
    """Index, along an axis of the arrays, of the slice on which most differs, of those that show the organ well."""
    others = tuple({0, 1, 2} - {axis})
    area = organ.array.sum(axis=others)
    return int(np.where(2 * area >= area.max(), differing.array.sum(axis=others), -1).argmax())


def _range(grid: LabelMap, axis: int) -> FloatArray:
    """Where the first and the last voxel along an axis end, mm, RAS."""
    ends = np.array([-0.5, grid.array.shape[2 - axis] - 0.5])
    return np.asarray(grid.ijk_to_ras[axis, axis] * ends + grid.ijk_to_ras[axis, 3])


def _save(path: Path, figure: Any) -> None:
    """Write a PNG with a palette, which takes a third of the room."""
    drawn = io.BytesIO()
    figure.savefig(drawn, dpi=DPI, format="png")
    plt.close(figure)
    with atomic_path(path) as temporary:
        Image.open(drawn).convert("RGB").quantize(PALETTE).save(temporary, format="PNG", optimize=True)
