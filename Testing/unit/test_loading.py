"""Imports that take seconds."""

from __future__ import annotations

import gc

import pytest

from dals.loading import without_collection


@pytest.fixture(autouse=True)
def as_before():
    was_on = gc.isenabled()
    yield
    gc.unfreeze()
    (gc.enable if was_on else gc.disable)()


@pytest.mark.parametrize("on", [True, False])
def test_the_collector_rests_and_goes_on_as_before(on: bool) -> None:
    (gc.enable if on else gc.disable)()
    with without_collection():
        assert not gc.isenabled()
    assert gc.isenabled() == on


def test_what_was_imported_is_passed_over_and_what_comes_later_is_not() -> None:
    gc.unfreeze()
    with without_collection():
        early: list[object] = []
    late: list[object] = []
    assert gc.get_freeze_count() > 0
    assert not any(tracked is early for tracked in gc.get_objects())
    assert any(tracked is late for tracked in gc.get_objects())


def test_an_import_that_fails_does_not_leave_it_off() -> None:
    gc.enable()
    with pytest.raises(ImportError), without_collection():
        raise ImportError("torch")
    assert gc.isenabled()
