"""Reports as rows of a table; no Slicer is needed."""

from __future__ import annotations

import json

import pytest

from DALSRefineLib.panel.report_rows import report_rows

REPORT = {
    "volume_ml": 1523.4,
    "surface_cm2": 812.6,
    "residuals_mm": [
        {"name": "axial contour", "mean": 1.23, "maximum": 6.78},
        {"name": "Umriß {x}", "mean": 0.5, "maximum": 1.0},
    ],
    "stray_mm": 21.04,
    "agreement": {
        "dice": 0.9512,
        "largest_displacement_mm": 12.34,
        "removed_ml": 3.21,
        "added_ml": 0.0,
        "unusual_ml": 7.5,
        "lacking_ml": 0.0,
        "typical_mm": 11.6,
        "confidence": "medium",
        "reasons": ["3.2 ml of the segmentation were left out."],
    },
    "warnings": ["The segment touches the border.", "3.2 ml of the segmentation were left out."],
    "iterations": 156,
    "seconds": 7.89,
    "device": "cpu",
}


def test_every_row_has_a_name_and_a_value_with_its_unit():
    assert report_rows(REPORT) == [
        ("Volume", "1523 ml"),
        ("Surface area", "813 cm²"),
        ("Confidence", "medium: please check"),
        ("Please check", "The segment touches the border."),
        ("Please check", "3.2 ml of the segmentation were left out."),
        ("Distance from axial contour", "mean 1.2 mm, at most 6.8 mm"),
        ("Distance from Umriß {x}", "mean 0.5 mm, at most 1.0 mm"),
        ("Surface on the contours' planes", "at most 21.0 mm from a contour"),
        ("Dice with the segmentation", "0.951"),
        ("Largest displacement", "12.3 mm"),
        ("Removed and added", "3.21 ml removed, 0 ml added"),
        ("Beyond 12 mm of a typical organ", "7.5 ml outside it, 0 ml missing"),
        ("Fit", "156 iterations in 7.9 s on cpu"),
    ]


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ({"trust": 0.0, "reason": "It shows nothing."}, "'CT' was not used"),
        ({"trust": 0.75}, "'CT' was used, trust 0.75"),
        ({"trust": 0.75, "edits_changed": 2}, "'CT' was used, trust 0.75; edits that it decided: 2"),
        ({"trust": 0.0, "edits_changed": 0}, "'CT' was not used"),
    ],
)
def test_the_use_of_the_image_is_told(entry, told):
    assert ("Image", told) in report_rows({**REPORT, "image": {"name": "CT", **entry}})


AGREEMENT_ROWS = {
    *("Confidence", "Dice with the segmentation", "Largest displacement", "Removed and added"),
    "Beyond 12 mm of a typical organ",
}


def test_contours_have_a_confidence_without_an_agreement():
    contours = {key: value for key, value in REPORT.items() if key != "agreement"}
    rows = report_rows({**contours, "confidence": {"level": "low", "reasons": []}})
    assert ("Confidence", "low: do not use without checking") in rows
    assert len(rows) == len(report_rows(contours)) + 1


def test_without_a_confidence_there_is_no_row_of_it():
    rows = report_rows({key: value for key, value in REPORT.items() if key != "agreement"})
    assert [name for name, _ in rows] == [name for name, _ in report_rows(REPORT) if name not in AGREEMENT_ROWS]


@pytest.mark.parametrize(
    ("changes", "missing"),
    [
        ({"volume_ml": None}, {"Volume", "Surface area"}),
        ({"volume_ml": "much"}, {"Volume", "Surface area"}),
        ({"residuals_mm": 3}, {"Distance from axial contour", "Distance from Umriß {x}"}),
        ({"residuals_mm": [{"name": "axial"}]}, {"Distance from axial contour", "Distance from Umriß {x}"}),
        ({"agreement": [0.9]}, AGREEMENT_ROWS),
        ({"agreement": {"confidence": "unheard of"}}, AGREEMENT_ROWS),
        ({"seconds": None}, {"Fit"}),
    ],
)
def test_a_report_of_another_version_is_shown_as_far_as_it_goes(changes, missing):
    names = {name for name, _ in report_rows({**REPORT, **changes})}
    assert names == {name for name, _ in report_rows(REPORT)} - missing


@pytest.mark.parametrize("warnings", [{}, {"warnings": None}, {"warnings": 3}, {"warnings": [3]}])
def test_reasons_are_shown_of_a_report_without_warnings(warnings):
    report = {key: value for key, value in REPORT.items() if key != "warnings"}
    rows = report_rows({**report, **warnings})
    assert [value for name, value in rows if name == "Please check"] == REPORT["agreement"]["reasons"]


def test_notes_are_shown_and_are_no_reason_to_check():
    report = {**REPORT, "confidence": {"level": "high", "reasons": [], "notes": ["A section was not outlined."]}}
    assert ("Note", "A section was not outlined.") in report_rows(report)
    assert "Note" not in {name for name, _ in report_rows({**REPORT, "confidence": {"level": "high"}})}


def test_an_empty_report_has_no_rows():
    assert report_rows(json.loads("{}")) == []
