"""A layer is accepted when it keeps the laws: values, bounds, derivatives, programs and files say the same function.

    from reludsl.testing import check_layer

    check_layer(SortPairs(4), Box.full(-1, 1, (4,)))

What bounds claim is compared in exact rational arithmetic, on corners, ties and rough points of the box and of smaller
boxes, points among them. A law is a function named `law_*`; adding one is writing one. One that does not apply to a
layer (rows of a maximum, the file of a type that is not registered) is skipped with the reason.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields, is_dataclass
from fractions import Fraction
from functools import cached_property
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from reludsl import plugins
from reludsl.backend import Backend, FloatArray, Limits, Sense
from reludsl.domain import Box
from reludsl.errors import InvalidInput, UnsupportedOperator
from reludsl.exact import ExactArray, exactly
from reludsl.expr import Input, NodeVariable
from reludsl.formulate import Compiled, compile_program
from reludsl.io.npz import read_npz, write_npz
from reludsl.io.onnx import read_onnx, write_onnx
from reludsl.io.rounding import rounded
from reludsl.layers import Activation, AffineLayer, Layer, LinearBounds, NonlinearLayer, Shape
from reludsl.network import Network
from reludsl.passes import Formulation, big_m, lower, prune
from reludsl.program import Program
from reludsl.testing.cases import TOLERANCE, LawBroken, NotOffered, hold
from reludsl.testing.enumeration import EnumerationBackend

__all__ = ["LAYER_LAWS", "Checked", "LayerLaw", "Subject", "check_layer"]

EXACTLY = 1e-9
"""Relative: what outward rounding of rows may leave open where a program is solved in exact arithmetic."""

MOST_BINARIES, MOST_ENTRIES = 6, 3000
"""Programs with more binaries, or rows times columns, go to a solver instead of to enumeration."""


@dataclass(frozen=True)
class Subject:
    """A layer, where it is asked about, and the points and boxes that it is asked at."""

    layer: Layer
    box: Box
    shape: Shape
    seed: int
    backend: Backend | None

    @property
    def rng(self) -> np.random.Generator:
        """A generator of the same numbers for every law; each call starts it anew."""
        return np.random.default_rng(self.seed)

    @cached_property
    def network(self) -> Network:
        """The layer alone."""
        return Network.chain([self.layer], self.shape, ["layer"])

    @cached_property
    def boxes(self) -> tuple[Box, ...]:
        """The box, a part of it, one that is thin in some coordinates, and points: a corner and a rough one."""
        rng, box = self.rng, self.box
        a, b, c = box.sample(rng, 3)
        part = Box(np.minimum(a, b), np.maximum(a, b))
        thin = rng.random(box.size) < 0.5
        return (
            box,
            part,
            Box(np.where(thin, c, box.lower), np.where(thin, c, box.upper)),
            Box(box.lower, box.lower),
            Box(c, c),
        )

    def within(self, box: Box) -> FloatArray:
        """Corners, ties, dyadic and rough points of a box: (m, n)."""
        rng, low, high = self.rng, box.lower, box.upper
        middle = 0.5 * (low + high)
        corners = np.where(rng.random((3, box.size)) < 0.5, low, high)
        ties = np.repeat(rng.choice(middle, 2)[:, None], box.size, axis=1)
        rough = box.sample(rng, 4)
        found = [low, high, middle, *corners, *ties, *np.round(8 * rough[:2]) / 8, *rough]
        if isinstance(self.layer, Activation):
            found += [*self.layer.breaks_at(box.size)]
        return np.unique(np.clip(found, low, high), axis=0)

    @cached_property
    def points(self) -> FloatArray:
        return self.within(self.box)

    def exact(self, x: FloatArray) -> ExactArray:
        return self.layer.exact(exactly(x))

    @cached_property
    def affine(self) -> AffineLayer:
        """The layer, for what only affine ones have."""
        if isinstance(self.layer, AffineLayer):
            return self.layer
        raise NotOffered("only affine layers have a matrix")

    @cached_property
    def pieced(self) -> Activation | NonlinearLayer:
        """The layer, for what affine ones do not need."""
        if isinstance(self.layer, Activation | NonlinearLayer):
            return self.layer
        raise NotOffered("an affine layer needs no relaxation")

    @cached_property
    def matrix(self) -> sparse.csr_array:
        return sparse.csr_array(self.affine.rows(self.box.size))

    @cached_property
    def directions(self) -> FloatArray:
        """Rows of coefficients of the value, k / 8 and never 0."""
        rng, n = self.rng, self.network.output_size
        return np.asarray(rng.integers(1, 17, (2, n)) * rng.choice([-0.125, 0.125], (2, n)))


# --- values -------------------------------------------------------------------------------------------------


def law_layer_is_of_a_known_kind(s: Subject) -> None:
    """It is an affine layer, an activation or a nonlinear layer, with all that a network asks of one."""
    kinds = [k for k in (AffineLayer, Activation, NonlinearLayer) if isinstance(s.layer, k)]
    hold(len(kinds) == 1, f"it is {len(kinds)} of AffineLayer, Activation, NonlinearLayer; derive it from one of them")
    hold(isinstance(s.layer, Layer), "it lacks something that `reludsl.layers.Layer` lists")
    hold(isinstance(s.layer.kind, str), f"its kind is {s.layer.kind!r}, which tables cannot show; give a text")


def law_output_shape_counts_the_values(s: Subject) -> None:
    """The output shape has as many elements as the forward pass gives."""
    shape, values = s.layer.output_shape(s.shape), s.layer(s.points)
    hold(
        values.shape == (len(s.points), prod(shape)),
        f"output_shape({s.shape}) is {shape}, and {len(s.points)} points give values of shape {values.shape}",
    )


def law_batch_is_row_by_row(s: Subject) -> None:
    """A batch gives what its points give one by one, up to rounding, and stays what it is."""
    before = s.points.copy()
    whole = s.layer(s.points)
    hold(np.array_equal(before, s.points), "the forward pass writes into its argument")
    for x, row in zip(s.points, whole):
        _close(row, s.layer(x[None, :])[0], 2 * s.layer.forward_error(Box(x, x), 0 * x), f"the batch, at {_text(x)}")


def law_exact_pass_is_exact(s: Subject) -> None:
    """Fractions give fractions, and the floats next to them values as near as the error of the input allows."""
    for x in s.points:
        third = exactly(x) * Fraction(2, 3) + exactly(0.5 * (s.box.lower + s.box.upper)) * Fraction(1, 3)
        value = s.layer.exact(third)
        odd = [v for v in value if not isinstance(v, Fraction | int)]
        hold(not odd, f"exact() of fractions holds {odd[:1]}, which proves nothing; keep to operations on objects")
        near = third.astype(np.float64)
        gap = np.array([float(abs(a - b)) for a, b in zip(third, exactly(near))])
        error = s.layer.forward_error(Box(near, near), 2 * gap)
        _near(s.layer(near[None, :])[0], value, error, f"the float pass, at {_text(near)}")


def law_floats_stay_within_forward_error(s: Subject) -> None:
    """|f~(x~) - f(x)| <= forward_error for |x~ - x| <= error, and with no error of the input at all."""
    moved, rng = 0.125 * (s.box.upper - s.box.lower), s.rng
    for x in s.points:
        true = s.exact(x)
        _near(s.layer(x[None, :])[0], true, s.layer.forward_error(Box(x, x), 0 * x), f"the float pass, at {_text(x)}")
        shifted = x + moved * rng.choice([-0.99, 0.99], x.size)
        error = s.layer.forward_error(s.box, moved)
        _near(s.layer(shifted[None, :])[0], true, error, f"the float pass near {_text(x)}, at {_text(shifted)}")


# --- bounds -------------------------------------------------------------------------------------------------


def law_interval_contains_values(s: Subject) -> None:
    """interval(box) holds f(x) for every x of the box, exactly; of smaller boxes, thin ones and points too."""
    for box in s.boxes:
        found = s.layer.interval(box)
        for x in s.within(box):
            _between(found.lower, s.exact(x), found.upper, f"interval{_ends(box)}", x)


def law_interval_of_a_batch_is_that_of_each(s: Subject) -> None:
    """A box of arrays (m, n) is m boxes, each on its own."""
    found = s.layer.interval(_stacked(s.boxes))
    wanted = (len(s.boxes), s.network.output_size)
    hold(found.lower.shape == wanted, f"{wanted[0]} boxes give bounds of shape {found.lower.shape} instead of {wanted}")
    for box, low, high in zip(s.boxes, found.lower, found.upper):
        for x in s.within(box):
            _between(low, s.exact(x), high, f"the batch of intervals, of {_ends(box)}", x)


def law_relaxation_encloses_values(s: Subject) -> None:
    """L x + l <= f(x) <= U x + u for every x of the box, exactly; of smaller boxes, thin ones and points too."""
    for box in s.boxes:
        line = s.pieced.relax(box)
        for x in s.within(box):
            below, above = _lines(line, exactly(x))
            _between(below, s.exact(x), above, f"relax{_ends(box)}", x)


def law_relaxation_is_tight_at_a_point(s: Subject) -> None:
    """On a box without extent both lines meet the value."""
    for x in s.points:
        below, above = _lines(s.pieced.relax(Box(x, x)), exactly(x))
        for side in (below, above):
            _near(side.astype(np.float64), s.exact(x), EXACTLY * (1.0 + np.abs(s.layer(x[None])[0])), f"at {_text(x)}")


def law_relaxation_of_a_batch_is_that_of_each(s: Subject) -> None:
    """The lines of an activation on a batch of boxes enclose its values on each."""
    if not isinstance(s.pieced, Activation):
        raise NotOffered("a nonlinear layer is relaxed one box at a time")
    line = s.pieced.relax(_stacked(s.boxes))
    for k, box in enumerate(s.boxes):
        one = LinearBounds(
            np.asarray(line.lower_slope)[k],
            line.lower_offset[k],
            np.asarray(line.upper_slope)[k],
            line.upper_offset[k],
        )
        for x in s.within(box):
            below, above = _lines(one, exactly(x))
            _between(below, s.exact(x), above, f"the batch of lines, of {_ends(box)}", x)


# --- the matrix of an affine layer --------------------------------------------------------------------------


def law_rows_and_bias_are_the_map(s: Subject) -> None:
    """f(x) = rows x + bias = apply(x) + bias, exactly where `exact_rows` says so."""
    layer, bias = s.affine, np.broadcast_to(s.affine.bias, (s.network.output_size,))
    wanted = (s.network.output_size, s.box.size)
    hold(s.matrix.shape == wanted, f"rows has shape {s.matrix.shape} and maps {wanted[1]} inputs to {wanted[0]} values")
    odd = s.matrix.data[~np.isin(s.matrix.data, (0.0, 1.0, -1.0))]
    hold(not (layer.copies and odd.size), f"`copies` is said of a matrix that holds {odd[:1]}")
    for x in s.points:
        value, true = _times(s.matrix, exactly(x)) + exactly(bias), s.exact(x)
        room = np.zeros(bias.size) if layer.exact_rows else EXACTLY * (1.0 + np.abs(true.astype(np.float64)))
        for k in range(bias.size):
            hold(
                abs(value[k] - true[k]) <= Fraction(room[k]),
                f"rows @ x + bias is {float(value[k])!r} in element {k} at {_text(x)}, and exact() {float(true[k])!r}",
            )
        _near(layer.apply(x[None, :])[0] + bias, true, layer.forward_error(Box(x, x), 0 * x), f"apply, at {_text(x)}")


def law_adjoint_is_the_transpose(s: Subject) -> None:
    """a W from `adjoint` and `exact_adjoint` is a @ rows, the first up to `adjoint_rounding`."""
    layer, reach = s.affine, s.box.magnitude
    found = layer.adjoint(s.directions)
    hold(found.shape == (2, s.box.size), f"adjoint of 2 rows has shape {found.shape} instead of {(2, s.box.size)}")
    allowed = np.abs(s.directions) @ layer.adjoint_rounding(reach) if layer.exact_rows else EXACTLY * (1 + reach.sum())
    for a, row, lost in zip(s.directions, found, np.broadcast_to(allowed, (2,))):
        true = _times(sparse.csr_array(s.matrix.T), exactly(a))
        off = sum(abs(u - v) * Fraction(r) for u, v, r in zip(exactly(row), true, reach.tolist()))
        hold(off <= Fraction(lost), f"adjoint({_text(a)}) is {_text(row)}, and a @ rows {_text(true)}")
        own = layer.exact_adjoint(exactly(a), s.box.size)
        gap = max((abs(u - v) for u, v in zip(own, true)), default=0)
        hold(
            gap <= (0 if layer.exact_rows else EXACTLY), f"exact_adjoint of {_text(a)}: {_text(own)}, not {_text(true)}"
        )


def law_absolute_is_that_of_the_rows(s: Subject) -> None:
    """absolute(x) = |rows| x for x >= 0, of one vector and of a batch."""
    size = np.abs(s.points)
    wanted = (abs(s.matrix) @ size.T).T
    for found in (s.affine.absolute(size), np.stack([s.affine.absolute(x) for x in size])):
        for x, row, true in zip(size, found, wanted):
            _close(row, true, EXACTLY * np.abs(true), f"absolute({_text(x)})")


# --- derivatives --------------------------------------------------------------------------------------------


def law_pull_is_the_transpose_of_push(s: Subject) -> None:
    """<a, push(x, v)> = <pull(x, a), v>."""
    rng = s.rng
    for x in s.points:
        v = rng.integers(-8, 9, (2, x.size)) / 8
        forward = (s.directions * s.layer.push(x, v)).sum(axis=1)
        back = (s.layer.pull(np.stack([x, x]), s.directions) * v).sum(axis=1)
        _close(forward, back, EXACTLY * (1.0 + np.abs(back)), f"<a, push> and <pull, v>, at {_text(x)}")


def law_push_is_the_difference_inside_a_piece(s: Subject) -> None:
    """push(x, v) = (f(x + h v) - f(x)) / h for small h, wherever h and -h agree."""
    h = Fraction(1, 2**60)
    rng = s.rng
    for x in s.box.sample(rng, 4):
        v = rng.integers(-8, 9, x.size) / 8
        here, step = s.exact(x), exactly(v) * h
        rise, fall = ((s.layer.exact(exactly(x) + sign * step) - here) / (sign * h) for sign in (1, -1))
        smooth = np.array([a == b for a, b in zip(rise, fall)])
        found, true = s.layer.push(x, v[None, :])[0], rise.astype(np.float64)
        allowed = np.where(smooth, EXACTLY * (1.0 + np.abs(true)), np.inf)
        _close(found, true, allowed, f"push at {_text(x)} along {_text(v)}")


def law_room_keeps_the_piece(s: Subject) -> None:
    """Within `room` f changes by push, exactly as on one piece."""
    layer, rng = s.pieced, s.rng
    for x in s.box.sample(rng, 4):
        v = rng.uniform(-1, 1, x.size)
        if isinstance(layer, Activation):
            fall, rise = layer.room(x)
            step = 0.875 * v * np.minimum(np.where(v < 0, fall, rise), 8.0)
        else:
            rows, slack = layer.room(x)
            if not slack.size:
                raise NotOffered("its room is not known")
            closing = -(rows @ v)
            step = 0.875 * v * min(8.0, np.min(slack[closing > 0] / closing[closing > 0], initial=8.0))
        change = layer.exact(exactly(x) + exactly(step)) - s.exact(x)
        found = layer.push(x, step[None, :])[0]
        _near(found, change, EXACTLY * (1.0 + np.abs(found)), f"push within the room of {_text(x)}, by {_text(step)}")


# --- symbols and programs -----------------------------------------------------------------------------------


def law_symbols_mean_the_numbers(s: Subject) -> None:
    """The layer on a symbol, evaluated at a point, is the layer at that point."""
    x = Input(s.box)
    y = s.network(x)
    for point in s.points:
        value = y.value({x.variable: point})
        _close(value, s.layer(point[None, :])[0], np.zeros(value.size), f"the symbolic value, at {_text(point)}")


def law_program_is_the_graph(s: Subject) -> None:
    """With its input pinned, the program of the layer has one value, f(x); also for smaller boxes and points."""
    for box in s.boxes:
        model = _Modelled(s, box)
        for x in s.within(box)[:: 1 if model.small else 3]:
            model.pinned(x, big_m(model.compiled.program), f"the program over {_ends(box)}")


def law_program_covers_the_box(s: Subject) -> None:
    """The largest value over the box is at least that of every point, and no more than the interval's."""
    model = _Modelled(s, s.box)
    bound = s.layer.interval(s.box)
    values = s.layer(s.points)
    for c in model.costs:
        best = model.largest(c, big_m(model.compiled.program))
        reached = float((values @ c).max())
        most = float(np.maximum(c * bound.lower, c * bound.upper).sum())
        slack = model.slack(c)
        hold(
            best is not None and reached - slack <= best <= most + slack,
            f"max of {_text(c)} @ f(x) over the box is {best} by the program; a point reaches {reached!r}, and the "
            f"interval allows {most!r}",
        )


