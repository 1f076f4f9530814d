"""How many linear regions, and which: the verbs `count`, `enumerate` and `count_by_label`."""

from __future__ import annotations

import enum
import itertools
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from numbers import Integral

import numpy as np

from reludsl import plugins
from reludsl.backend import Backend, FloatArray, IntArray, Limits
from reludsl.domain import Box, Domain, Polytope, Space
from reludsl.errors import InvalidInput, member
from reludsl.expr import Input
from reludsl.layers import Max
from reludsl.network import Network, Node
from reludsl.one_thread import one_thread
from reludsl.progress import OnProgress, Progress, silent
from reludsl.regions.ceiling import ceiling
from reludsl.regions.cells.enumeration import Enumeration, Task
from reludsl.regions.cells.probes import SECONDS
from reludsl.regions.cells.processes import in_processes
from reludsl.regions.counted import count_line, count_plane
from reludsl.regions.definition import Definition
from reludsl.regions.edges import unit_count, unit_layers
from reludsl.regions.found import Regions
from reludsl.regions.one_tree import one_tree
from reludsl.regions.outputs import with_output_units
from reludsl.regions.result import Counting, RegionCount
from reludsl.regions.shared_maps import SharedMaps
from reludsl.regions.watch import INTERRUPTED, Watch
from reludsl.regions.where import where_of
from reludsl.regions.xor_bound import xor_bound

CONFIDENCE = 0.99
"""Of lower bounds that random draws give."""

FEW = 1000
"""Pieces of a line or faces of a plane that cells, which take longer, may be asked about as well."""

QUIET = 2.0
"""Seconds of counting before somebody who watches is told an estimate of the whole."""


class Label(enum.Enum):
    """What makes an input belong to an output."""

    LARGEST = "largest"
    """The output is the largest of all: the class of a classifier."""
    ALONE = "alone"
    """The output is the only one above 0, with the outputs as units: the digits of Serra et al. 2018, section 6."""


@dataclass(frozen=True, slots=True, eq=False)
class _Restricted:
    """A network with what was asked of it written into its units.

    Args:
        given: the network without what was asked.
        wanted: (units,) the piece of each, -1 for any.
        own: units that belong to the pattern; those behind only restrict it.
    """

    network: Network
    given: Network
    wanted: IntArray
    own: int


