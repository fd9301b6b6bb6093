"""Places of the body in words."""

from __future__ import annotations

from dals.geometry.mesh import FloatArray


def place_text(place: FloatArray) -> str:
    """A point (3,), RAS mm, as Slicer shows it: "R 12, A 40, S 130 mm"."""
    letters = ("RL", "AP", "SI")
    parts = [
        f"{pair[0] if value >= 0 else pair[1]} {abs(value):.0f}" for pair, value in zip(letters, place, strict=True)
    ]
    return ", ".join(parts) + " mm"
