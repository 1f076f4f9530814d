"""How far two networks can be apart on the domain: the proof behind `equivalence`.

Nothing is taken from the rewrites but which neurons they kept. Layer by layer, what the new activations take is
compared with what the old ones of the same neurons take. Both are affine in the values of activations before them; of
their gap

* equal parts cancel, and where nothing is left the gap is zero;
* a neuron held on one piece is an affine function of what its layer takes, so that the parts which a merge or fold
  moved around cancel too, up to rounding;
* of two neurons whose rows are proportional (`reludsl.rewrite.twins`) one stands for the other;
* any other neuron is as free as its bounds allow: its tightest lines, its box, or the piece that it is nearest to with
  what it deviates from that, whichever gives less. One that was removed wrongly shows as an error of the size of its
  outgoing weights, one that passes its break by d as an error of d times those;
* a neuron that the old network does not have must be held on one piece, and is substituted;
* what is left over is bounded on the domain, and carried on by |W| and the steepest slope.

That is a backward pass as in `reludsl.bounds.linear`, which rounds outward, so that the bound holds in exact arithmetic
for the weights given. All facts about the old network come from its proved bounds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from reludsl import numeric
from reludsl.backend import BoolArray, FloatArray, IntArray
from reludsl.bounds import Bounds, LinearForm, linear_form
from reludsl.domain import Box
from reludsl.layers import Affine, AffineLayer, Conv, LinearBounds, MaxLayer, NonlinearLayer, elementwise
from reludsl.network import INPUT, Network, Node
from reludsl.rewrite.base import FRESH, NeuronMap, positions
from reludsl.rewrite.narrow import same_inputs
from reludsl.rewrite.relaxations import apart, chosen, free_neurons, lines, nearest_piece, within
from reludsl.rewrite.twins import NONE, Twins, find_twins

LARGEST = 2**22
"""Elements of the largest array that is worked on at once (32 MB)."""


def output_difference(old: Network, new: Network, map: NeuronMap, proved: Bounds) -> FloatArray:
    """Upper bounds of |new(x) - old(x)| over the domain, output by output: (n_out,).

    Args:
        map: which old neurons the new network's neurons claim to be.
        proved: bounds of the old network over the domain.

    Infinite where the two cannot be compared (other inputs or outputs, layers that are not of one kind).

    >>> from reludsl.bounds import crown
    >>> from reludsl.layers import Affine, relu
    >>> net, other = (Network.chain([Affine(np.array([[1.0]]), np.zeros(1)), relu,
    ...                              Affine(np.array([[w]]), np.zeros(1))], (1,)) for w in (1.0, 1.5))
    >>> output_difference(net, other, NeuronMap.identity(net), crown(net, Box([-1.0], [2.0]))).round(9)
    array([1.])
    """
    return Comparison(old, proved).difference(new, map)


class Comparison:
    """An old network, and what of it serves to compare others with it."""

    def __init__(self, old: Network, proved: Bounds) -> None:
        self.old, self.proved = old, proved
        self.pieced = {n.name: n for n in old.cone(old.output) if not isinstance(n.layer, AffineLayer)}
        self.lines = {name: lines(node, old.around(node, proved.boxes)) for name, node in self.pieced.items()}
        self._twins: dict[str, Twins] = {}
        plain = {
            name: (n.layer, old.around(n, proved.boxes)) for name, n in self.pieced.items() if elementwise(n.layer)
        }
        self.free = {name: free_neurons(*given) for name, given in plain.items()}
        self._plain = {name: given for name, given in plain.items() if self.free[name].any()}

    @cached_property
    def relaxations(self) -> tuple[dict[str, LinearBounds], ...]:
        """What may stand for the neurons that are held on no piece: see `reludsl.rewrite.relaxations`."""
        lines, boxes = self.lines, self.proved.boxes
        flat = {name: chosen(self.free[name], within(boxes[name]), lines[name]) for name in self._plain}
        near = {
            name: chosen(self.free[name], nearest_piece(*given), lines[name]) for name, given in self._plain.items()
        }
        return lines, {**lines, **flat}, {**lines, **near}

    def twins(self, name: str) -> Twins:
        """The twins of an old activation's units."""
        if name not in self._twins:
            stage = next((s for s in self.old.hidden if s.activation == name), None)
            before = None if stage is None else self.old.by_name.get(stage.pre)
            usable = stage is not None and before is not None and len(before.sources) == 1
            self._twins[name] = (
                find_twins(self.old, stage, self.proved.boxes[before.source]) if usable and stage and before else NONE
            )
        return self._twins[name]

    def difference(self, new: Network, map: NeuronMap) -> FloatArray:
        """See `output_difference`."""
        old = self.old
        if old.input_size != new.input_size or old.output_size != new.output_size or not self._comparable(new, map):
            return np.full(old.output_size, np.inf)
        run = _Run(self, new, map)
        for node in new.cone(new.output):
            run.step(node)
        return run.gap((new.output, np.arange(new.output_size)), (old.output, np.arange(old.output_size)))

    def _comparable(self, new: Network, map: NeuronMap) -> bool:
        for node in new.cone(new.output):
            if isinstance(node.layer, AffineLayer):
                continue
            index, before = map.elements.get(node.name), self.pieced.get(node.name)
            if index is None or before is None or index.size != new.size(node.name):
                return False
            kept = index[index >= 0]
            if (
                index.min(initial=0) < FRESH
                or np.unique(kept).size != kept.size
                or kept.max(initial=-1) >= self.old.size(node.name)
            ):
                return False
            if elementwise(node.layer):
                if not elementwise(before.layer):
                    return False
                here = np.flatnonzero(index >= 0)
                if node.layer.take(here) != before.layer.take(kept):
                    return False
        return True


