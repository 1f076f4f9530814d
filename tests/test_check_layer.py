"""`check_layer` passes every layer there is, and fails every planted mistake, on the law that forbids it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import cast

import numpy as np
import pytest
from scipy import sparse

from reludsl.backend import FloatArray
from reludsl.domain import Box
from reludsl.errors import InvalidInput
from reludsl.exact import ExactArray
from reludsl.expr import Expr
from reludsl.layers import (
    DECLARED,
    Affine,
    AffineLayer,
    AveragePool,
    BatchNorm,
    Conv,
    Encoding,
    Fresh,
    Gather,
    Layer,
    LinearBounds,
    Max,
    MaxPool,
    NonlinearLayer,
    PiecewiseLinear,
    Reshape,
    Scale,
    Shape,
    Shift,
    Sum,
    concatenated,
    larger,
    maxout,
    prelu,
    registered,
    registry,
    relu,
    transposed,
)
from reludsl.testing import LAYER_LAWS, check_layer
from reludsl.testing.cases import LawBroken


def rough(*shape: int) -> FloatArray:
    """Numbers with all 53 bits in use."""
    return np.random.default_rng(7).standard_normal(shape)


def around(size: int, low: float = -1.0, high: float = 1.0) -> Box:
    """A rough box that holds the cube [low, high]^n and little more."""
    rng = np.random.default_rng(size)
    return Box(low - rng.random(size), high + rng.random(size))


ZIGZAG = PiecewiseLinear("zigzag", (-0.3, 0.25, 0.7), (1.1, -1.3, 0.5, 0.0), (0.1, 0.2))
SPARSE = sparse.csr_array(np.where(rough(3, 4) > 0.3, rough(3, 4), 0.0))
KINDS: dict[str, tuple[Layer, Shape]] = {
    "affine": (Affine(rough(3, 4), rough(3)), (4,)),
    "affine-sparse": (Affine(SPARSE, rough(3)), (1, 4)),
    "shift": (Shift(rough(3)), (3,)),
    "shift-by-one-number": (Shift(rough(1)), (3,)),
    "scale": (Scale(rough(3)), (3,)),
    "divide": (Scale(rough(3), divide=True), (3,)),
    "reshape": (Reshape((2, -1)), (4,)),
    "add": (Sum((1, 1, 1)), (3, 2)),
    "subtract": (Sum((1, -1)), (2, 3)),
    "gather-with-fill": (Gather(np.array([2, 0, -1, 2]), 3, (4,), fill=0.7), (3,)),
    "transpose": (transposed((2, 3), (1, 0)), (2, 3)),
    "concat": (concatenated(((1, 2), (1, 3)), 1), (5,)),
    "max": (Max(np.array([[0, 1, 2], [1, 3, 3]]), 4, (2,)), (4,)),
    "maxout": (maxout(4, 2), (4,)),
    "larger": (larger((2,)), (2, 2)),
    "conv-of-one-axis": (Conv(rough(2, 2, 2), rough(2), (4,), 1, 1), (2, 4)),
    "conv-of-two-axes": (Conv(rough(2, 1, 2, 2), rough(2), (3, 3), 2, 1), (1, 3, 3)),
    "average-pool": (AveragePool(2, (3,), 2, 1, 1), (2, 3)),
    "max-pool": (MaxPool(1, (4,), 3, 2, 1), (1, 4)),
    "max-pool-of-two-axes": (MaxPool(1, (3, 3), 2, 1), (1, 3, 3)),
    "batch-norm": (BatchNorm(rough(2), rough(2), 2), (2, 2)),
    **{name: (layer, (2,)) for name, layer in DECLARED.items()},
    "prelu-per-element": (prelu(rough(3)), (3,)),
    "zigzag": (ZIGZAG, (2,)),
    "identity": (PiecewiseLinear("identity", (), (1,)), (2,)),
}

ONNX = "onnx_gives_the_function_back"
OF_MATRICES = {"rows_and_bias_are_the_map", "adjoint_is_the_transpose", "absolute_is_that_of_the_rows"}
OF_PIECES = {
    "relaxation_encloses_values",
    "relaxation_is_tight_at_a_point",
    "relaxation_of_a_batch_is_that_of_each",
    "room_keeps_the_piece",
}


def _one_box(layer: Layer) -> set[str]:
    return {"relaxation_of_a_batch_is_that_of_each"} if isinstance(layer, NonlinearLayer) else set()


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_of_layer_keeps_the_laws(name: str) -> None:
    layer, shape = KINDS[name]
    # wide enough for every break there is
    ends = (-3.0, 7.0) if name in DECLARED else (-1.0, 1.0)
    checked = check_layer(layer, around(math.prod(shape), *ends), shape)
    assert {*checked.kept, *checked.skipped} == {law.name for law in LAYER_LAWS}
    # what is skipped is about layers of another kind
    assert set(checked.skipped) == (OF_PIECES if isinstance(layer, AffineLayer) else OF_MATRICES | _one_box(layer))


@pytest.mark.parametrize("name", ["add", "subtract"])
def test_sum_of_one_tensor_is_written_as_onnx(name: str) -> None:
    layer, shape = KINDS[name]
    check_layer(layer, around(math.prod(shape)), shape, laws=[ONNX])


def test_every_registered_type_is_among_them() -> None:
    own = {name for name, kind in registered().items() if kind.__module__.startswith("reludsl.")}
    assert own <= {type(layer).__name__ for layer, _ in KINDS.values()}


def test_large_program_goes_to_a_solver() -> None:
    pytest.importorskip("highspy")
    checked = check_layer(relu, around(9), laws=["program_is_the_graph", "program_covers_the_box"], backend="highs")
    assert len(checked.kept) == 2


# --- planted mistakes ---------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class OtherShape(Affine):
    def output_shape(self, shape: Shape) -> Shape:
        return (*super().output_shape(shape), 2)


@dataclass(frozen=True, eq=False)
class WritesItsArgument(Affine):
    def __call__(self, x: FloatArray) -> FloatArray:
        x += 1.0
        return super().__call__(x - 1.0)


@dataclass(frozen=True, eq=False)
class CentredOnItsBatch(Affine):
    def __call__(self, x: FloatArray) -> FloatArray:
        return super().__call__(x - x.mean(axis=0)) if len(x) > 1 else super().__call__(x)


@dataclass(frozen=True, eq=False)
class ExactAnother(Affine):
    def exact(self, x: ExactArray) -> ExactArray:
        return np.asarray(super().exact(x) + Fraction(1, 1000))


@dataclass(frozen=True, eq=False)
class ExactInFloats(Max):
    def exact(self, x: ExactArray) -> ExactArray:
        return np.asarray(self(x.astype(np.float64)[None, :])[0], dtype=object)


@dataclass(frozen=True, eq=False)
class NeverRounds(Affine):
    def rounding(self, magnitude: FloatArray, terms: int = 0) -> FloatArray:
        return np.zeros((*magnitude.shape[:-1], self.offset.size))


@dataclass(frozen=True, eq=False)
class FlatterThanItIs(Max):
    def forward_error(self, box: Box, error: FloatArray) -> FloatArray:
        return 0.5 * super().forward_error(box, error)


@dataclass(frozen=True, eq=False)
class NarrowInterval(Max):
    def interval(self, box: Box) -> Box:
        return Box(self(box.lower), self(0.5 * box.lower + 0.5 * box.upper))


@dataclass(frozen=True, eq=False)
class OneIntervalForAll(Max):
    def interval(self, box: Box) -> Box:
        if box.lower.ndim == 1:
            return super().interval(box)
        first = super().interval(Box(box.lower[-1], box.upper[-1]))
        return Box(*(np.tile(side, (len(box.lower), 1)) for side in (first.lower, first.upper)))


@dataclass(frozen=True)
class LowUpperLine(PiecewiseLinear):
    def relax(self, box: Box) -> LinearBounds:
        line = super().relax(box)
        return replace(line, upper_offset=line.upper_offset - 2.0**-20)


@dataclass(frozen=True, eq=False)
class LowerFromUpper(Max):
    def relax(self, box: Box) -> LinearBounds:
        line = super().relax(box)
        return replace(line, lower_slope=line.upper_slope, lower_offset=line.upper_offset)


@dataclass(frozen=True, eq=False)
class LooseAtPoints(Max):
    def relax(self, box: Box) -> LinearBounds:
        line = super().relax(box)
        return replace(line, upper_offset=line.upper_offset + 1.0)


@dataclass(frozen=True)
class OneLineForAll(PiecewiseLinear):
    def relax(self, box: Box) -> LinearBounds:
        line = super().relax(box)
        if box.lower.ndim == 1:
            return line
        parts = (line.lower_slope, line.lower_offset, line.upper_slope, line.upper_offset)
        return LinearBounds(*(np.tile(np.asarray(part)[-1], (len(box.lower), 1)) for part in parts))


@dataclass(frozen=True, eq=False)
class AdjointForgetsToTranspose(Affine):
    def adjoint(self, a: FloatArray) -> FloatArray:
        return np.asarray(a @ self.weight.T)


@dataclass(frozen=True, eq=False)
class AdjointNeverRounds(Affine):
    def adjoint_rounding(self, magnitude: FloatArray) -> FloatArray:
        return np.zeros(self.offset.size)


@dataclass(frozen=True, eq=False)
class BiasForgotten(Affine):
    @property
    def bias(self) -> FloatArray:
        return np.zeros(1)

    def __call__(self, x: FloatArray) -> FloatArray:
        return super().__call__(x) + self.offset

    def exact(self, x: ExactArray) -> ExactArray:
        return Affine(self.weight, self.offset).exact(x)


@dataclass(frozen=True, eq=False)
class CopiesNothing(Affine):
    @property
    def copies(self) -> bool:
        return True


@dataclass(frozen=True, eq=False)
class SignedAbsolute(Affine):
    def absolute(self, x: FloatArray) -> FloatArray:
        return self.apply(x)


@dataclass(frozen=True, eq=False)
class PullsElsewhere(Max):
    def pull(self, x: FloatArray, a: FloatArray) -> FloatArray:
        return np.roll(super().pull(x, a), 1, axis=1)


@dataclass(frozen=True)
class ForeverOnItsPiece(PiecewiseLinear):
    def room(self, z: FloatArray) -> tuple[FloatArray, FloatArray]:
        return np.full(z.shape, np.inf), np.full(z.shape, np.inf)


@dataclass(frozen=True)
class HalfTheSlope(PiecewiseLinear):
    def slope_at(self, z: FloatArray) -> FloatArray:
        return 0.5 * super().slope_at(z)


@dataclass(frozen=True, eq=False)
class BranchMissing(Max):
    def encode(self, x: Expr, box: Box, fresh: Fresh) -> Encoding:
        whole = super().encode(x, box, fresh)
        return replace(whole, choices=(whole.choices[0][:-1],))


@dataclass(frozen=True, eq=False)
class ChoiceMissing(Max):
    def encode(self, x: Expr, box: Box, fresh: Fresh) -> Encoding:
        return replace(super().encode(x, box, fresh), choices=())


@dataclass(frozen=True, eq=False)
class WrongRow(Max):
    def encode(self, x: Expr, box: Box, fresh: Fresh) -> Encoding:
        whole = super().encode(x, box, fresh)
        return replace(whole, rows=(*whole.rows, whole.value <= x[self.windows[:, 0]] + 0.5))


@dataclass(frozen=True)
class ShortReach(PiecewiseLinear):
    """Its H constants are too small."""

    def deviation(self, box: Box, slope: FloatArray) -> tuple[FloatArray, FloatArray]:
        low, high = super().deviation(box, slope)
        return 0.5 * low, 0.5 * high

    def relax(self, box: Box) -> LinearBounds:
        return PiecewiseLinear(self.name, self.breaks, self.slopes, self.anchor).relax(box)


@dataclass(frozen=True, eq=False)
class CutOff(Max):
    """Its columns end below its largest values."""

    def encode(self, x: Expr, box: Box, fresh: Fresh) -> Encoding:
        whole = super().encode(x, box, fresh)
        return replace(whole, rows=(*whole.rows, whole.value <= 0.25))


@dataclass(frozen=True, eq=False)
class Drifting(Shift):
    """No function: it remembers how often it was called."""

    calls: list[float] = field(default_factory=list)

    def __call__(self, x: FloatArray) -> FloatArray:
        self.calls.append(2.0**-30)
        return super().__call__(x) + sum(self.calls)


@dataclass(frozen=True, eq=False)
class Moved(AffineLayer):
    """y = x + c."""

    offset: FloatArray

    @property
    def bias(self) -> FloatArray:
        return self.offset

    @property
    def inputs(self) -> int:
        return self.offset.size

    def output_shape(self, shape: Shape) -> Shape:
        return shape

    def apply(self, x: FloatArray) -> FloatArray:
        return x


@dataclass(frozen=True, eq=False)
class GrowsInFiles(Moved):
    def __post_init__(self) -> None:
        object.__setattr__(self, "offset", np.asarray(self.offset) + 1.0)


@dataclass(frozen=True, eq=False)
class NeverFloat32(Moved):
    """c / 3 goes under the name of c."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "offset", np.asarray(self.offset) / 3.0)


