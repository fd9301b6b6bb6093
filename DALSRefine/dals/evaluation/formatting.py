"""Formatting of numbers."""

from __future__ import annotations

_LARGE = 100.0


def volume_text(millilitres: float) -> str:
    """A volume with three significant digits, or without decimals from 100 on: "3.21", "1523"."""
    return f"{millilitres:.0f}" if abs(millilitres) >= _LARGE else f"{millilitres:.3g}"
