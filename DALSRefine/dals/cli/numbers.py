"""Numbers on the command line."""

from __future__ import annotations

import argparse
from collections.abc import Callable


def at_least(minimum: int) -> Callable[[str], int]:
    """A type for argparse: whole numbers from `minimum` on."""

    def parse(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text} is no whole number") from None
        if number < minimum:
            raise argparse.ArgumentTypeError(f"{text} is less than {minimum}")
        return number

    return parse


def label_of(text: str | None) -> int | str | None:
    """What `--label` means: a label value if it is a whole number, else the name of a segment."""
    if not text:
        return None
    try:
        return int(text)
    except ValueError:
        return text
