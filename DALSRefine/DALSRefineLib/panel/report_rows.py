"""A report as rows of a table."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

from dals.evaluation.formatting import volume_text
from DALSRefineLib.i18n import tr as _

Row = tuple[str, str]


def report_rows(report: Mapping[str, Any]) -> list[Row]:
    """The numbers of a result for a clinician: name, and value with its unit.

    A saved scene may hold a report of another version or an edited one: rows are left out where values are missing or
    of another type.
    """
    rows: list[Row] = []
    for part in (_size, _confidence, _expected, _warnings, _notes, _residuals, _stray, _agreement, _image, _fit):
        with contextlib.suppress(KeyError, TypeError, ValueError, AttributeError):
            rows += part(report)
    return rows


def distance_title(name: str) -> str:
    """Of the row with the distance of a contour, or another part of the input, from the surface."""
    return _("Distance from {name}").format(name=name)


def stray_title() -> str:
    """Of the row with the largest distance of the surface from the contours on their planes."""
    return _("Surface on the contours' planes")


def summary_of(report: Mapping[str, Any]) -> str:
    """Volume, and how far it can be trusted, in one line; empty where neither is known."""
    parts = [value for name, value in report_rows(report) if name == _("Volume")]
    with contextlib.suppress(KeyError, TypeError, ValueError, AttributeError):
        (_name, level), *_rest = _confidence(report)
        parts.append(_("confidence {level}").format(level=level))
    return ", ".join(parts)


def _size(report: Mapping[str, Any]) -> list[Row]:
    return [
        (_("Volume"), f"{volume_text(report['volume_ml'])} ml{_interval(report)}"),
        (_("Surface area"), f"{report['surface_cm2']:.0f} cm²"),
    ]


def _interval(report: Mapping[str, Any]) -> str:
    """The volumes between which the true one lies nine times out of ten, where they are known."""
    try:
        low, high = (volume_text(value) for value in report["uncertainty"]["volume_interval_ml"])
    except (KeyError, TypeError, ValueError):
        return ""
    return _(" ({low} to {high})").format(low=low, high=high)


def _expected(report: Mapping[str, Any]) -> list[Row]:
    """Only fits of contours and points have it."""
    found = report["uncertainty"]
    words = _("{mean:.1f} mm on average, standard deviation at most {worst:.1f} mm")
    worst = float(found["deviation_mm"]["maximum"])
    return [(_("Expected error"), words.format(mean=found["expected_distance_mm"], worst=worst))]


def _warnings(report: Mapping[str, Any]) -> list[Row]:
    """Warnings, and the reasons of a confidence, each once."""
    confidence = report.get("agreement")
    reasons = confidence.get("reasons") if isinstance(confidence, Mapping) else None
    lists = (each for each in (report.get("warnings"), reasons) if isinstance(each, (list, tuple)))
    sentences = dict.fromkeys(each for some in lists for each in some if isinstance(each, str))
    return [(_("Please check"), sentence) for sentence in sentences]


def _notes(report: Mapping[str, Any]) -> list[Row]:
    """What is worth a look though the surface is likely to be good; only fits of contours have it."""
    return [(_("Note"), note) for note in report["confidence"]["notes"] if isinstance(note, str)]


def _residuals(report: Mapping[str, Any]) -> list[Row]:
    words = _("mean {mean:.1f} mm, at most {maximum:.1f} mm")
    return [
        (distance_title(row["name"]), words.format(mean=row["mean"], maximum=row["maximum"]))
        for row in report["residuals_mm"]
    ]


def _stray(report: Mapping[str, Any]) -> list[Row]:
    """Only contours have it."""
    words = _("at most {stray:.1f} mm from a contour")
    return [(stray_title(), words.format(stray=report["stray_mm"]))]


def _confidence(report: Mapping[str, Any]) -> list[Row]:
    """Reports of earlier versions have it among the agreement with a segmentation."""
    level = report["confidence"]["level"] if "confidence" in report else report["agreement"]["confidence"]
    levels = {"high": _("high"), "medium": _("medium: please check"), "low": _("low: do not use without checking")}
    return [(_("Confidence"), levels[level])]


def _agreement(report: Mapping[str, Any]) -> list[Row]:
    """Only segmentations have it."""
    found = report["agreement"]
    changed = _("{removed} ml removed, {added} ml added")
    strange = _("{unusual} ml outside it, {lacking} ml missing")
    removed, added = volume_text(found["removed_ml"]), volume_text(found["added_ml"])
    unusual, lacking = volume_text(found["unusual_ml"]), volume_text(found["lacking_ml"])
    return [
        (_("Dice with the segmentation"), f"{found['dice']:.3f}"),
        (_("Largest displacement"), f"{found['largest_displacement_mm']:.1f} mm"),
        (_("Removed and added"), changed.format(removed=removed, added=added)),
        (
            _("Beyond {distance:.0f} mm of a typical organ").format(distance=found["typical_mm"]),
            strange.format(unusual=unusual, lacking=lacking),
        ),
    ]


def _image(report: Mapping[str, Any]) -> list[Row]:
    """Only fits that were given an image have it."""
    found = report["image"]
    used = _("'{name}' was used, trust {trust:.2f}").format(name=found["name"], trust=found["trust"])
    unused = _("'{name}' was not used").format(name=found["name"])
    decided = found.get("edits_changed")  # of a segmentation
    if found["trust"] and decided is not None:
        used += _("; edits that it decided: {number}").format(number=decided)
    return [(_("Image"), used if found["trust"] else unused)]


def _fit(report: Mapping[str, Any]) -> list[Row]:
    words = _("{iterations} iterations in {seconds:.1f} s on {device}")
    fit = words.format(iterations=report["iterations"], seconds=report["seconds"], device=report["device"])
    return [(_("Fit"), fit)]
