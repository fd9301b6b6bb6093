"""The tests that `DALSRefineTest` runs in Slicer, on the sample data. For Slicer only."""

from __future__ import annotations

from DALSRefineLib.self_test import drawing, fits, sessions

TESTS = (
    fits.test_contours,
    fits.test_segmentation,
    fits.test_edits,
    fits.test_several_organs,
    fits.test_points_cancel_and_undo,
    fits.test_choices_are_saved_with_the_scene,
    drawing.test_a_traced_curve,
    drawing.test_outlines_in_advance,
    drawing.test_curves_at_once,
    sessions.test_following_and_undo,
    sessions.test_place_look_and_segment,
    sessions.test_view_keys_and_ticks,
    sessions.test_rounds,
)
