"""Symbols: affine vector expressions over inputs and over the values inside networks.

    x = box(0, 1, net.input_shape)
    t = net.trace(x)
    2 * t.pre[1][7] - x[3] + 1

An expression is sum_v A_v v + c over *variables* v: inputs, each with its domain, and values of a network's
nodes at some input. Numpy arrays stand on either side of `+ - * / @`; `[]` selects, `sum()` adds up, and
`<= >= < > ==` give conditions (`reludsl.logic`), element by element; `!=` is the negation of `==`. Coefficients are
float64: an expression means what its coefficients say after they were added up.

The truth value of a symbol is refused: `if`, `and`, `max` on symbols would silently mean something else.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from reludsl.backend import FloatArray
from reludsl.domain import Ball, Box, Domain, Norm, Polytope
from reludsl.errors import InvalidInput
from reludsl.logic import Atoms, Condition, all_of, any_of, slack

if TYPE_CHECKING:
    from reludsl.network import Network


@dataclass(frozen=True, eq=False)
class InputVariable:
    """A point of a domain, chosen freely."""

    name: str
    domain: Domain

    @property
    def size(self) -> int:
        return self.domain.size


@dataclass(frozen=True, eq=False)
class Application:
    """One network applied to one argument."""

    network: Network
    argument: Expr


@dataclass(frozen=True)
class NodeVariable:
    """The value of one node of a network at the argument of an application."""

    application: Application
    node: str

    @property
    def name(self) -> str:
        return self.node

    @property
    def size(self) -> int:
        return self.application.network.size(self.node)


@dataclass(frozen=True, eq=False)
class SlackVariable:
    """A number up to the slack of a condition: t <= slack(condition), so that max t is the largest slack.

    Only a maximum of it means anything; `reludsl.proof` asks for nothing else.
    """

    condition: Condition

    @property
    def name(self) -> str:
        return "slack"

    @property
    def size(self) -> int:
        return 1


@dataclass(frozen=True, eq=False)
class AuxiliaryVariable:
    """Columns that the encoding of a layer makes, within a box; they exist while a program is written."""

    name: str
    box: Box

    @property
    def size(self) -> int:
        return self.box.size


Variable = InputVariable | NodeVariable | SlackVariable | AuxiliaryVariable


@dataclass(frozen=True, slots=True)
class SymbolicTrace:
    """Pre- and post-activations of every hidden stage, and the output, as expressions.

    Args:
        active: per hidden stage the condition z_i > first break (for a ReLU: z_i > 0), a vector of conditions:
            `active[1][7]` is the one of neuron 7. The other side is its negation, the break included.
        beyond: per hidden stage and break, the condition z_i > break: neuron 7 of stage 1 is on its middle piece of
            three where `beyond[1][0][7] & ~beyond[1][1][7]`.
    """

    pre: tuple[Expr, ...]
    post: tuple[Expr, ...]
    active: tuple[Atoms, ...]
    beyond: tuple[tuple[Atoms, ...], ...]
    output: Expr


class Expr:
    """sum_v A_v v + c, a vector of affine expressions.

    >>> x = box([0, 0], [1, 2])
    >>> y = np.array([[1.0, 1.0]]) @ x - 3
    >>> y.value({x.variable: np.array([1.0, 2.0])})
    array([0.])
    """

    __array_ufunc__ = None  # numpy hands W @ x and c - x over to this class
    __slots__ = ("constant", "terms")
    __hash__ = object.__hash__

    def __init__(self, terms: Mapping[Variable, sparse.csr_array], constant: FloatArray) -> None:
        self.terms = dict(terms)
        self.constant = constant

    @classmethod
    def of(cls, variable: Variable) -> Expr:
        """The expression that is just this variable."""
        eye = sparse.csr_array(sparse.eye_array(variable.size))
        return cls({variable: eye}, np.zeros(variable.size))

    @classmethod
    def stack(cls, exprs: Sequence[Expr]) -> Expr:
        """The elements of several expressions, one after the other, as one.

        >>> x = box(0, 1, (2,))
        >>> Expr.stack([x, x[0] + 1]).size
        3
        """
        if len(exprs) == 1:
            return exprs[0]
        variables = list(dict.fromkeys(v for expr in exprs for v in expr.terms))
        terms = {
            v: sparse.csr_array(
                sparse.vstack([e.terms.get(v, sparse.csr_array((e.size, v.size))) for e in exprs], format="csr")
            )
            for v in variables
        }
        return cls(terms, np.concatenate([np.zeros(0), *(e.constant for e in exprs)]))

    def is_variable(self, variable: Variable | None = None) -> bool:
        """Whether this is just one variable (the one given), and nothing else."""
        if len(self.terms) != 1 or self.constant.any():
            return False
        ((held, matrix),) = self.terms.items()
        square = matrix.shape[0] == matrix.shape[1]
        same = square and (matrix != sparse.eye_array(matrix.shape[0])).nnz == 0
        return bool(same and (variable is None or held is variable))

    @property
    def size(self) -> int:
        return int(self.constant.size)

    def __len__(self) -> int:
        return self.size

    def __repr__(self) -> str:
        return f"Expr(size={self.size}, over=[{', '.join(v.name for v in self.terms)}])"

    def __bool__(self) -> bool:
        raise TypeError(
            "an expression has no truth value: it stands for many inputs at once. "
            "Write `a & b` for `a and b`, `(lo <= x) & (x <= hi)` for `lo <= x <= hi`, "
            "and ask maximize(...) for `max(...)`"
        )

    def __le__(self, other: Any) -> Atoms:
        return Atoms(self - other)

    def __ge__(self, other: Any) -> Atoms:
        return Atoms(other - self)

    def __lt__(self, other: Any) -> Atoms:
        return Atoms(self - other, strict=True)

    def __gt__(self, other: Any) -> Atoms:
        return Atoms(other - self, strict=True)

    def __eq__(self, other: Any) -> Condition:  # type: ignore[override]
        return all_of(self <= other, self >= other)

    def __ne__(self, other: Any) -> Condition:  # type: ignore[override]
        # not element by element: two vectors differ where one of their elements does
        return any_of(~(self <= other), ~(self >= other))

    def __contains__(self, other: Any) -> bool:
        raise TypeError(
            "`in` asks for a truth value, and an expression has none; compare instead, e.g. any_of(y == v for v in ys)"
        )

    def __neg__(self) -> Expr:
        return self * -1.0

    def __add__(self, other: Any) -> Expr:
        right = _as_expr(other, self.size)
        if self.size != right.size:
            if 1 not in (self.size, right.size):
                raise InvalidInput(f"expressions of {self.size} and {right.size} elements do not add up")
            n = max(self.size, right.size)
            return self._spread(n) + right._spread(n)
        terms = dict(self.terms)
        for variable, matrix in right.terms.items():
            terms[variable] = terms[variable] + matrix if variable in terms else matrix
        return Expr(terms, self.constant + right.constant)

    __radd__ = __add__

    def __sub__(self, other: Any) -> Expr:
        return self + (-_as_expr(other, self.size))

    def __rsub__(self, other: Any) -> Expr:
        return _as_expr(other, self.size) - self

    def __mul__(self, factor: Any) -> Expr:
        scale = _constant(factor, "multiplied by", self.size)
        diagonal = sparse.csr_array(sparse.diags_array(scale))
        return Expr({v: diagonal @ a for v, a in self.terms.items()}, scale * self.constant)

    __rmul__ = __mul__

    def __truediv__(self, divisor: Any) -> Expr:
        scale = _constant(divisor, "divided by", self.size)
        if (scale == 0).any():
            raise InvalidInput("an expression is divided by zero; give a divisor that is not")
        return self * (1.0 / scale)

    def mapped(self, matrix: sparse.csr_array) -> Expr:
        """matrix @ self, for a sparse matrix: scipy does not hand `@` over as numpy does.

        >>> x = box(0, 1, (2,))
        >>> x.mapped(sparse.csr_array([[1.0, 2.0]])).value({x.variable: np.array([1.0, 0.5])})
        array([2.])
        """
        return self.__rmatmul__(matrix)

    def __rmatmul__(self, matrix: npt.ArrayLike | sparse.csr_array) -> Expr:
        weights: Any
        if sparse.issparse(matrix):
            weights = sparse.csr_array(matrix)
            _numbers(weights.data, "multiplied by")
        else:
            weights = np.atleast_2d(_numbers(matrix, "multiplied by"))
        if weights.shape[1] != self.size:
            raise InvalidInput(
                f"a matrix of shape {weights.shape} does not fit an expression of {self.size} elements; "
                f"give one with {self.size} columns"
            )
        terms = {v: sparse.csr_array(sparse.csr_array(weights) @ a) for v, a in self.terms.items()}
        return Expr(terms, weights @ self.constant)

    def __getitem__(self, key: Any) -> Expr:
        picked = np.atleast_1d(np.arange(self.size)[key])
        return Expr({v: a[picked] for v, a in self.terms.items()}, self.constant[picked])

    def __iter__(self) -> Iterator[Expr]:
        return (self[k] for k in range(self.size))

    def sum(self) -> Expr:
        """The sum of all elements, an expression of size 1."""
        return np.ones((1, self.size)) @ self

    def _spread(self, size: int) -> Expr:
        return self if self.size == size else self[np.zeros(size, dtype=np.int64)]

    def through(self, network: Network) -> SymbolicTrace:
        """The symbolic trace of a network applied to this expression.

        Raises:
            InvalidInput: the sizes do not fit.
        """
        if self.size != network.input_size:
            raise InvalidInput(
                f"an expression of {self.size} elements goes into a network with {network.input_size} "
                f"inputs; give {network.input_size} elements"
            )
        application = Application(network, self)

        def value(node: str) -> Expr:
            # an activation may take the input itself, which is this expression
            return Expr.of(NodeVariable(application, node)) if node in network.by_name else self

        beyond = tuple(
            tuple(value(s.pre) > side for side in network.activation(s).breaks_at(s.size)) for s in network.hidden
        )
        return SymbolicTrace(
            tuple(value(s.pre) for s in network.hidden),
            tuple(value(str(s.activation)) for s in network.hidden),
            # with no break at all nobody is beyond it
            tuple(found[0] if found else Atoms(value(s.pre) * 0.0 + 1.0) for s, found in zip(network.hidden, beyond)),
            beyond,
            value(network.output),
        )

    def value(self, point: Mapping[InputVariable, FloatArray]) -> FloatArray:
        """The value at given inputs, by plain forward passes: no solver, no tolerance."""
        total = self.constant.copy()
        for variable, matrix in self.terms.items():
            if isinstance(variable, InputVariable):
                inner = np.asarray(point[variable], dtype=np.float64).ravel()
            elif isinstance(variable, SlackVariable):
                # of no comparisons the slack is one infinite number, not one per input
                inner = np.atleast_1d(slack(variable.condition, lambda expr: expr.value(point)[None, :]))
            elif isinstance(variable, AuxiliaryVariable):
                raise InvalidInput(f"a column of the encoding of {variable.name!r} has no value outside of a program")
            else:
                application = variable.application
                argument = application.argument.value(point)
                inner = application.network.values(argument[None, :], variable.node)[variable.node][0]
            total = total + matrix @ inner
        return np.asarray(total)

    def inputs(self) -> tuple[InputVariable, ...]:
        """The input variables that the value depends on, each once."""
        found: dict[InputVariable, None] = {}
        for variable in self.terms:
            if isinstance(variable, InputVariable):
                found[variable] = None
            elif isinstance(variable, SlackVariable):
                for atoms in variable.condition.atoms:
                    found.update(dict.fromkeys(atoms.expr.inputs()))
            elif isinstance(variable, NodeVariable):
                found.update(dict.fromkeys(variable.application.argument.inputs()))
        return tuple(found)


def _numbers(value: Any, verb: str) -> FloatArray:
    array = np.asarray(value, dtype=np.float64)
    if not np.isfinite(array).all():
        bad = array[~np.isfinite(array)].flat[0]
        raise InvalidInput(f"an expression is {verb} {bad}; give finite numbers")
    return array


def _constant(value: Any, verb: str, size: int) -> FloatArray:
    if isinstance(value, Expr):
        raise InvalidInput(
            f"an expression is {verb} an expression; products of symbols are not piecewise linear: use numbers"
        )
    array = _numbers(value, verb).ravel()
    if array.size not in (1, size):
        raise InvalidInput(
            f"an expression of {size} elements is {verb} {array.size} numbers; give 1 or {size}, or use W @ x"
        )
    return np.array(np.broadcast_to(array, (size,)))


def _as_expr(value: Any, size: int) -> Expr:
    if isinstance(value, Expr):
        return value
    array = _numbers(value, "added to").ravel()
    return Expr({}, np.array(np.broadcast_to(array, (size,)) if array.size == 1 else array))


class Input(Expr):
    """An input variable as an expression; its `domain` is what a network may be asked about."""

    __slots__ = ("variable",)

    def __init__(self, domain: Domain, name: str = "x") -> None:
        self.variable = InputVariable(name, domain)
        eye = sparse.csr_array(sparse.eye_array(domain.size))
        super().__init__({self.variable: eye}, np.zeros(domain.size))

    @property
    def domain(self) -> Domain:
        """Where the input lives."""
        return self.variable.domain


def box(lower: npt.ArrayLike, upper: npt.ArrayLike, shape: Sequence[int] | None = None, name: str = "x") -> Input:
    """An input with lower <= x <= upper.

    Args:
        lower, upper: scalars or arrays.
        shape: needed where both bounds are scalars.

    Raises:
        InvalidInput: NaN, infinite or crossed bounds.

    >>> box(0, 1, (28, 28)).size
    784
    """
    low, high = np.asarray(lower, dtype=np.float64), np.asarray(upper, dtype=np.float64)
    size = math.prod(shape) if shape is not None else max(low.size, high.size)
    flat = [np.broadcast_to(v.ravel(), (size,)) if v.size in (1, size) else v.ravel() for v in (low, high)]
    return Input(Box(flat[0], flat[1]), name)


def ball(
    center: npt.ArrayLike,
    radius: float,
    norm: Norm = Norm.LINF,
    clip: tuple[npt.ArrayLike, npt.ArrayLike] | None = None,
    name: str = "x",
) -> Input:
    """An input with ||x - center|| <= radius, within clip where given (see `reludsl.domain.Ball`).

    >>> ball([0.5, 1.0], 0.25, clip=(0, 1)).domain.enclosure.upper
    array([0.75, 1.  ])
    """
    return Input(Ball(np.asarray(center, dtype=np.float64), radius, norm, clip), name)


def polytope(matrix: npt.ArrayLike, limit: npt.ArrayLike, within: Box, name: str = "x") -> Input:
    """An input in a box with matrix @ x <= limit (see `reludsl.domain.Polytope`).

    >>> polytope([[1.0, 1.0]], [1.0], Box([0, 0], [1, 1])).domain.contains(np.array([[0.9, 0.9]]))
    array([False])
    """
    rows, sides = np.asarray(matrix, dtype=np.float64), np.asarray(limit, dtype=np.float64)
    return Input(Polytope(rows, sides, within), name)


def as_domain(where: Input | Domain) -> Domain:
    """The domain that an argument stands for: itself, or that of an input."""
    domain = where.domain if isinstance(where, Input) else where
    if not isinstance(domain, Domain):
        raise InvalidInput(
            f"{type(domain).__name__} is no domain; give Box(lower, upper), or rd.box(0, 1, net.input_shape)"
        )
    return domain