def count(
    network: Network,
    domain: Input | Domain | Space,
    *,
    definition: Definition | str = Definition.ACTIVATION,
    method: Counting | str = Counting.AUTO,
    outputs_as_units: bool = False,
    label: int | None = None,
    pattern: Sequence[int] | IntArray | None = None,
    backend: str | Backend | None = None,
    time_limit: float | None = None,
    processes: int = 1,
    confidence: float = CONFIDENCE,
    threads: int = 1,
    seed: int = 0,
    progress: OnProgress = silent,
) -> RegionCount:
    """The number of linear regions of a network on a domain, between two that are proved.

    Args:
        domain: a box, a polytope, an L-infinity ball, an input that has one (`rd.box(0, 1, net.input_shape)`), or
            `Space(n)` for all of R^n.
        definition: what a region is (see `Definition`).
        method: AUTO takes the line or the plane where there are one or two inputs, else CELLS; these also where a line
            or a plane of at most `FEW` regions leaves one open.
        outputs_as_units: the outputs are ReLU units of the pattern too.
        label: only regions with inputs at which this output is the largest.
        pattern: only regions whose units are on these pieces: of the first units, or of all; -1 for any. A unit is an
            element of an activation or a maximum, in the order of the nodes; its piece as in `Network.trace`.
        backend: for linear and integer programs.
        time_limit: seconds; what was counted by then is a lower bound.
        processes: that search cells side by side; in a script that takes the guard `if __name__ == "__main__"`.
        confidence: of the lower bound of PROBE and XOR.
        threads: of the solver, for integer programs.
        progress: told how many regions there are so far and, after a while, an estimate of all.

    Raises:
        InvalidInput: a domain of another size, an L1 ball, a pattern or label that does not exist, a definition that
            the method does not count, a negative limit or seed, no process, a confidence that is none.

    >>> from reludsl.networks import arrangement, six_definitions
    >>> lines = arrangement([[1, 0], [0, 1], [1, 1], [1, -2]], [0, 0, -1, -3])
    >>> [count(lines, Box([-100, -100], [100, 100]), method=m).count for m in ("plane", "cells")]
    [11, 11]
    >>> [count(six_definitions(), Space(2), definition=d).count for d in ("activation", "patterns", "affine")]
    [5, 7, 3]
    """
    definition = member(Definition, definition, "definition of a region")
    method = member(Counting, method, "method of counting")
    domain = where_of(domain)
    _check_settings(time_limit, processes, seed)
    if not 0 < confidence < 1:
        raise InvalidInput(f"the confidence is {confidence}; give a number between 0 and 1, e.g. 0.99")
    network = with_output_units(network) if outputs_as_units else network
    asked = _restricted(network, label, pattern)
    free = asked.own == asked.wanted.size and bool((asked.wanted < 0).all())
    auto = method is Counting.AUTO
    if auto:
        flat = {1: Counting.LINE, 2: Counting.PLANE}.get(network.input_size, Counting.CELLS)
        method = flat if free and _planar(domain) and definition is not Definition.PATTERNS else Counting.CELLS
    if method is not Counting.CELLS and method is not Counting.PROBE and not free:
        raise InvalidInput(
            f"{method.value} counts whole domains, and a label or a pattern was asked for; count with method='cells'"
        )
    if method in (Counting.LINE, Counting.PLANE):
        if not isinstance(domain, Box | Polytope | Space):
            raise InvalidInput(f"{method.value} counts on a box, a polytope or the whole space; give one of these")
        watch = Watch.over(time_limit, progress)
        verb = count_line if method is Counting.LINE else count_plane
        cut = verb(network, domain, definition, time_limit=time_limit, progress=progress)
        done = cut.exact or not cut.complete or cut.count > FEW
        if not auto or done or definition is Definition.CONNECTED:
            return cut
        searched = count(
            network,
            domain,
            definition=definition,
            method=Counting.CELLS,
            backend=backend,
            time_limit=watch.left,
            processes=processes,
            seed=seed,
            progress=progress,
        )
        return min(searched, cut, key=lambda one: one.upper - one.lower)
    limits = Limits(threads=threads, seed=seed)
    if method is Counting.ONE_TREE:
        tell, number = _Teller(None, time.perf_counter(), time_limit, progress), itertools.count(1)
        return one_tree(
            network, domain, definition, backend,
            time_limit=time_limit, limits=limits, on_pattern=lambda *_: tell(next(number)),
        )  # fmt: skip
    if method is Counting.XOR:
        return xor_bound(
            network, domain, definition, backend,
            confidence=confidence, seed=seed, time_limit=time_limit, limits=limits, progress=progress,
        )  # fmt: skip
    if not asked.wanted.size and domain.size == network.input_size:
        return RegionCount(1, 1, 1, 0, definition, 0, method, 0.0, note="there are no units, so that it is affine")
    task = _task(asked, domain, definition, backend, seed)
    if method is Counting.PROBE:
        return _probed(task, asked, definition, confidence, time_limit)
    return _counted(task, asked, definition, time_limit, processes, progress)


