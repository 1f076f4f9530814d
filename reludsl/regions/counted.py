"""How many regions a line or a plane has, with the proof: lower <= truth <= upper."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction

import numpy as np

from reludsl.backend import BoolArray, FloatArray, IntArray
from reludsl.domain import Box, Polytope, Space
from reludsl.errors import InvalidInput
from reludsl.exact import ExactArray, exactly
from reludsl.expr import Input
from reludsl.network import Network
from reludsl.progress import OnProgress, silent
from reludsl.regions.certificate import CHUNK, Cells, Certificate, certify
from reludsl.regions.definition import Definition
from reludsl.regions.equal import Maps
from reludsl.regions.forms import Basis, Form, exact_output, forms
from reludsl.regions.lines import Lines, ends_of, of_domain, spanned
from reludsl.regions.planar.build import Where, basis_of, cut_plane, cuttable
from reludsl.regions.planar.result import Plane, pieces_at
from reludsl.regions.result import Counting, RegionCount
from reludsl.regions.slice import Slice
from reludsl.regions.units import Plan, plan
from reludsl.regions.watch import INTERRUPTED, OUT_OF_TIME, Late, Watch

CUTTING = 0.7
"""The part of the time in which a domain must be cut, so that some is left to prove what is there."""

SHORT = 1e-11
"""The angle under which an edge is seen, in homogeneous coordinates, below which it may be a point in truth."""


def count_line(
    network: Network,
    domain: Box | Polytope | Space,
    definition: Definition = Definition.ACTIVATION,
    *,
    time_limit: float | None = None,
    progress: OnProgress = silent,
) -> RegionCount:
    """The regions of a network of one input, on an interval or on all of R.

    Args:
        time_limit, progress: as of `count_plane`.

    Raises:
        InvalidInput: a network of more inputs, or PATTERNS.

    >>> from reludsl.layers import Affine, relu
    >>> net = Network.chain([Affine(np.array([[2.0], [2.0]]), np.array([0.0, -1.0])), relu,
    ...                      Affine(np.array([[1.0, -2.0]]), np.zeros(1))], (1,))
    >>> count = count_line(net, Space(1))
    >>> count.count, count.exact
    (3, True)
    """
    _refuse_patterns(definition)
    watch = Watch.over(time_limit, progress)
    ends = _interval(domain) if isinstance(domain, Polytope) else None
    try:
        found = of_domain(network, domain, watch=watch.share(CUTTING))
    except Late as late:
        nodes, whole = ends_of(network, domain)
        basis = spanned(nodes, whole).one(0)
        inner, sides = _on_line(late.inner[:, 0], whole), _ends_of_line(basis, whole, ends)
        return _begun(plan(network), basis, inner, sides, late, definition, Counting.LINE, watch, _on_interval(ends))
    return counted_line(found, 0, definition, watch, ends)


def count_plane(
    network: Network,
    where: Input | Where,
    definition: Definition = Definition.ACTIVATION,
    *,
    time_limit: float | None = None,
    progress: OnProgress = silent,
) -> RegionCount:
    """The regions of a network on a part of a plane (see `plane`).

    Args:
        time_limit: seconds. What is proved by then is a lower bound: every point that is strictly on one piece of every
            unit shows a region. An interrupt ends it likewise.
        progress: told how many cells there are, and then how many of them are proved.

    Raises:
        InvalidInput: a domain that has no two dimensions, or PATTERNS.

    >>> from reludsl.layers import Affine, relu
    >>> net = Network.chain([Affine(np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [1.0, -2.0]]),
    ...                             np.array([0.0, 0.0, -1.0, -3.0])), relu], (2,))
    >>> count = count_plane(net, Space(2))
    >>> count.count, count.lower, count.upper
    (11, 11, 11)
    """
    _refuse_patterns(definition)
    watch = Watch.over(time_limit, progress)
    chosen = cuttable(where)
    try:
        found = cut_plane(network, chosen, watch.share(CUTTING))
    except Late as late:
        inner = late.inner if isinstance(chosen, Space) else np.insert(late.inner, 2, 1.0, axis=1)
        return _begun(
            plan(network), basis_of(chosen), inner, sides_of(chosen)[0], late, definition, Counting.PLANE, watch,
            _on_plane(chosen),
        )  # fmt: skip
    return counted_plane(found, chosen, definition, watch)


def counted_line(
    lines: Lines,
    curve: int,
    definition: Definition,
    watch: Watch | None = None,
    ends: tuple[Fraction, Fraction] | None = None,
) -> RegionCount:
    """The count of one line that is cut already.

    Args:
        ends: of the domain, where the input is one number and these are no floats.
    """
    watch = Watch() if watch is None else watch
    _refuse_patterns(definition)
    cells = line_cells(lines, curve, ends)
    proof = certify(cells, _for_proof(watch, definition))
    maps = None if _without_maps(proof, definition) else lines.compared(curve)
    count = len(cells.inner)
    pairs = np.arange(count - 1), np.arange(1, count), np.ones(count - 1, dtype=np.bool_)
    return _result(cells, proof, definition, maps, pairs, Counting.LINE, watch, _on_interval(ends))


def counted_plane(found: Plane, where: Where, definition: Definition, watch: Watch | None = None) -> RegionCount:
    """The count of a plane that is cut already; by default with no limit of time."""
    watch = Watch() if watch is None else watch
    _refuse_patterns(definition)
    cells = plane_cells(found, where)
    proof = certify(cells, _for_proof(watch, definition))
    maps = None if _without_maps(proof, definition) else found.compared()
    inner = found.right >= 0
    a, b = found.points[found.tail[inner]], found.points[found.head[inner]]
    size = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    # an edge so short may be a point in truth; a whole line goes from a direction to the opposite one
    long = (np.linalg.norm(np.cross(a, b), axis=1) > SHORT * size) | ((a * b).sum(axis=1) < 0)
    pairs = found.left[inner], found.right[inner], long
    return _result(cells, proof, definition, maps, pairs, Counting.PLANE, watch, _on_plane(where))


def _on_plane(where: Where) -> int:
    """Regions that there are for certain: one, but on a polytope, whose interior may be that of rounded corners."""
    return int(not isinstance(where, Polytope))


def _on_interval(ends: tuple[Fraction, Fraction] | None) -> int:
    """Likewise; of a polytope of one coordinate the ends are exact."""
    return int(ends is None or ends[0] < ends[1])


def _for_proof(watch: Watch, definition: Definition) -> Watch:
    """The time of the proof: all that is left, or half of it where maps are to be compared after it."""
    return watch if definition is Definition.ACTIVATION else watch.share(0.5)


def _without_maps(proof: Certificate, definition: Definition) -> bool:
    """Whether it is about patterns alone, or who asked waits no longer."""
    return definition is Definition.ACTIVATION or proof.ended == INTERRUPTED


def _refuse_patterns(definition: Definition) -> None:
    if definition is Definition.PATTERNS:
        raise InvalidInput(
            "lines and planes are cut where a pattern has an interior, and PATTERNS counts those of single points and "
            "edges as well; ask for them with method CELLS"
        )


def _result(
    cells: Cells,
    proof: Certificate,
    definition: Definition,
    maps: Maps | None,
    pairs: tuple[IntArray, IntArray, BoolArray],
    method: Counting,
    watch: Watch,
    least: int,
) -> RegionCount:
    count = len(cells.inner)
    present = max(least, int(proof.present.sum()))
    lower, upper = present, count if proof.complete else _most(cells.plan, cells.points.shape[1] - 1)
    open_cells = ~proof.present
    open_cells[cells.corners[~proof.settled[cells.corners[:, 1]], 0]] = True
    ambiguous = int(open_cells.sum())
    if maps is not None:
        if definition is Definition.CONNECTED and proof.complete:
            lower, most = maps.connected(*pairs)
        else:
            lower, most = maps.distinct()
            lower = lower if proof.complete else max(least, lower - int((~proof.present).sum()))
        count = maps.connected(*pairs)[1] if definition is Definition.CONNECTED else most
        upper = most if proof.complete else upper
        ambiguous += most - lower if proof.complete else 0
    elif definition is not Definition.ACTIVATION:
        lower = min(1, present)
    note = (
        "" if lower == upper else "some signs or maps are equal up to rounding, and fractions did not settle them all"
    )
    return RegionCount(
        count=count,
        lower=lower,
        upper=max(upper, count),
        ambiguous=ambiguous,
        definition=definition,
        units=cells.plan.units,
        method=method,
        seconds=watch.seconds,
        complete=not proof.ended,
        margin=proof.margin if math.isfinite(proof.margin) else None,
        work=proof.work,
        note=proof.ended or note,
    )


def _begun(
    own: Plan,
    basis: Basis,
    inner: FloatArray,
    sides: ExactArray,
    late: Late,
    definition: Definition,
    method: Counting,
    watch: Watch,
    least: int,
) -> RegionCount:
    """What a domain shows that is cut by some of the breaks only: the patterns, or maps, at a point in each cell.

    Args:
        inner: (cells, d) those points, by the coordinates of the basis.
        least: regions that there are for certain.
    """
    words = np.zeros((len(inner), own.words), dtype=np.uint64)

    def pieces(which: IntArray) -> IntArray:
        x = inner[which] @ basis.x / (inner[which] @ basis.w)[:, None]
        found = pieces_at(own, x)
        words[which] = own.pack(found)
        return found

    none, d = np.zeros(0, dtype=np.int64), inner.shape[1]
    nothing = Cells(
        plan=own, basis=basis, pieces=pieces, inner=inner, points=np.zeros((0, d)), home=none,
        lines=np.zeros((0, d - 1), dtype=np.int64), left=none, right=none, side=none,
        corners=np.zeros((0, 2), dtype=np.int64), ends=np.zeros((0, 2), dtype=np.int64), sides=sides,
        fixed=np.zeros(0, dtype=np.bool_), whole=np.zeros(0, dtype=np.bool_),
    )  # fmt: skip
    watch = watch.soon() if late.interrupted else watch
    proof = certify(nothing, _for_proof(watch, definition))
    shown = np.flatnonzero(proof.present)
    _, first = np.unique(words[shown], axis=0, return_index=True)
    shown = shown[first]
    lower = max(least, shown.size)
    if definition is not Definition.ACTIVATION:
        open_ = not shown.size or _without_maps(proof, definition)
        lower = min(1, lower) if open_ else _maps_shown(own, basis, pieces, shown, watch)
    note = INTERRUPTED if late.interrupted else OUT_OF_TIME
    return RegionCount(
        count=lower,
        lower=lower,
        upper=max(lower, _most(own, d - 1)),
        ambiguous=int((~proof.present).sum()),
        definition=definition,
        units=own.units,
        method=method,
        seconds=watch.seconds,
        complete=False,
        margin=proof.margin if math.isfinite(proof.margin) else None,
        work=proof.work,
        note=f"{note} when {late.done:,} of {late.total:,} breaks of units had cut the domain",
    )


def _maps_shown(own: Plan, basis: Basis, pieces: Callable[[IntArray], IntArray], cells: IntArray, watch: Watch) -> int:
    """How many affine maps some cells have at the least, as many of these as the time allows."""
    found: list[Form] = []
    for part in np.array_split(cells, 1 + cells.size * max(1, own.units) // CHUNK):
        *_, (_, form) = forms(own, basis, pieces(part))
        found.append(form)
        if watch.late:
            break
    every = Form(np.concatenate([f.value for f in found]), np.concatenate([f.error for f in found]))

    def exact(k: int) -> ExactArray:
        return exact_output(own, basis, pieces(cells[k : k + 1])[0])

    return Maps(every, exact, len(basis.w) * own.network.parameters).distinct()[0]


def _most(plan: Plan, dimension: int) -> int:
    """As many as each layer's lines can cut what the one before left (Zaslavsky's number, layer by layer)."""
    most = 1
    for part in plan.parts:
        lines = part.size * (math.comb(part.pieces, 2) if part.maximum else part.pieces - 1)
        most *= sum(math.comb(lines, k) for k in range(dimension + 1))
    return most


# --- what is to be proved -----------------------------------------------------------------------------------------


def _interval(domain: Polytope) -> tuple[Fraction, Fraction]:
    """A polytope of one coordinate, exactly."""
    low, high = Fraction(domain.box.lower.item()), Fraction(domain.box.upper.item())
    for a, limit in zip(domain.matrix.ravel().tolist(), domain.limit.tolist()):
        if a:
            end = Fraction(limit) / Fraction(a)
            low, high = (low, min(high, end)) if a > 0 else (max(low, end), high)
    return low, high


def line_cells(lines: Lines, curve: int, ends: tuple[Fraction, Fraction] | None = None) -> Cells:
    """The stretches of one line, and what is to be proved of them (`ends`: see `counted_line`)."""
    own = np.flatnonzero(lines.stretches.chain == curve)
    left, right, _ = lines.stretches
    count = own.size
    basis = lines.basis().one(curve)
    # stretch k lies between the vertices k and k + 1; a vertex is an edge as well
    vertex = np.arange(count + 1)
    s = np.concatenate([lines.s[left[own]], lines.s[right[own[-1:]]]])
    s[0], s[-1] = lines.s[lines.offsets[curve]], lines.s[lines.offsets[curve + 1] - 1]
    points = _on_line(s, lines.whole)
    middle = _on_line(0.5 * (lines.s[left[own]] + lines.s[right[own]]), lines.whole)
    pieces = lines.pieces_of(own)
    cells = np.arange(count)
    at_end = (vertex == 0) | (vertex == count)
    return Cells(
        plan=lines.plan,
        basis=basis,
        pieces=lambda which: pieces[which],
        inner=middle,
        points=points,
        home=np.maximum(vertex - 1, 0),
        lines=vertex[:, None],
        left=np.maximum(vertex - 1, 0),
        right=np.where(at_end, -1, np.minimum(vertex, count - 1)),
        side=np.where(vertex == 0, 0, 1),
        corners=np.concatenate([np.stack([cells, cells], axis=1), np.stack([cells, cells + 1], axis=1)]),
        ends=np.stack([vertex, vertex], axis=1),
        sides=_ends_of_line(basis, lines.whole, ends),
        fixed=at_end & (ends is None),
        whole=np.zeros(count + 1, dtype=np.bool_),
    )


def _on_line(s: FloatArray, whole: bool) -> FloatArray:
    """Points of a line by its basis."""
    return np.stack([s - 1, 1 - np.abs(s - 1)] if whole else [1 - s, s], axis=1)


def _ends_of_line(basis: Basis, whole: bool, ends: tuple[Fraction, Fraction] | None) -> ExactArray:
    """Linear functions of the coordinates that are 0 at the ends of the domain."""
    if ends is not None:
        return np.array([exactly(basis.x[:, 0]) - end for end in ends], dtype=object)
    return exactly(np.array([[0.0, 1.0], [0.0, 1.0]] if whole else [[0.0, 1.0], [1.0, 0.0]]))


def plane_cells(found: Plane, where: Where) -> Cells:
    """The faces of a plane, and what is to be proved of them."""
    face, first, _, edge = found.sides
    walk, offsets = found.around
    before = np.roll(walk, 1)
    before[offsets[:-1]] = walk[offsets[1:] - 1]
    # at the beginning of every side of a face two of its edges meet
    bent = np.flatnonzero(found.maker[edge[walk]] != found.maker[edge[before]])
    vertex, chosen = np.unique(first[walk[bent]], return_index=True)
    home, lines = np.full(found.vertices, -1), np.zeros((found.vertices, 2), dtype=np.int64)
    home[vertex] = face[walk[bent[chosen]]]
    lines[vertex, 0], lines[vertex, 1] = edge[before[bent[chosen]]], edge[walk[bent[chosen]]]
    sides, given = sides_of(where)
    side = np.where(found.right < 0, -2 - found.maker, 0)
    # a corner of the domain as it was given, of two given sides
    border = np.flatnonzero(found.right < 0)
    low, high = np.full(found.vertices, len(sides)), np.full(found.vertices, -1)
    for end in (found.tail[border], found.head[border]):
        np.minimum.at(low, end, side[border])
        np.maximum.at(high, end, side[border])
    ends = np.concatenate([np.stack([np.arange(found.edges), end], axis=1) for end in (found.tail, found.head)])
    far = found.points[:, 2] == 0
    lone = np.flatnonzero((found.right >= 0) & far[found.tail] & far[found.head])
    extra = found.vertices + np.arange(lone.size)
    beside = [np.stack([face[lone], extra], axis=1) for face in (found.left, found.right)]
    return Cells(
        plan=found.plan,
        basis=found.basis,
        pieces=found.pieces,
        inner=found.inner,
        points=np.concatenate([found.points, found.points[found.head[lone]]]),
        home=np.append(home, np.full(lone.size, -1)),
        lines=np.concatenate([lines, np.zeros((lone.size, 2), dtype=np.int64)]),
        left=found.left,
        right=found.right,
        side=side,
        corners=np.concatenate([np.stack([face, first], axis=1), *beside]),
        ends=np.concatenate([ends, np.stack([lone, extra], axis=1)]),
        sides=sides,
        fixed=np.append((low < high) & (high < given), np.zeros(lone.size, dtype=np.bool_)),
        whole=np.arange(found.vertices + lone.size) >= found.vertices,
    )


def sides_of(where: Where) -> tuple[ExactArray, int]:
    """Linear functions of (u, v, w) that are 0 on the sides of a domain, and how many sides meet in given corners."""
    if isinstance(where, Space):
        return exactly(np.tile([0.0, 0.0, 1.0], (4, 1))), 4
    if isinstance(where, Slice):
        corners = exactly(where.corners)
        following = np.roll(corners, -1, axis=0)
        normal = np.stack([corners[:, 1] - following[:, 1], following[:, 0] - corners[:, 0]], axis=1)
        constant = corners[:, 0] * following[:, 1] - corners[:, 1] * following[:, 0]
        return np.concatenate([normal, constant[:, None]], axis=1), len(corners)
    box = where.enclosure
    (a, c), (b, d) = box.lower, box.upper
    sides = np.array([[0.0, 1.0, -c], [1.0, 0.0, -b], [0.0, 1.0, -d], [1.0, 0.0, -a]])
    if isinstance(where, Polytope):
        sides = np.vstack([sides, np.column_stack([where.matrix, -where.limit])])
    return exactly(sides), 4