def law_passes_keep_the_values(s: Subject) -> None:
    """Pruned and lowered in every formulation, the program has the same maxima, and the same value at a point."""
    model = _Modelled(s, s.box)
    program = model.compiled.program
    for name, changed in _lowered(program):
        for c in model.costs:
            before, after = model.largest(c, big_m(program)), model.largest(c, changed)
            hold(
                before is not None and after is not None and abs(before - after) <= model.slack(c),
                f"max of {_text(c)} @ f(x) is {before} before and {after} after {name}",
            )
        for x in s.points[::3]:
            model.pinned(x, changed, f"the program after {name}")


def _lowered(program: Program) -> Iterator[tuple[str, Program]]:
    yield "prune", big_m(prune(program))
    for form in (Formulation.BIG_M, Formulation.PUBLISHED, Formulation.HULL):
        yield str(form), lower(program, form, budget=0.0)


class _Modelled:
    """The program of a layer over a box, and answers about it: exact ones where it is small."""

    def __init__(self, subject: Subject, box: Box) -> None:
        self.subject = subject
        x = Input(box)
        y = subject.network(x)
        self.compiled: Compiled = compile_program([y])
        (value,) = y.terms
        assert isinstance(value, NodeVariable)
        self.value, self.input = self.compiled.position[value], x.variable.name
        matrix = big_m(self.compiled.program).matrix()
        entries = matrix.rows.shape[0] * matrix.rows.shape[1]
        self.small = int(matrix.integer.sum()) <= MOST_BINARIES and entries <= MOST_ENTRIES
        self.reach = subject.layer.interval(box).magnitude

    @property
    def costs(self) -> list[FloatArray]:
        """Rows over the value: a direction both ways, and the first elements."""
        c = self.subject.directions[0]
        return [c, -c, *np.eye(c.size)[:2]]

    def slack(self, cost: FloatArray) -> float:
        return (EXACTLY if self.small else TOLERANCE) * (1.0 + float(np.abs(cost) @ self.reach))

    def largest(self, cost: FloatArray, program: Program, at: FloatArray | None = None) -> float | None:
        """max of cost @ value, with the input pinned if wished; None where there is no value."""
        backend = EnumerationBackend() if self.small else self.subject.backend or plugins.default()
        trace = program.original
        whole = np.zeros(trace.matrix.shape[0])
        whole[self.value] = cost
        row = np.asarray(whole @ trace.matrix)
        session = backend.open(program.matrix(), Limits())
        index = np.flatnonzero(row)
        session.set_cost(index, row[index], Sense.MAXIMIZE, float(whole @ trace.offset))
        if at is not None:
            where = program.where(self.input)
            session.set_bounds(np.arange(where.start, where.stop), at, at)
        result = session.solve()
        session.close()
        return result.objective

    def pinned(self, x: FloatArray, program: Program, what: str) -> None:
        """The value at x is f(x) and nothing else. A direction with no zero sees any other."""
        c = self.subject.directions[0]
        true = float(exactly(c) @ self.subject.exact(x))
        for cost, sign in ((c, 1.0), (-c, -1.0)):
            found = self.largest(cost, program, x)
            hold(found is not None, f"{what} has no value at {_text(x)}, where f is {_text(self.subject.exact(x))}")
            assert found is not None
            hold(
                abs(sign * found - true) <= self.slack(c),
                f"{what} lets {_text(c)} @ f(x) be {sign * found!r} at {_text(x)}, where it is {true!r}",
            )


