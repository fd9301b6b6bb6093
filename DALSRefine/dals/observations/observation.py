"""The interface that every kind of observation implements."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray

from dals.fit_settings import FitSettings
from dals.geometry.mesh import FloatArray

Fields = Mapping[str, Any]
"""Values that JSON can represent."""
Arrays = Mapping[str, NDArray[Any]]
_Self = TypeVar("_Self", bound="Observation")
_KINDS: dict[str, type[Observation]] = {}


class Observation(ABC):
    """An observation of one organ, in RAS millimetres.

    Each subclass is a frozen dataclass in a module of `dals.observations`. A module of `dals.fitting.kinds` registers
    its data term. A new kind needs these two modules and a reader, nothing else.

    Attributes
    ----------
    kind : str
        Name of the kind, used in reports and in messages between processes.
    defaults : FitSettings
        Default settings of a fit to this kind.
    paper : FitSettings
        The paper's settings for this kind.
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
        """Minimum and maximum coordinates of the observation, each (3,)."""

    @property
    @abstractmethod
    def named_points(self) -> list[tuple[str, FloatArray]]:
        """Points (N, 3) that the surface should pass through, grouped under the name of their source."""

    @property
    def notices(self) -> tuple[str, ...]:
        """Warnings about the input itself, one sentence each."""
        return ()

    @abstractmethod
    def to_arrays(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """JSON-compatible fields and arrays from which `from_arrays` restores the observation."""

    @classmethod
    @abstractmethod
    def from_arrays(cls: type[_Self], fields: Fields, arrays: Arrays) -> _Self:
        """Restore an observation from `to_arrays`. It was validated when it was created and is not validated again."""

    @classmethod
    def _unchecked(cls: type[_Self], **attributes: Any) -> _Self:
        """Create an instance without the validation in `__post_init__`."""
        made = object.__new__(cls)
        for name, value in attributes.items():
            object.__setattr__(made, name, value)
        return made


def kind_named(kind: str) -> type[Observation]:
    """The class of a kind of observation.

    Raises
    ------
    KeyError
        If no kind has that name.
    """
    return _KINDS[kind]


def bounds_of(points: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Minimum and maximum coordinates of points (N, 3), each (3,)."""
    return np.asarray(points.min(axis=0)), np.asarray(points.max(axis=0))
