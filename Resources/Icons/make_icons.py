"""Draw the icons of the extension and of its module from the SVG: `python Resources/Icons/make_icons.py`.

Matplotlib draws what the SVG is made of: paths of absolute moves, cubic curves and closings, in plain colours.
Run it again after a change of the SVG.
"""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch
from matplotlib.path import Path as Outline

HERE = Path(__file__).resolve().parent
SOURCE = HERE / "DALSRefine.svg"
TARGETS = (HERE / "DALSRefine.png", HERE.parents[1] / "DALSRefine" / "Resources" / "Icons" / "DALSRefine.png")
SIZE = 128
"""Pixels, and units of the SVG, in each direction."""
_PATH = "{http://www.w3.org/2000/svg}path"
_CODES = {"M": (Outline.MOVETO,), "C": (Outline.CURVE4,) * 3, "Z": (Outline.CLOSEPOLY,)}
_POINTS_PER_INCH = 72


def main() -> None:
    """Draw every icon."""
    for target in TARGETS:
        draw(target, size=SIZE)


def draw(path: Path, *, size: int) -> None:
    """Draw the SVG as a square PNG with a transparent background.

    Parameters
    ----------
    path : Path
        The PNG.
    size : int
        Pixels in each direction.
    """
    figure = Figure(figsize=(1, 1), dpi=size)
    canvas = FigureCanvasAgg(figure)
    figure.patch.set_alpha(0.0)
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0), frameon=False)
    axes.set(xlim=(0, SIZE), ylim=(SIZE, 0), xticks=(), yticks=())  # downwards, as in SVG
    for element in ElementTree.parse(SOURCE).iter(_PATH):
        axes.add_patch(_patch(element.attrib))
    with mpl.rc_context({"savefig.facecolor": "none"}):
        canvas.print_png(path, metadata={"Software": None})  # the same bytes whatever draws it


def _patch(attributes: dict[str, str]) -> PathPatch:
    """One path of the SVG; a colour without a stroke or fill opacity of its own is opaque."""
    points_per_unit = _POINTS_PER_INCH / SIZE
    return PathPatch(
        outline(attributes["d"]),
        facecolor=_colour(attributes, "fill"),
        edgecolor=_colour(attributes, "stroke"),
        linewidth=float(attributes.get("stroke-width", "0")) * points_per_unit,
        capstyle="round",
        joinstyle="round",
    )


def _colour(attributes: dict[str, str], role: str) -> tuple[str, float]:
    return attributes.get(role, "none"), float(attributes.get(f"{role}-opacity", "1"))


def outline(text: str) -> Outline:
    """The `d` of an SVG path as vertices and codes.

    Raises
    ------
    ValueError
        For any command but M, C and Z with the right number of coordinates.
    """
    vertices: list[tuple[float, float]] = []
    codes: list[int] = []
    for command, numbers in re.findall(r"([A-Za-z])([^A-Za-z]*)", text):
        values = [float(number) for number in numbers.replace(",", " ").split()]
        steps = _CODES.get(command, ())
        points = list(zip(values[::2], values[1::2], strict=True)) or vertices[:1]
        if not steps or len(points) % len(steps):
            raise ValueError(f"the path command {command!r} with {len(values)} numbers is not drawn")
        vertices += points
        codes += [int(code) for code in steps] * (len(points) // len(steps))
    return Outline(vertices, codes)


if __name__ == "__main__":
    main()