# --- files --------------------------------------------------------------------------------------------------


def law_file_gives_the_layer_back(s: Subject) -> None:
    """Written as .npz and read again, it is of the same type and computes the same to the last bit."""
    with tempfile.TemporaryDirectory() as folder, _files():
        path = Path(folder, "layer.npz")
        write_npz(s.network, path)
        again = read_npz(path)
    for x, value, other in zip(s.points, s.layer(s.points), again(s.points)):
        _close(other, value, np.zeros(value.size), f"the layer from a file, at {_text(x)}")
    _same_type(again, s)


def law_onnx_gives_the_function_back(s: Subject) -> None:
    """Written as ONNX in float32 and read again, it computes what it does when rounded to float32."""
    with tempfile.TemporaryDirectory() as folder, _files():
        path = Path(folder, "layer.onnx")
        write_onnx(s.network, path)
        again, single = read_onnx(path), rounded(s.network, np.float32)
    for x, value, other in zip(s.points, single(s.points), again(s.points)):
        _close(other, value, EXACTLY * (1.0 + np.abs(value)), f"the layer from an ONNX file, at {_text(x)}")


def law_rounding_gives_numbers_of_the_format(s: Subject) -> None:
    """As float32 every number of its fields is one, and rounding once more changes nothing."""
    with _files():
        once = rounded(s.network, np.float32)
    with np.errstate(over="ignore"):
        odd = [v for v in _numbers(once.nodes[0].layer) if float(np.float32(v)) != v]
    hold(not odd, f"rounded to float32 it holds {odd[:1]}, which no float32 is")
    hold(rounded(once, np.float32) is once, "rounded to float32 twice, it changes twice")
    _same_type(once, s)


