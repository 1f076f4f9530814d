"""The empirical-bound study: what bounds promise and what counting finds, side by side over configurations.

For every network Theorem 1 of Serra et al. 2018, the bound by its coefficients, an approximate count and an exact one.
Source: Serra, Tjandraatmadja, Ramalingam 2018, section 6, and Serra, Ramalingam 2020, Empirical bounds on linear
regions of deep rectifier networks.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from reludsl.domain import Domain
from reludsl.errors import InvalidInput, SolverFailed
from reludsl.network import Network
from reludsl.regions.bounds import RegionBounds, bounds
from reludsl.regions.definition import Definition
from reludsl.regions.result import Counting, RegionCount

APPROXIMATE = (Counting.PROBE, Counting.XOR)
"""Methods whose `count` is an estimate."""


class Counter(Protocol):
    """`reludsl.regions.count`, or something that is asked like it."""

    def __call__(
        self,
        network: Network,
        domain: Domain,
        *,
        definition: Definition,
        method: Counting,
        time_limit: float | None,
        outputs_as_units: bool,
    ) -> RegionCount: ...


@dataclass(frozen=True, slots=True)
class StudyRow:
    """What is known of the regions of one network: lower <= truth <= upper.

    Args:
        network: its number within the configuration, from 0.
        bounds: of its widths and its weights.
        counts: by method, in the order in which they were asked for.

    Raises:
        SolverFailed: what two methods proved contradicts each other, or a bound.
    """

    configuration: str
    network: int
    definition: Definition
    bounds: RegionBounds
    counts: Mapping[Counting, RegionCount]

    def __post_init__(self) -> None:
        if self.lower > self.upper:
            found = ", ".join(f"{m.value} {c.lower} to {c.upper}" for m, c in self.counts.items())
            raise SolverFailed(
                f"network {self.network} of {self.configuration} has between {self.lower} and {self.upper} regions "
                f"({found}; the bounds say at most {self.bounds.upper}), which no number is: one of them is wrong; "
                "report this with the network"
            )

    @property
    def _proved(self) -> list[RegionCount]:
        """The counts of what was asked for that no chance plays a part in."""
        return [
            found
            for found in self.counts.values()
            if found.confidence is None and found.standard_error is None and found.definition is self.definition
        ]

    @property
    def lower(self) -> int:
        """The largest that is proved; 0 where nothing was counted."""
        return max((found.lower for found in self._proved), default=0)

    @property
    def upper(self) -> int:
        """The smallest that is proved, bounds included."""
        return min([self.bounds.upper, *(found.upper for found in self._proved)])

    @property
    def exact(self) -> bool:
        """lower = upper."""
        return self.lower == self.upper

    @property
    def estimate(self) -> RegionCount | None:
        """The approximate count, if there is one; of several the one that states its standard error."""
        approximate = [found for found in self.counts.values() if found.method in APPROXIMATE]
        return min(approximate, key=lambda found: found.standard_error is None, default=None)

    @property
    def count(self) -> int:
        """The exact count, else the estimate brought between lower and upper, else lower."""
        found = self.estimate
        return self.lower if self.exact or found is None else min(max(self.lower, found.count), self.upper)

    @property
    def theorem_1(self) -> int | None:
        """The bound by the widths."""
        return self.bounds.serra_2018

    @property
    def coefficients(self) -> int | None:
        """The bound by the coefficients."""
        return self.bounds.activation_based


@dataclass(frozen=True, slots=True)
class Summary:
    """The networks of one configuration together.

    Args:
        widths: of the layers of units.
        networks: how many; exact: of how many the regions are counted to the end.
        least, mean, most: of `StudyRow.count`.
        lower, upper: what the mean is proved to lie between.
        estimate: mean of the estimates, and its standard error; None unless every network has both.
        theorem_1: the same for all networks. coefficients: the mean; None where a network has none.
    """

    configuration: str
    widths: tuple[int, ...]
    networks: int
    exact: int
    least: int
    mean: float
    most: int
    lower: float
    upper: float
    estimate: tuple[float, float] | None
    theorem_1: int | None
    coefficients: float | None


def study(
    networks: Mapping[str, Sequence[Network]],
    domain: Domain,
    counter: Counter,
    *,
    methods: Sequence[Counting] = (Counting.CELLS, Counting.PROBE),
    definition: Definition = Definition.ACTIVATION,
    time_limit: float | None = 60.0,
    outputs_as_units: bool = False,
    on_row: Callable[[StudyRow], None] = lambda _: None,
) -> list[StudyRow]:
    """Bound and count the regions of every network, by every method.

    Args:
        networks: configuration -> its networks.
        domain: where regions are counted, the same for all.
        counter: `reludsl.regions.count`; options of its own are given by functools.partial.
        methods: exact ones and approximate ones, in the order in which they run.
        time_limit: seconds for each count; one that is not complete keeps its lower bound.
        outputs_as_units: the outputs count as ReLU units, as in the published study.
        on_row: called after each network. An exception raised in it ends the study.

    Raises:
        InvalidInput: no networks, no method, or as `counter` and `bounds` say.
        SolverFailed: two methods contradict each other.
    """
    if not networks or not methods:
        raise InvalidInput(
            f"there are {len(networks)} configurations and {len(methods)} methods, so that nothing is counted; give "
            "at least one of each, e.g. {'4,18': [network]} and [Counting.CELLS]"
        )
    rows = []
    for configuration, group in networks.items():
        for number, network in enumerate(group):
            row = StudyRow(
                configuration,
                number,
                definition,
                bounds(network, domain=domain, outputs_as_units=outputs_as_units),
                {
                    method: counter(
                        network,
                        domain,
                        definition=definition,
                        method=method,
                        time_limit=time_limit,
                        outputs_as_units=outputs_as_units,
                    )
                    for method in methods
                },
            )
            on_row(row)
            rows.append(row)
    return rows


def summaries(rows: Iterable[StudyRow]) -> list[Summary]:
    """One for each configuration, in the order in which they are met."""
    groups: dict[str, list[StudyRow]] = {}
    for row in rows:
        groups.setdefault(row.configuration, []).append(row)
    return [_summary(name, group) for name, group in groups.items()]


def _summary(configuration: str, rows: Sequence[StudyRow]) -> Summary:
    n = len(rows)
    counts = [row.count for row in rows]
    known = [one for row in rows if (one := row.estimate) is not None and one.standard_error is not None]
    error = math.hypot(*(one.standard_error or 0.0 for one in known)) / n
    coefficients = [row.coefficients for row in rows if row.coefficients is not None]
    return Summary(
        configuration,
        rows[0].bounds.widths,
        n,
        sum(row.exact for row in rows),
        min(counts),
        _mean(counts),
        max(counts),
        _mean([row.lower for row in rows]),
        _mean([row.upper for row in rows]),
        (_mean([one.count for one in known]), error) if len(known) == n else None,
        rows[0].theorem_1,
        _mean(coefficients) if len(coefficients) == n else None,
    )


def _mean(values: Sequence[int]) -> float:
    """Infinite beyond the floats."""
    try:
        return sum(values) / len(values)
    except OverflowError:
        return math.inf
