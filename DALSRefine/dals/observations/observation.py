"""What every kind of observation has: a name, bounds, named points, defaults, and arrays that can be sent."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray

from dals.fit_settings import FitSettings
from dals.geometry.mesh import FloatArray

Fields = Mapping[str, Any]
"""What JSON can hold."""
Arrays = Mapping[str, NDArray[Any]]
_Self = TypeVar("_Self", bound="Observation")
_KINDS: dict[str, type[Observation]] = {}


class Observation(ABC):
    """What the user gave of one organ, in RAS millimetres.

    A subclass is a frozen dataclass in a module of `dals.observations`. Its data term is registered in a module of
    `dals.fitting.kinds`. Nothing else needs to know of a new kind.

    Attributes
    ----------
    kind : str
        Names the kind in reports and messages.
    defaults : FitSettings
        What a fit to this kind uses unless told otherwise.
    paper : FitSettings
        The paper's plain loop for this kind.
    """

    kind: ClassVar[str]
    defaults: ClassVar[FitSettings]
    paper: ClassVar[FitSettings]

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        _KINDS[cls.kind] = cls

    @property
    @abstractmethod
    def bounds(self) -> tuple[FloatArray, FloatArray]:
        """Least and largest coordinates of what was observed, each (3,)."""

    @property
    @abstractmethod
    def named_points(self) -> list[tuple[str, FloatArray]]:
        """Points (N, 3) that the surface should pass through, with the names of what they belong to."""

    @property
    def notices(self) -> tuple[str, ...]:
        """What a clinician should know of the input itself, one sentence each."""
        return ()

    @abstractmethod
    def to_arrays(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """Fields and arrays from which `from_arrays` makes the same observation."""

    @classmethod
    @abstractmethod
    def from_arrays(cls: type[_Self], fields: Fields, arrays: Arrays) -> _Self:
        """The observation of `to_arrays`, which was checked when it was first made."""

    @classmethod
    def _unchecked(cls: type[_Self], **attributes: Any) -> _Self:
        """An instance with these attributes, without the checks of `__post_init__`."""
        made = object.__new__(cls)
        for name, value in attributes.items():
            object.__setattr__(made, name, value)
        return made


def kind_named(kind: str) -> type[Observation]:
    """The class of a kind of observation.

    Raises
    ------
    KeyError
        If there is none of that name.
    """
    return _KINDS[kind]


def bounds_of(points: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Least and largest coordinates of points (N, 3), each (3,)."""
    return np.asarray(points.min(axis=0)), np.asarray(points.max(axis=0))