@contextmanager
def _files() -> Iterator[None]:
    """A layer that is refused with its reason has no file, and no fault."""
    try:
        yield
    except UnsupportedOperator as reason:
        raise NotOffered(str(reason)) from None


def _same_type(net: Network, s: Subject) -> None:
    (node,) = net.nodes
    found, own = type(node.layer), type(s.layer)
    hold(found is own, f"what comes back is a {found.__name__}, of which {own.__name__} may be a subclass: register it")


def _numbers(value: Any) -> Iterator[float]:
    """Every float in the fields of a layer."""
    match value:
        case float():
            yield value
        case tuple():
            for v in value:
                yield from _numbers(v)
        case np.ndarray() if value.dtype.kind == "f":
            yield from value.ravel().tolist()
        case _ if sparse.issparse(value):
            yield from value.data.tolist()
        case _ if is_dataclass(value):
            for field in fields(value):
                yield from _numbers(getattr(value, field.name))


# --- comparing ----------------------------------------------------------------------------------------------


def _text(values: FloatArray | ExactArray) -> str:
    """The first numbers of a vector, as floats."""
    shown = [repr(float(v)) for v in values[:4]]
    return f"[{', '.join(shown)}{', ...' if len(values) > 4 else ''}]"


def _ends(box: Box) -> str:
    return f"({_text(box.lower)}, {_text(box.upper)})"


