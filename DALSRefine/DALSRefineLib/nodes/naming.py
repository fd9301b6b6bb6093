"""Names of new nodes."""

from __future__ import annotations

from typing import Any


def unique_name(scene: Any, name: str) -> str:
    """The name, with the lowest free number where the scene has it already: "Liver", "Liver 2".

    Slicer's own numbers count on after a deletion.
    """
    number, unique = 1, name
    while scene.GetFirstNodeByName(unique) is not None:
        number += 1
        unique = f"{name} {number}"
    return unique
