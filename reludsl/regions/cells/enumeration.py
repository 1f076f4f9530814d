"""All cells of a network on a domain, streamed, and what was found out about their number."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from reludsl import numeric
from reludsl.backend import Backend, BoolArray, FloatArray, IntArray
from reludsl.domain import Box, Domain, Space
from reludsl.errors import InvalidInput, SolverFailed
from reludsl.network import INPUT, Network
from reludsl.one_thread import by_one_thread
from reludsl.regions.cells.frame import Frame
from reludsl.regions.cells.nodes import Found, Outlying
from reludsl.regions.cells.probes import Probes
from reludsl.regions.cells.search import Search
from reludsl.regions.cells.settle import Settle
from reludsl.regions.cells.sides import Sides
from reludsl.regions.edges import UnitLayer
from reludsl.regions.found import Regions
from reludsl.regions.watch import INTERRUPTED, OUT_OF_TIME


@dataclass(frozen=True, eq=False)
class Task:
    """What is searched.

    Args:
        wanted: (units,) the piece of each unit, -1 for any.
        solid: cells without an interior are no cells; otherwise their patterns are found too.
    """

    network: Network
    domain: Domain | Space
    wanted: IntArray
    solid: bool
    backend: Backend
    seed: int

    def frame(self) -> Frame:
        """The coordinates of the search."""
        return Frame.of(self.network, self.domain)

    def search(self, frame: Frame) -> Search:
        """A search that has not begun."""
        sides = Sides(frame)
        return Search(frame, sides, Settle(frame, sides, self.backend, self.solid), self.wanted)

    def probes(self, frame: Frame) -> Probes:
        """Random paths that have not begun."""
        sides = Sides(frame)
        rng = np.random.default_rng(self.seed)
        return Probes(frame, sides, Settle(frame, sides, self.backend, self.solid), self.wanted, rng=rng)

    def start(self, search: Search) -> FloatArray:
        """A point of the cube inside the domain: (1, n).

        Raises:
            InvalidInput: the domain has no interior.
        """
        frame = search.frame
        point = np.random.default_rng(self.seed).uniform(-0.4, 0.4, (1, frame.width))
        if len(frame.sides) and not (frame.sides @ frame.lift(point)[0] > frame.side_errors).all():
            found = search.settle.interior(*frame.scaled_sides)
            if found is None:
                raise InvalidInput(
                    "the polytope has no interior, or one thinner than rounding, so that no region has one in it; "
                    "loosen its rows"
                )
            point = found[None]
        return point


@dataclass(eq=False)
class Enumeration:
    """The regions of a task, found one batch after the other as this is iterated over; then what is known.

    Args:
        found: number of regions so far.
        doubts: cells of which it is open whether they are regions, or how many; hidden: how many at most.
        margin: smallest distance of a witness from an edge, in rounding errors.
        complete: everything was searched.
    """

    task: Task
    time_limit: float | None = None
    found: int = 0
    doubts: int = 0
    hidden: int = 0
    margin: float = math.inf
    complete: bool = False
    note: str = ""
    work: dict[str, int] = field(default_factory=dict)

    def __iter__(self) -> Iterator[Regions]:
        began = time.perf_counter()
        frame = self.task.frame()
        search = self.task.search(frame)
        try:
            search.deadline = math.inf if self.time_limit is None else began + self.time_limit
            found = search.run(self.task.start(search))
            yield from by_one_thread(self.checked(frame, cells) for cells in found)
            self.complete = not search.late
            self.note = OUT_OF_TIME if search.late else ""
        except KeyboardInterrupt:
            self.note = INTERRUPTED
        self.told(search)
        if search.apart:
            yield self.outlying(search.apart)

    def outlying(self, apart: Sequence[Outlying]) -> Regions:
        """What only rationals reach, as regions."""
        self.found += len(apart)
        return Regions(
            self.task.network, np.array([one.pieces for one in apart]), np.array([one.witness for one in apart])
        )

    def told(self, search: Search) -> None:
        """Take over what a search says when it ends."""
        self.doubts, self.hidden = self.doubts + search.doubts, self.hidden + search.hidden
        for key, value in {**search.sides.work, **search.settle.work}.items():
            self.work[key] = self.work.get(key, 0) + value

    def checked(self, frame: Frame, cells: Found) -> Regions:
        """Cells as regions: their points are run through the network, whose word is the pattern.

        Raises:
            SolverFailed: the network says otherwise, beyond rounding.
        """
        inputs = frame.inputs(cells.points)
        layers = frame.cascade.unit_layers
        contradicted, margin = agreement(self.task.network, layers, inputs, cells.pieces)
        if contradicted.any():
            k = int(contradicted.argmax())
            raise SolverFailed(
                f"the input {inputs[k][:4]}... was proved to have the pattern {cells.pieces[k].tolist()}, and the "
                "forward pass says otherwise; one of the two is wrong: report this with the network"
            )
        self.found += len(inputs)
        self.margin = min(self.margin, margin)
        return Regions(self.task.network, cells.pieces, inputs)


def agreement(
    network: Network, layers: tuple[UnitLayer, ...], inputs: FloatArray, pieces: IntArray
) -> tuple[BoolArray, float]:
    """Whether the forward pass contradicts the patterns of some inputs, beyond its rounding error: (m,).

    And the smallest distance from an edge, in rounding errors, of edges that are no further off than that: an edge that
    is 0 on a whole cell has none.
    """
    values = network.values(inputs)
    errors = {INPUT: np.zeros_like(values[INPUT])}
    for node in network.cone(network.output):
        taken = network.gather(node, values)
        errors[node.name] = node.layer.forward_error(Box(taken, taken), network.gather(node, errors))
    contradicted, margin = np.zeros(len(inputs), dtype=np.bool_), math.inf
    for layer in layers:
        edges = layer.edges
        value = np.asarray((edges.rows @ network.gather(layer.node, values).T).T) + edges.offset
        error = np.asarray((abs(edges.rows) @ network.gather(layer.node, errors).T).T)
        lost = numeric.inflated(error) + 2 * numeric.UNIT * np.abs(value)
        own = edges.piece == pieces[:, layer.units][:, edges.unit]
        contradicted |= (own & (value < -lost)).any(axis=1)
        clear = own & (value > lost) & (lost > 0)
        if clear.any():
            margin = min(margin, float((value[clear] / lost[clear]).min()))
    return contradicted, margin