def _stacked(boxes: Iterable[Box]) -> Box:
    each = list(boxes)
    return Box(np.stack([b.lower for b in each]), np.stack([b.upper for b in each]))


def _close(found: FloatArray, wanted: FloatArray, allowed: FloatArray, what: str) -> None:
    hold(found.shape == wanted.shape, f"{what}: the shape is {found.shape} instead of {wanted.shape}")
    bad = np.flatnonzero(~(np.abs(found - wanted) <= allowed))
    if bad.size:
        k = bad[0]
        raise LawBroken(f"{what}: element {k} is {float(found[k])!r} instead of {float(wanted[k])!r}")


def _near(found: FloatArray, true: ExactArray, allowed: FloatArray, what: str) -> None:
    hold(found.shape == true.shape, f"{what}: the shape is {found.shape}, and that of exact() {true.shape}")
    for k, (value, exact, room) in enumerate(zip(exactly(found), true, np.broadcast_to(allowed, found.shape))):
        off = abs(value - exact)
        hold(
            off <= Fraction(float(room)),
            f"{what}: element {k} is {float(value)!r} and {float(exact)!r} in exact arithmetic, {float(off):.3g} apart "
            f"where {float(room):.3g} is allowed",
        )


def _between(low: FloatArray | ExactArray, value: ExactArray, high: FloatArray | ExactArray, what: str, x: Any) -> None:
    hold(len(low) == len(value) == len(high), f"{what} bounds {len(low)} elements, and there are {len(value)}")
    for k, (a, v, b) in enumerate(zip(low, value, high)):
        hold(
            Fraction(a) <= v <= Fraction(b),
            f"{what} says [{float(a)!r}, {float(b)!r}] for element {k}, which is {float(v)!r} at {_text(x)}",
        )


