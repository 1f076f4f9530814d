"""What a domain answers, and what it becomes in a program."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np
from scipy import sparse

from reludsl.backend import BoolArray, FloatArray, Rows
from reludsl.errors import InvalidInput

if TYPE_CHECKING:
    from reludsl.domain.box import Box


@dataclass(frozen=True, slots=True, eq=False)
class DomainRows:
    """A domain as rows over the columns (x, extra); extra columns live in [extra_lower, extra_upper]."""

    rows: Rows
    extra_lower: FloatArray
    extra_upper: FloatArray


@runtime_checkable
class Domain(Protocol):
    """A bounded convex set of inputs (see the module)."""

    @property
    def size(self) -> int:
        """Number of coordinates."""
        ...

    @property
    def enclosure(self) -> Box:
        """A box that contains the domain, flat."""
        ...

    @property
    def is_box(self) -> bool:
        """Whether the enclosure is the domain itself."""
        ...

    def support(self, coefficients: FloatArray) -> FloatArray:
        """Upper bound of max A x over the domain: (m, n) -> (m,)."""
        ...

    def maximiser(self, coefficients: FloatArray) -> FloatArray:
        """Points of the domain at which A x is large: (m, n) -> (m, n)."""
        ...

    def project(self, points: FloatArray) -> FloatArray:
        """Points of the domain near the given ones: (m, n) -> (m, n)."""
        ...

    def sample(self, rng: np.random.Generator, count: int) -> FloatArray:
        """Random points of the domain: (count, n)."""
        ...

    def contains(self, points: FloatArray) -> BoolArray:
        """Whether each point lies in the domain, exactly: (m, n) -> (m,)."""
        ...

    def constraints(self) -> DomainRows:
        """What a program needs beyond the bounds of `enclosure`."""
        ...


def vector(values: object, what: str) -> FloatArray:
    """An array of numbers from the caller, checked."""
    try:
        array = np.array(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"{what} is not an array of numbers ({error}); give floats") from None
    if np.isnan(array).any():
        raise InvalidInput(f"{what} holds NaN at flat index {int(np.isnan(array.ravel()).argmax())}; give numbers")
    return array


def no_rows(size: int) -> DomainRows:
    """A domain that its box says completely."""
    empty = np.zeros(0)
    return DomainRows(Rows(sparse.csr_array((0, size)), empty, empty), empty, empty)