class OfNoKind:
    """It computes something, and is derived from nothing."""

    kind, parameters = "square", 0

    def output_shape(self, shape: Shape) -> Shape:
        return shape

    def __call__(self, x: FloatArray) -> FloatArray:
        return x * x


MAX = (np.array([[0, 1], [1, 2]]), 3, (2,))
SQUARE = (rough(3, 3), rough(3))
RELU = ("relu", (0,), (0, 1))
HAT = ("hat", (-0.3, 0.25), (0, 1, -1))

MISTAKES: tuple[tuple[Callable[[], Layer], str], ...] = (
    (lambda: OtherShape(*SQUARE), "output_shape_counts_the_values"),
    (lambda: WritesItsArgument(*SQUARE), "batch_is_row_by_row"),
    (lambda: CentredOnItsBatch(*SQUARE), "batch_is_row_by_row"),
    (lambda: ExactAnother(*SQUARE), "floats_stay_within_forward_error"),
    (lambda: ExactInFloats(*MAX), "exact_pass_is_exact"),
    (lambda: NeverRounds(*SQUARE), "floats_stay_within_forward_error"),
    (lambda: FlatterThanItIs(*MAX), "floats_stay_within_forward_error"),
    (lambda: NarrowInterval(*MAX), "interval_contains_values"),
    (lambda: NeverRounds(*SQUARE), "interval_contains_values"),
    (lambda: OneIntervalForAll(*MAX), "interval_of_a_batch_is_that_of_each"),
    (lambda: LowUpperLine(*RELU), "relaxation_encloses_values"),
    (lambda: LowerFromUpper(*MAX), "relaxation_encloses_values"),
    (lambda: LooseAtPoints(*MAX), "relaxation_is_tight_at_a_point"),
    (lambda: OneLineForAll(*RELU), "relaxation_of_a_batch_is_that_of_each"),
    (lambda: AdjointForgetsToTranspose(*SQUARE), "adjoint_is_the_transpose"),
    (lambda: AdjointForgetsToTranspose(*SQUARE), "pull_is_the_transpose_of_push"),
    (lambda: AdjointNeverRounds(*SQUARE), "adjoint_is_the_transpose"),
    (lambda: BiasForgotten(*SQUARE), "rows_and_bias_are_the_map"),
    (lambda: BiasForgotten(*SQUARE), "program_is_the_graph"),
    (lambda: CopiesNothing(*SQUARE), "rows_and_bias_are_the_map"),
    (lambda: SignedAbsolute(*SQUARE), "absolute_is_that_of_the_rows"),
    (lambda: PullsElsewhere(*MAX), "pull_is_the_transpose_of_push"),
    (lambda: HalfTheSlope(*HAT), "push_is_the_difference_inside_a_piece"),
    (lambda: ForeverOnItsPiece(*RELU), "room_keeps_the_piece"),
    (lambda: BranchMissing(*MAX), "program_is_the_graph"),
    (lambda: ChoiceMissing(*MAX), "program_is_the_graph"),
    (lambda: WrongRow(*MAX), "program_is_the_graph"),
    (lambda: ShortReach(*HAT), "program_is_the_graph"),
    (lambda: CutOff(*MAX), "program_covers_the_box"),
    (lambda: ShortReach(*HAT), "passes_keep_the_values"),
    (lambda: Drifting(np.zeros(1)), "symbols_mean_the_numbers"),
    (lambda: GrowsInFiles(np.zeros(3)), "file_gives_the_layer_back"),
    (lambda: GrowsInFiles(np.zeros(3)), "onnx_gives_the_function_back"),
    (lambda: NeverFloat32(np.ones(3)), "rounding_gives_numbers_of_the_format"),
    (lambda: cast(Layer, OfNoKind()), "layer_is_of_a_known_kind"),
)