def _times(matrix: sparse.csr_array, x: ExactArray) -> ExactArray:
    """matrix @ x in exact arithmetic."""
    data, out = exactly(matrix.data), np.empty(matrix.shape[0], dtype=object)
    for i, (a, b) in enumerate(zip(matrix.indptr, matrix.indptr[1:])):
        out[i] = sum((w * x[j] for w, j in zip(data[a:b], matrix.indices[a:b])), Fraction(0))
    return out


def _lines(line: LinearBounds, x: ExactArray) -> tuple[ExactArray, ExactArray]:
    """Both lines of a relaxation at a point, in exact arithmetic."""
    sides = ((line.lower_slope, line.lower_offset), (line.upper_slope, line.upper_offset))
    below, above = (
        (_times(slope, x) if isinstance(slope, sparse.csr_array) else exactly(slope) * x) + exactly(offset)
        for slope, offset in sides
    )
    return below, above


# --- the suite ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LayerLaw:
    """One thing that holds for every layer.

    Args:
        name: stable.
        statement: the law in one sentence.
        check: raises LawBroken when the layer breaks it, NotOffered when it does not apply.
    """

    name: str
    statement: str
    check: Callable[[Subject], None]


LAYER_LAWS: tuple[LayerLaw, ...] = tuple(
    LayerLaw(name.removeprefix("law_"), (function.__doc__ or "").strip(), function)
    for name, function in list(globals().items())
    if name.startswith("law_")
)
"""All laws of layers, in the order of this file."""


