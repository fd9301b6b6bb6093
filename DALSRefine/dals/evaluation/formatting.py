"""Numbers as people read them."""

from __future__ import annotations

_LARGE = 100.0


def volume_text(millilitres: float) -> str:
    """A volume with three digits where it is small and without decimals where it is large: "3.21", "1523"."""
    return f"{millilitres:.0f}" if abs(millilitres) >= _LARGE else f"{millilitres:.3g}"