class Stream:
    """Regions in batches, found while one iterates; then whether these are all. Made by `stream`.

    Iterating anew searches anew.
    """

    def __init__(self, task: Task, asked: _Restricted, time_limit: float | None, processes: int) -> None:
        self._task, self._asked, self._time_limit, self._processes = task, asked, time_limit, processes
        self._work = Enumeration(task, time_limit)

    def __iter__(self) -> Iterator[Regions]:
        self._work = Enumeration(self._task, self._time_limit)
        for found in _iterated(self._work, self._processes):
            yield Regions(self._asked.given, found.patterns[:, : self._asked.own], found.witnesses)

    @property
    def complete(self) -> bool:
        """Everything was searched: but for what is `ambiguous`, there is no other region."""
        return self._work.complete

    @property
    def ambiguous(self) -> int:
        """Cells that were left out, because it stayed open whether they are regions."""
        return self._work.doubts

    @property
    def note(self) -> str:
        """Why it is not complete."""
        return self._work.note


def stream(
    network: Network,
    domain: Input | Domain | Space,
    *,
    definition: Definition | str = Definition.ACTIVATION,
    outputs_as_units: bool = False,
    label: int | None = None,
    pattern: Sequence[int] | IntArray | None = None,
    backend: str | Backend | None = None,
    time_limit: float | None = None,
    processes: int = 1,
    seed: int = 0,
) -> Stream:
    """The regions of a network on a domain, in batches of some hundred: patterns, an input in each, maps, inequalities.

    Memory does not grow with their number. The arguments are those of `count`; definitions ACTIVATION and PATTERNS.
    When it has ended, `complete` and `ambiguous` say whether these are all. Offered as `reludsl.regions.enumerate`.

    Raises:
        InvalidInput: as `count`, and for definitions whose regions are unions of these.

    >>> from reludsl.networks import general_position
    >>> net = general_position(4, 2)
    >>> regions = stream(net, Box([0, 0], [1, 1]))
    >>> found = list(regions)
    >>> sum(map(len, found)), bool((found[0].patterns == net.trace(found[0].witnesses).pattern[0]).all())
    (11, True)
    >>> regions.complete, regions.ambiguous
    (True, 0)
    """
    definition = member(Definition, definition, "definition of a region")
    if definition not in (Definition.ACTIVATION, Definition.PATTERNS):
        raise InvalidInput(
            f"{definition.value} regions are unions of activation regions, which are what is listed here; list these "
            "and compare their `maps`, or ask `count` for the number"
        )
    _check_settings(time_limit, processes, seed)
    network = with_output_units(network) if outputs_as_units else network
    asked = _restricted(network, label, pattern)
    return Stream(_task(asked, where_of(domain), definition, backend, seed), asked, time_limit, processes)


def count_by_label(
    network: Network,
    domain: Input | Domain | Space,
    rule: Label = Label.LARGEST,
    *,
    definition: Definition | str = Definition.ACTIVATION,
    backend: str | Backend | None = None,
    time_limit: float | None = None,
    processes: int = 1,
    seed: int = 0,
    progress: OnProgress = silent,
) -> dict[int, RegionCount]:
    """For every output the number of regions in which some inputs belong to it.

    A region in which two outputs are the largest, here one and there the other, counts for both; where they are equal
    on all of it, for the first. An interrupt ends it: labels that were not begun are missing then.

    >>> from reludsl.layers import Affine, relu
    >>> net = Network.chain([Affine(np.eye(2), np.zeros(2)), relu, Affine(np.eye(2), np.zeros(2))], (2,))
    >>> found = count_by_label(net, Box([-1, -1], [1, 1]))
    >>> {label: one.count for label, one in found.items()}
    {0: 3, 1: 2}
    >>> {label: one.count for label, one in count_by_label(net, Box([-1, -1], [1, 1]), Label.ALONE).items()}
    {0: 1, 1: 1}
    """
    outputs, found = network.output_size, {}
    counted = with_output_units(network) if rule is Label.ALONE else network
    began = time.perf_counter()
    for k in range(outputs):
        left = None if time_limit is None else max(0.0, time_limit - (time.perf_counter() - began)) / (outputs - k)
        alone = None
        if rule is Label.ALONE:
            hidden = unit_count(unit_layers(counted)) - outputs
            alone = [-1] * hidden + [int(j == k) for j in range(outputs)]
        found[k] = count(
            counted,
            domain,
            definition=definition,
            method=Counting.CELLS,
            label=k if alone is None else None,
            pattern=alone,
            backend=backend,
            time_limit=left,
            processes=processes,
            seed=seed,
            progress=progress,
        )
        if found[k].note == INTERRUPTED:
            break
    return found