def _title(value: object) -> str:
    return value if isinstance(value, str) else type(value()).__name__ if callable(value) else ""


@pytest.mark.parametrize(("wrong", "law"), MISTAKES, ids=_title)
def test_planted_mistake_breaks_its_law(wrong: Callable[[], Layer], law: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in (GrowsInFiles, NeverFloat32):
        monkeypatch.setitem(registry._TYPES, kind.__name__, kind)
    with pytest.raises(LawBroken, match=rf"breaks laws of layers, 1 of 1:\n  {law}: "):
        check_layer(wrong(), around(3), laws=[law])


def test_every_law_catches_a_mistake() -> None:
    assert {law for _, law in MISTAKES} == {law.name for law in LAYER_LAWS}


@pytest.mark.parametrize("right", [Affine(*SQUARE), Max(*MAX), PiecewiseLinear(*RELU), PiecewiseLinear(*HAT)])
def test_layer_without_the_mistake_keeps_all_laws(right: Layer) -> None:
    assert check_layer(right, around(3)).kept


def test_message_lists_every_law_that_is_broken() -> None:
    with pytest.raises(AssertionError) as caught:
        check_layer(LowerFromUpper(*MAX), around(3))
    first, *lines = str(caught.value).splitlines()
    assert first == f"LowerFromUpper breaks laws of layers, {len(lines)} of {len(LAYER_LAWS)}:"
    assert lines[0].startswith("  relaxation_encloses_values: relax([")


def test_layer_that_raises_breaks_the_law() -> None:
    class Raising(Max):
        def relax(self, box: Box) -> LinearBounds:
            raise ZeroDivisionError("no lines")

    with pytest.raises(LawBroken, match="relaxation_encloses_values: ZeroDivisionError: no lines"):
        check_layer(Raising(*MAX), around(3), laws=["relaxation_encloses_values"])


def test_type_that_is_not_registered_is_not_asked_for_files() -> None:
    checked = check_layer(LooseAtPoints(*MAX), around(3), laws=["file_gives_the_layer_back"])
    assert checked.kept == ()
    assert "@reludsl.layers.register" in checked.skipped["file_gives_the_layer_back"]


@pytest.mark.parametrize(
    ("box", "shape", "laws", "word"),
    [
        (around(3), (2, 2), None, "does not fit"),
        (Box(np.zeros((1, 3)), np.ones((1, 3))), None, None, "flat box"),
        (around(3), None, ["interval_contains_value"], "no law of layers named 'interval_contains_value'"),
    ],
)
def test_question_that_makes_no_sense_is_refused(
    box: Box, shape: Shape | None, laws: list[str] | None, word: str
) -> None:
    with pytest.raises(InvalidInput, match=word):
        check_layer(relu, box, shape, laws=laws)