@dataclass(slots=True, eq=False)
class _Run:
    """One comparison: how far each value of the new network can be from the old one."""

    base: Comparison
    new: Network
    map: NeuronMap
    moved: dict[str, FloatArray] = field(default_factory=dict)
    boxes: dict[str, Box] = field(default_factory=dict)
    lines: dict[str, LinearBounds] = field(default_factory=dict)
    comparable: bool = True

    def step(self, node: Node) -> None:
        """The box of a new node, and how far it is from the old one where it is not affine."""
        if not self.boxes:
            self.boxes[INPUT] = self.base.proved.boxes[INPUT]
        around = self.new.around(node, self.boxes)
        box = node.layer.interval(around)
        if not isinstance(node.layer, AffineLayer):
            index = self.map.elements[node.name]
            self.moved[node.name] = moved = self._moved(node, index)
            known = self.base.proved.boxes[node.name]
            kept, at = (index >= 0) & np.isfinite(moved), np.maximum(index, 0)
            width = np.where(kept, moved, 0.0)
            low, high = numeric.down(known.lower[at], width), numeric.up(known.upper[at], width)
            low, high = (
                np.where(kept, np.maximum(low, box.lower), box.lower),
                np.where(kept, np.minimum(high, box.upper), box.upper),
            )
            if (low > high).any():
                # both hold the new value: where they do not meet, a bound is wrong, and nothing is proved
                self.comparable = False
            else:
                box = Box(low, high)
            self.lines[node.name] = lines(node, around)
            new = index < 0
            if new.any():
                # a new neuron means what its line says, or nothing at all
                held = elementwise(node.layer) and (node.layer.held_piece(around)[new] >= 0).all()
                self.comparable &= bool(held)
        self.boxes[node.name] = box

    def _moved(self, node: Node, index: IntArray) -> FloatArray:
        """|new - old| of the elements of a node that stay; 0 for new ones."""
        old = self.base.pieced[node.name]
        layer = node.layer
        moved = np.zeros(index.size)
        if elementwise(layer):
            kept = np.flatnonzero(index >= 0)
            gap = self.gap((node.source, kept), (old.source, index[kept]))
            moved[kept] = np.where(gap == 0, 0.0, numeric.inflated(layer.lipschitz * gap))
            return moved
        taken = sum(self.new.size(source) for source in node.sources)
        inputs = same_inputs(node.layer, old.layer, index, taken)
        if inputs is None:
            return np.full(index.size, np.inf)
        gap = np.zeros(taken)
        for part, mine, theirs in _by_source(self.new, node, self.base.old, old, inputs):
            gap[part] = self.gap(mine, theirs)
        if isinstance(layer, MaxLayer):
            return np.asarray(layer(gap))
        assert isinstance(layer, NonlinearLayer)
        return np.full(index.size, numeric.inflated(np.asarray(layer.lipschitz * gap.max(initial=0.0))))

    def gap(self, mine: tuple[str, IntArray], theirs: tuple[str, IntArray]) -> FloatArray:
        """|new - old| of some elements of a new node and of an old one, one by one."""
        (name, rows), (before, at) = mine, theirs
        if rows.size != at.size or not self.comparable:
            return np.full(rows.size, np.inf)
        if self._same(name, before) and np.array_equal(rows, at):
            return np.zeros(rows.size)
        widest = max([1, *(self.base.old.size(n.name) for n in self.base.old.cone(self.base.old.output))])
        count = max(16, LARGEST // widest)
        gap = np.zeros(rows.size)
        different = np.flatnonzero(~self._equal_rows(name, rows, before, at))
        for start in range(0, different.size, count):
            part = different[start : start + count]
            gap[part] = self._gap(name, rows[part], before, at[part])
        return gap

    def _equal_rows(self, name: str, rows: IntArray, before: str, at: IntArray) -> BoolArray:
        """Elements that layers of weights compute alike, of one value that did not move."""
        mine, theirs = self.new.by_name.get(name), self.base.old.by_name.get(before)
        none = np.zeros(rows.size, dtype=np.bool_)
        if mine is None or theirs is None or len(mine.sources) != 1 or len(theirs.sources) != 1:
            return none
        if not self._same(mine.source, theirs.source):
            return none
        a, b = mine.layer, theirs.layer
        if isinstance(a, Affine) and isinstance(b, Affine) and a.weight.shape[1] == b.weight.shape[1]:
            return np.asarray(_equal(a.dense[rows], b.dense[at]) & (a.offset[rows] == b.offset[at]))
        # with groups the place of a channel says what it takes
        if isinstance(a, Conv) and isinstance(b, Conv) and a.geometry == b.geometry and a.groups == b.groups == 1:
            per_channel = self.new.size(name) // len(a.weight)
            same_place = rows % per_channel == at % per_channel
            first, second = rows // per_channel, at // per_channel
            # channel by channel first: there may be thousands of positions
            pairs, inverse = np.unique(np.stack([first, second]), axis=1, return_inverse=True)
            alike = _equal(a.weight[pairs[0]], b.weight[pairs[1]]) & (a.offset[pairs[0]] == b.offset[pairs[1]])
            return np.asarray(same_place & alike[inverse.ravel()])
        return none

    def _same(self, name: str, before: str) -> bool:
        """The very same layers on values that did not move at all."""
        pending = [(name, before)]
        seen: set[tuple[str, str]] = set()
        while pending:
            mine, theirs = pending.pop()
            if (mine, theirs) in seen:
                continue
            seen.add((mine, theirs))
            if mine == INPUT or theirs == INPUT:
                if mine != theirs:
                    return False
                continue
            if mine in self.moved or theirs in self.base.pieced:
                index = self.map.elements.get(mine)
                unmoved = mine == theirs and mine in self.moved and not self.moved[mine].any()
                if not unmoved or index is None or not np.array_equal(index, np.arange(self.base.old.size(theirs))):
                    return False
                continue
            a, b = self.new.by_name[mine], self.base.old.by_name[theirs]
            if a.layer is not b.layer or len(a.sources) != len(b.sources):
                return False
            pending.extend(zip(a.sources, b.sources))
        return True

    def _gap(self, name: str, rows: IntArray, before: str, at: IntArray) -> FloatArray:
        mine, captured = self._new_form(name, rows)
        theirs = self._old_form(before, at)
        constant = mine.offset - theirs.offset
        error = mine.error + theirs.error
        same = numeric.exact_sum(mine.offset, -theirs.offset)
        error = error + np.where(same, 0.0, 2 * numeric.UNIT * np.abs(constant))
        seeds: dict[str, FloatArray] = {}
        for source, coefficients in captured.items():
            index = self.map.elements[source]
            kept = index >= 0
            spread = np.zeros((rows.size, self.base.old.size(source)))
            spread[:, index[kept]] = coefficients[:, kept]
            seeds[source] = spread
            moved = np.where(kept, self.moved[source], 0.0)
            error = error + _carried(coefficients, moved)
        seeds[INPUT] = mine.coefficients
        for source, coefficients in {**theirs.left, INPUT: theirs.coefficients}.items():
            here = seeds.get(source)
            if here is None:
                seeds[source] = -coefficients
                continue
            total = here - coefficients
            if not numeric.exact_sum(here, -coefficients).all():
                reach = self.base.proved.boxes[source].magnitude
                lost = 2 * numeric.UNIT * (np.abs(total) @ reach) + numeric.underflow(reach.size)
                error = error + np.where(numeric.exact_sum(here, -coefficients).all(axis=-1), 0.0, lost)
            seeds[source] = total
        seeds = {source: a for source, a in seeds.items() if a.any()}
        widest = np.abs(constant)
        touched = np.zeros(rows.size, dtype=np.bool_)
        for a in seeds.values():
            touched |= a.any(axis=1)
        if not touched.any():
            return np.asarray(numeric.up(widest, error))
        chosen = np.flatnonzero(touched)
        above = self._largest({source: a[chosen] for source, a in seeds.items()})
        below = self._largest({source: -a[chosen] for source, a in seeds.items()})
        ends = np.maximum(numeric.plus_up(above, constant[chosen]), numeric.plus_up(below, -constant[chosen]))
        widest[chosen] = np.maximum(ends, 0.0)
        return np.asarray(numeric.up(widest, error))

    def _new_form(self, name: str, rows: IntArray) -> tuple[LinearForm, dict[str, FloatArray]]:
        """Elements of a new value over the values of activations and the input, and the coefficients of those kept."""
        captured: dict[str, FloatArray] = {}

        def capture(node: Node, a: FloatArray) -> tuple[FloatArray, FloatArray]:
            kept = self.map.elements[node.name] >= 0
            captured[node.name] = np.where(kept, a, 0.0)
            rest = np.where(kept, 0.0, a)
            if not rest.any():
                return rest, np.zeros(a.shape[:-1])
            # the form is a bound from above; from below it is as far as the lines of the new neurons are apart
            around = self.new.around(node, self.boxes)
            return rest, numeric.inflated(np.abs(rest) @ apart(self.lines[node.name], around))

        fresh = any((self.map.elements[n] < 0).any() for n in self.moved)
        stops = () if fresh else tuple(self.moved)
        form = linear_form(self.new, {name: _units(rows, self.new.size(name))}, self.boxes, self.lines, stops, capture)
        captured.update(form.left)
        return form, captured

    def _old_form(self, name: str, at: IntArray) -> LinearForm:
        old = self.base.old
        seeds = {name: _units(at, old.size(name))}
        return linear_form(old, seeds, self.base.proved.boxes, self.base.lines, tuple(self.base.pieced))

    def _largest(self, seeds: Mapping[str, FloatArray]) -> FloatArray:
        """Upper bounds of a combination of old values: those seeded, and those that the new network lacks, are replaced
        by what they are made of; what is before them lies in its box."""
        missing = {name for name in self.base.pieced if name not in self.moved}
        stops = tuple(name for name in self.base.pieced if name not in seeds and name not in missing)
        touched = [
            free[a.any(axis=0)].any() for name, free in self.base.free.items() if (a := seeds.get(name)) is not None
        ]
        free = any(touched) or any(self.base.free[name].any() for name in missing if name in self.base.free)
        options = self.base.relaxations if free else (self.base.lines,)
        return np.asarray(np.min([self._largest_by(lines, seeds, stops) for lines in options], axis=0))

    def _largest_by(
        self, lines: dict[str, LinearBounds], seeds: Mapping[str, FloatArray], stops: tuple[str, ...]
    ) -> FloatArray:
        form = linear_form(self.base.old, seeds, self.base.proved.boxes, lines, stops, self._exchange)
        total, error, exact = form.offset, form.error, form.exact
        for source, a in {**form.left, INPUT: form.coefficients}.items():
            ends = a.any(axis=1)
            if not ends.any():
                continue
            domain = self.base.proved.domain if source == INPUT else self.base.proved.boxes[source]
            total = numeric.plus_up(total, np.where(ends, domain.support(a), 0.0))
            exact = exact & ~ends
        return np.asarray(numeric.up(total, np.where(exact, 0.0, error + numeric.gamma(4) * form.size)))

    def _exchange(self, node: Node, a: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Coefficients of neurons that are free, moved to the twins they have."""
        nothing = np.zeros(a.shape[:-1])
        layer = node.layer
        if not elementwise(layer):
            return a, nothing
        twins = self.base.twins(node.name)
        if not len(twins):
            return a, nothing
        held = layer.held_piece(self.base.old.around(node, self.base.proved.boxes)) >= 0
        per_unit = positions(self.base.old.shapes[node.name])
        free = ~np.asarray(held.reshape(-1, per_unit).all(axis=1))[twins.unit]
        if not free.any():
            return a, nothing
        unit, other = (_elements(side[free], per_unit) for side in (twins.unit, twins.other))
        factor, distance = (np.repeat(side[free], per_unit) for side in (twins.factor, twins.distance))
        moved = a[:, unit]
        after = a.copy()
        after[:, unit] = 0.0
        np.add.at(after.T, other, (moved * factor).T)
        reach = self.base.proved.boxes[node.name].magnitude
        size = np.abs(moved) @ (factor * reach[other]) + np.abs(a[:, other]) @ reach[other]
        lost = numeric.gamma(2 * unit.size) * size + numeric.underflow(unit.size)
        cost = numeric.inflated(np.abs(moved) @ (layer.lipschitz * distance))
        exact = ~moved.any(axis=1)
        return after, np.where(exact, 0.0, cost + lost)


def _equal(a: FloatArray, b: FloatArray) -> BoolArray:
    """Which rows of two arrays are the same."""
    return np.asarray((a == b).all(axis=tuple(range(1, a.ndim))))


def _elements(units: IntArray, per_unit: int) -> IntArray:
    return (units[:, None] * per_unit + np.arange(per_unit)).ravel()


def _units(rows: IntArray, size: int) -> FloatArray:
    """Rows of the identity."""
    out = np.zeros((rows.size, size))
    out[np.arange(rows.size), rows] = 1.0
    return out


def _carried(coefficients: FloatArray, moved: FloatArray) -> FloatArray:
    """|C| moved, rounded up; infinite where something that counts has moved without bound."""
    finite = np.where(np.isfinite(moved), moved, 0.0)
    lost = numeric.inflated(np.abs(coefficients) @ finite)
    unbounded = (coefficients[:, ~np.isfinite(moved)] != 0).any(axis=1)
    return np.where(unbounded, np.inf, lost)


def _by_source(
    new: Network, node: Node, old: Network, before: Node, inputs: IntArray
) -> Iterator[tuple[IntArray, tuple[str, IntArray], tuple[str, IntArray]]]:
    """Elements of new and old sources that stand for each other: inputs of the new layer, and both sides."""
    ends_new = np.cumsum([0, *(new.size(s) for s in node.sources)])
    ends_old = np.cumsum([0, *(old.size(s) for s in before.sources)])
    for k, source in enumerate(node.sources):
        mine = np.arange(ends_new[k], ends_new[k + 1])
        for j, name in enumerate(before.sources):
            part = mine[(inputs[mine] >= ends_old[j]) & (inputs[mine] < ends_old[j + 1])]
            if part.size:
                yield part, (source, part - ends_new[k]), (name, inputs[part] - ends_old[j])