# --- what is asked ----------------------------------------------------------------------------------------------------


def _planar(domain: Domain | Space) -> bool:
    """Whether lines and planes can be cut on a domain: one that is flat has no interior there."""
    return isinstance(domain, Polytope | Space) or (
        isinstance(domain, Box) and bool((domain.lower < domain.upper).all())
    )


def _restricted(network: Network, label: int | None, pattern: Sequence[int] | IntArray | None) -> _Restricted:
    layers = unit_layers(network)
    own = unit_count(layers)
    wanted = np.full(own, -1)
    if pattern is not None:
        given = np.asarray(pattern).ravel()
        if given.size > own:
            raise InvalidInput(
                f"the pattern has {given.size} pieces and the network {own} units; give one piece for each"
            )
        if given.size and given.dtype.kind not in "iub":
            raise InvalidInput(f"the pattern holds {given.dtype}, and pieces are whole numbers; give e.g. [1, -1, 0]")
        wanted[: given.size] = given
        for layer in layers:
            for unit, piece in enumerate(wanted[layer.units].tolist()):
                if piece >= layer.pieces or piece < -1 or (piece >= 0 and not layer.proper[unit, piece]):
                    raise InvalidInput(
                        f"unit {layer.start + unit} of the pattern is to be on piece {piece}, and has pieces 0 to "
                        f"{layer.pieces - 1}; give one of these, or -1 for any"
                    )
    if label is None:
        return _Restricted(network, network, wanted, own)
    size = network.output_size
    if size == 1:
        raise InvalidInput(
            f"label {label} is asked for and there is one output, which is always the largest; count without a label"
        )
    if label not in range(size):
        raise InvalidInput(f"label {label} is asked for and there are {size} outputs; give one of 0 to {size - 1}")
    taken = {node.name for node in network.nodes}
    name = next(n for n in (f"label{'_' * k}" for k in range(len(taken) + 1)) if n not in taken)
    choice = Node(name, Max(np.arange(size)[None], size, (1,)), network.output)
    chosen = Network((*network.nodes, choice), network.input_shape, name, network.input_box)
    return _Restricted(chosen, network, np.append(wanted, int(label)), own)


def _task(
    asked: _Restricted, domain: Domain | Space, definition: Definition, backend: str | Backend | None, seed: int
) -> Task:
    if definition is Definition.CONNECTED:
        raise InvalidInput(
            "connected affine regions are counted on a line and in a plane, where it is known which regions touch; "
            "count on a slice (`plane`, `line`), or ask for Definition.AFFINE"
        )
    solver = plugins.default() if backend is None else plugins.load(backend)
    return Task(asked.network, domain, asked.wanted, definition is not Definition.PATTERNS, solver, seed)


def _check_settings(time_limit: float | None, processes: int, seed: int) -> None:
    # refuse what is no limit, and what is no seed
    Watch.over(time_limit)
    Limits(seed=seed)
    if not isinstance(processes, Integral) or processes < 1:
        raise InvalidInput(f"{processes} processes search nothing; give a whole number, 1 or more")


def _iterated(work: Enumeration, processes: int) -> Iterator[Regions]:
    return iter(work) if processes == 1 else in_processes(work, processes)


# --- counting -------------------------------------------------------------------------------------------------------