@dataclass(frozen=True, slots=True)
class Checked:
    """What was asked of a layer that keeps the laws.

    Args:
        kept: names of the laws that were checked.
        skipped: name -> why it does not apply.
    """

    kept: tuple[str, ...]
    skipped: Mapping[str, str]


def check_layer(
    layer: Layer,
    box: Box,
    shape: Shape | None = None,
    *,
    laws: Iterable[str] | None = None,
    seed: int = 0,
    backend: Backend | str | None = None,
) -> Checked:
    """Ask a layer all the laws, on a box of its inputs.

    Args:
        box: flat; with room on both sides of some kinks, or pieces are not seen. Small layers are checked best: up to
            about six binaries their programs are solved in exact arithmetic.
        shape: of the input tensor; one axis by default. For a layer of k tensors of one shape, (k, *shape).
        laws: names of the laws to check; all by default.
        seed: of the points.
        backend: for programs too large for enumeration; the first installed by default.

    Raises:
        AssertionError: it breaks laws; the message lists each, with the values.
        InvalidInput: a name that is no law, or a shape that has not as many elements as the box.

    >>> from reludsl.layers import maxout
    >>> checked = check_layer(maxout(4, 2), Box([0, 1, 2, 3], [2, 3, 4, 5]))
    >>> "interval_contains_values" in checked.kept, checked.skipped["absolute_is_that_of_the_rows"]
    (True, 'only affine layers have a matrix')
    """
    tensor = (box.size,) if shape is None else tuple(shape)
    if prod(tensor) != box.size or box.lower.ndim != 1:
        raise InvalidInput(
            f"a box of shape {box.lower.shape} does not fit a tensor of shape {tensor}, so no point can be taken from "
            "it; give a flat box with one interval per element"
        )
    subject = Subject(layer, box, tensor, seed, None if backend is None else plugins.load(backend))
    kept: list[str] = []
    skipped: dict[str, str] = {}
    broken: dict[str, str] = {}
    asked = _chosen(laws)
    for law in asked:
        try:
            law.check(subject)
        except NotOffered as reason:
            skipped[law.name] = str(reason)
        except LawBroken as problem:
            broken[law.name] = str(problem)
        except Exception as problem:  # a layer that raises breaks the law too, whatever it raises
            broken[law.name] = f"{type(problem).__name__}: {problem}"
        else:
            kept.append(law.name)
    if broken:
        lines = [f"{type(layer).__name__} breaks laws of layers, {len(broken)} of {len(asked)}:"]
        raise LawBroken("\n".join([*lines, *(f"  {name}: {text}" for name, text in broken.items())]))
    return Checked(tuple(kept), skipped)


def _chosen(laws: Iterable[str] | None) -> tuple[LayerLaw, ...]:
    known = {law.name: law for law in LAYER_LAWS}
    wanted = list(known) if laws is None else list(laws)
    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise InvalidInput(
            f"there is no law of layers named {', '.join(map(repr, unknown))}, so nothing would be checked; "
            f"choose from {', '.join(known)}"
        )
    return tuple(known[name] for name in wanted)
