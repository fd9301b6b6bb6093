"""Formatting of numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_LARGE = 100.0


def volume_text(millilitres: float) -> str:
    """A volume with three significant digits, or without decimals from 100 on: "3.21", "1523"."""
    return f"{millilitres:.0f}" if abs(millilitres) >= _LARGE else f"{millilitres:.3g}"


def interval_text(report: Mapping[str, Any]) -> str:
    """The volume of a report, with its interval where there is one: "1511 ml (1430 to 1590)"."""
    volume = f"{volume_text(report['volume_ml'])} ml"
    if "uncertainty" not in report:
        return volume
    low, high = report["uncertainty"]["volume_interval_ml"]
    return f"{volume} ({volume_text(low)} to {volume_text(high)})"