def _counted(
    task: Task,
    asked: _Restricted,
    definition: Definition,
    time_limit: float | None,
    processes: int,
    progress: OnProgress,
) -> RegionCount:
    began = time.perf_counter()
    work = Enumeration(task, time_limit)
    maps = SharedMaps(asked.given, _fixed(task.domain)) if definition is Definition.AFFINE else None
    tell = _Teller(task, began, time_limit, progress)
    try:
        tell(0)
        for found in _iterated(work, processes):
            if maps is not None:
                maps.add(found.patterns[:, : asked.own])
            tell(work.found)
    except KeyboardInterrupt:
        work.note = work.note or INTERRUPTED
        work.complete = False
    lower = number = work.found
    upper, ambiguous = work.found + work.hidden, work.doubts
    note = work.note
    if maps is not None:
        lower, number = maps.distinct()
        # of cells in doubt none need have a map of its own
        upper, ambiguous = number + work.hidden, ambiguous + number - lower
    if not work.complete:
        upper = _most(asked, definition)
    if work.doubts and not note:
        note = "some cells touch others so closely that rationals would have taken long"
    return RegionCount(
        count=number,
        lower=lower,
        upper=max(upper, number),
        ambiguous=ambiguous,
        definition=definition,
        units=asked.own,
        method=Counting.CELLS,
        seconds=time.perf_counter() - began,
        complete=work.complete,
        margin=work.margin if math.isfinite(work.margin) else None,
        work=work.work,
        note=note,
    )


def _probed(
    task: Task, asked: _Restricted, definition: Definition, confidence: float, time_limit: float | None
) -> RegionCount:
    if definition is not Definition.ACTIVATION:
        raise InvalidInput(
            f"random paths estimate activation regions, and {definition.value} was asked for; use method='cells' or "
            "definition='activation'"
        )
    began = time.perf_counter()
    probes = task.probes(task.frame())
    with one_thread():
        found = probes.estimate(task.start(probes), time_limit=SECONDS if time_limit is None else time_limit)
    number = round(found.mean)
    exact = found.exact and not probes.doubts
    # what is restricted may be nowhere
    least = int((asked.wanted < 0).all())
    return RegionCount(
        count=number,
        lower=number if found.exact else max(least, found.lower(confidence)),
        upper=number if exact else max(number, _most(asked, definition)),
        ambiguous=probes.doubts,
        definition=definition,
        units=asked.own,
        method=Counting.PROBE,
        seconds=time.perf_counter() - began,
        confidence=None if found.exact else confidence,
        standard_error=0.0 if found.exact else found.standard_error,
        work={"runs": found.runs.size, **probes.sides.work},
    )


def _fixed(domain: Domain | Space) -> FloatArray | None:
    """The coordinates that do not move on a domain, NaN for others."""
    if isinstance(domain, Space):
        return None
    low, high = domain.enclosure.lower, domain.enclosure.upper
    return np.where(low < high, np.nan, low)


def _most(asked: _Restricted, definition: Definition) -> int:
    """What the units alone allow: what belongs to a label is at most everything."""
    layers = unit_layers(asked.given)
    options = math.prod(
        1 if wanted >= 0 else int(n)
        for layer in layers
        for n, wanted in zip(layer.proper.sum(axis=1), asked.wanted[layer.units])
    )
    return ceiling(asked.given, definition, options)


@dataclass(slots=True, eq=False)
class _Teller:
    """Tells somebody who watches how far the search is.

    Args:
        task: whose random paths give an estimate; None for none.
    """

    task: Task | None
    began: float
    time_limit: float | None
    progress: OnProgress
    estimate: int | None = None

    def __call__(self, found: int) -> None:
        if self.progress is silent:
            return
        took = time.perf_counter() - self.began
        left = None if self.time_limit is None else self.time_limit - took
        if self.estimate is None and self.task is not None and took > QUIET and (left is None or left > QUIET):
            probes = self.task.probes(self.task.frame())
            with one_thread():
                self.estimate = round(probes.estimate(self.task.start(probes), time_limit=1.0).mean)
        self.progress(Progress("regions", found, self.estimate or 0, left, rate=found / max(took, 1e-9)))
