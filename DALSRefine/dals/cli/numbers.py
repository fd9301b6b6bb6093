"""Parsing of numbers, labels and components."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

from dals.errors import InputError
from dals.fit_settings import LARGEST_SEED

if TYPE_CHECKING:
    from dals.fitting.sides import SideChoice
    from dals.geometry.components import ComponentChoice


_SHOWN = 40
"""Characters of a wrong word that a message repeats."""


def at_least(minimum: int, *, at_most: int | None = None) -> Callable[[str], int]:
    """A type for argparse: integers from `minimum` to `at_most`."""

    def parse(text: str) -> int:
        shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
        try:
            number = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{shown} is not a whole number that can be used") from None
        if number < minimum:
            raise argparse.ArgumentTypeError(f"{shown} is less than {minimum}")
        if at_most is not None and number > at_most:
            raise argparse.ArgumentTypeError(f"{shown} is more than {at_most}")
        return number

    return parse


seed_of = at_least(0, at_most=LARGEST_SEED)
"""A type for argparse: seeds of random numbers."""


def label_of(text: str | None) -> int | str | None:
    """Parse `--label`: a whole number is a label value, anything else the name of a segment.

    Raises
    ------
    InputError
        For 0, which is the background of every label map.
    """
    if not text:
        return None
    try:
        label = int(text)
    except ValueError:
        return text
    if label == 0:
        raise InputError("The label 0 is the background of a label map and no organ; please name another one.")
    return label


def label_value(text: str) -> int:
    """A type for argparse: label values."""
    try:
        label = label_of(text)
    except InputError as error:
        raise argparse.ArgumentTypeError(str(error).rstrip(".")) from None
    if not isinstance(label, int):
        raise argparse.ArgumentTypeError(f"{text[:_SHOWN]!r} is not a whole number")
    return label


def component_of(text: str | None) -> ComponentChoice | None:
    """Parse `--component`.

    Raises
    ------
    InputError
        If it is not largest, left, right or a rank from 1 on.
    """
    if not text:
        return None
    if text in ("largest", "left", "right"):
        return cast("ComponentChoice", text)
    if text.isascii() and text.isdigit() and int(text) >= 1:
        return int(text)
    raise InputError(f"The component must be largest, left, right or a rank by volume (1, 2, ...), not '{text}'.")


def side_of(text: str) -> SideChoice:
    """Check a side of the body.

    Raises
    ------
    InputError
        If it is not auto, left or right.
    """
    if text not in ("auto", "left", "right"):
        raise InputError(f"The side must be auto, left or right, not '{text}'.")
    return cast("SideChoice", text)
