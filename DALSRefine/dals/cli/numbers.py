"""Parsing of numbers, labels and components."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

from dals.errors import InputError

if TYPE_CHECKING:
    from dals.geometry.components import ComponentChoice


def at_least(minimum: int) -> Callable[[str], int]:
    """A type for argparse: integers from `minimum` on."""

    def parse(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text} is not a whole number") from None
        if number < minimum:
            raise argparse.ArgumentTypeError(f"{text} is less than {minimum}")
        return number

    return parse


def label_of(text: str | None) -> int | str | None:
    """Parse `--label`: a whole number is a label value, anything else the name of a segment."""
    if not text:
        return None
    try:
        return int(text)
    except ValueError:
        return text


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
