"""Warnings that are collected for the user."""

from __future__ import annotations

import warnings

import pytest

from dals.errors import DalsWarning, collected_warnings


def test_each_message_is_collected_once_and_in_order() -> None:
    with collected_warnings() as found:
        for message in ("second organ", "cut off", "second organ"):
            warnings.warn(message, DalsWarning, stacklevel=1)
    assert found == ["second organ", "cut off"]


def test_other_warnings_are_issued_as_usual() -> None:
    with pytest.warns(RuntimeWarning, match="overflow"), collected_warnings() as found:
        warnings.warn("overflow", RuntimeWarning, stacklevel=1)
    assert found == []


def test_a_message_is_collected_each_time() -> None:
    def notice() -> list[str]:
        with collected_warnings() as found:
            warnings.warn("cut off", DalsWarning, stacklevel=1)
        return found

    assert [notice(), notice()] == [["cut off"], ["cut off"]]
