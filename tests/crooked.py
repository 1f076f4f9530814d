"""Backends that lie, break, lack something or are not there, and a network to ask them about."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from reludsl.backend import Backend, Capability, Limits, Matrix, MissingBackend, Result, Sense, Session
from reludsl.errors import SolverFailed
from reludsl.layers import Affine, relu
from reludsl.network import Network
from reludsl.testing import EnumerationBackend
from reludsl.testing.enumeration import EnumerationSession


class _Liar(EnumerationSession):
    """Claims that an integer optimum is worse by 10 than it is, and shows no point."""

    sense = Sense.MAXIMIZE

    def set_cost(self, index: Any, value: Any, sense: Sense, offset: float = 0.0) -> None:
        self.sense = sense
        super().set_cost(index, value, sense, offset)

    def solve(self, **asked: Any) -> Result:
        if asked.get("relax"):
            return super().solve(**asked)
        result = super().solve(**{**asked, "on_point": None, "stop_bound": None, "stop_objective": None})
        assert result.bound is not None
        wrong = result.bound - (10.0 if self.sense is Sense.MAXIMIZE else -10.0)
        return dataclasses.replace(result, x=None, objective=None, bound=wrong)


@dataclass(frozen=True)
class Lying(EnumerationBackend):
    name: str = "lying"

    def open(self, matrix: Matrix, limits: Limits) -> EnumerationSession:
        return _Liar(matrix)


@dataclass(frozen=True)
class Broken(EnumerationBackend):
    name: str = "broken"

    def open(self, matrix: Matrix, limits: Limits) -> EnumerationSession:
        raise SolverFailed("the solver broke down")


@dataclass(frozen=True)
class Linear(EnumerationBackend):
    name: str = "linear"
    capabilities: Capability = Capability.LP | Capability.DUALS


@dataclass(frozen=True)
class Absent(EnumerationBackend):
    name: str = "absent"

    def version(self) -> str:
        raise MissingBackend("absent is not installed")


@dataclass(frozen=True)
class Altered:
    """Another backend, whose results are changed and whose callbacks are left out.

    Args:
        keep: of the capabilities of the other.
    """

    inner: Backend
    change: Callable[[Result], Result]
    keep: Capability = Capability.LP | Capability.MILP
    name: str = "altered"

    @property
    def capabilities(self) -> Capability:
        return self.inner.capabilities & self.keep

    @property
    def profile(self) -> Mapping[str, str]:
        return self.inner.profile

    def version(self) -> str:
        return self.inner.version()

    def open(self, matrix: Matrix, limits: Limits) -> Session:
        session = self.inner.open(matrix, limits)
        plain = session.solve

        def solve(**asked: Any) -> Result:
            return self.change(plain(**{**asked, "on_point": None}))

        session.solve = solve  # type: ignore[method-assign]
        return session


def network() -> Network:
    """|a - b| over two inputs, and their sum: three neurons that bounds leave open."""
    first = Affine(np.array([[1.0, -1.0], [-1.0, 1.0], [1.0, 1.0]]), np.array([0.0, 0.0, -0.5]))
    return Network.chain([first, relu, Affine(np.array([[1.0, 1.0, -1.0]]), np.zeros(1))], (2,))
