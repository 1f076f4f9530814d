"""Pooling and batch normalisation: windows are those of ONNX and torch, products are one matrix."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import sparse

from reludsl.backend import FloatArray
from reludsl.domain import Box
from reludsl.errors import InvalidInput
from reludsl.exact import exactly
from reludsl.layers.affine_layer import AffineLayer
from reludsl.layers.base import Layer
from reludsl.layers.maximum import Max
from reludsl.layers.normalisation import BatchNorm
from reludsl.layers.pooling import AveragePool, MaxPool
from reludsl.layers.registry import fields_of, made


def dyadic(rng: np.random.Generator, *shape: int) -> FloatArray:
    """k / 8 between -2 and 2."""
    return np.asarray(rng.integers(-16, 17, shape) / 8.0)


@st.composite
def _places(draw: st.DrawFn, dilations: Sequence[int] = (1,)) -> dict[str, Any]:
    """Windows in 1 or 2 dimensions, with less padding than a kernel is long."""
    axes = draw(st.integers(1, 2))

    def lengths(low: int, high: int) -> tuple[int, ...]:
        return tuple(draw(st.integers(low, high)) for _ in range(axes))

    kernel, stride = lengths(1, 4), lengths(1, 3)
    dilation = tuple(draw(st.sampled_from(dilations)) for _ in range(axes))
    pads = tuple((draw(st.integers(0, k // 2)), draw(st.integers(0, k // 2))) for k in kernel)
    spans = [(k - 1) * d + 1 for k, d in zip(kernel, dilation)]
    spatial = tuple(max(1, span - sum(pair)) + draw(st.integers(0, 5)) for span, pair in zip(spans, pads))
    found = {"channels": draw(st.integers(1, 3)), "spatial": spatial, "kernel": kernel, "stride": stride, "pads": pads}
    return {**found, "dilation": dilation, "ceil": draw(st.booleans())}


@st.composite
def averages(draw: st.DrawFn) -> AveragePool:
    """Average pooling with and without padding that counts."""
    places = draw(_places())
    del places["dilation"]
    try:
        return AveragePool(**places, count_include_pad=draw(st.booleans()))
    except InvalidInput:
        assume(False)
        raise


@st.composite
def maxima(draw: st.DrawFn) -> MaxPool:
    """Max pooling, dilated at times."""
    try:
        return MaxPool(**draw(_places((1, 2))))
    except InvalidInput:
        assume(False)
        raise


@st.composite
def norms(draw: st.DrawFn) -> BatchNorm:
    """Batch normalisation; a scale of zero at times."""
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    channels = draw(st.integers(1, 3))
    return BatchNorm(dyadic(rng, channels), dyadic(rng, channels), draw(st.integers(1, 3)))


def size_in(layer: AveragePool | MaxPool | BatchNorm) -> int:
    """Number of inputs."""
    if isinstance(layer, BatchNorm):
        return layer.scale.size * layer.positions
    return layer.channels * int(np.prod(layer.spatial))


def matrix(layer: AveragePool | BatchNorm) -> FloatArray:
    """W, dense."""
    rows = layer.rows(size_in(layer))
    assert isinstance(rows, sparse.csr_array)
    assert rows.data.all()
    for start, stop in zip(rows.indptr, rows.indptr[1:]):
        assert (np.diff(rows.indices[start:stop]) > 0).all()
    return np.asarray(rows.toarray())


# --- affine ones --------------------------------------------------------------------------------------------


@given(st.one_of(averages(), norms()), st.integers(0, 5), st.integers(0, 2**16))
def test_products_agree_with_the_matrix(layer: AveragePool | BatchNorm, count: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    w = matrix(layer)
    # shares 1 / count are no dyadics in general; batch normalisation is exact
    close = 0.0 if isinstance(layer, BatchNorm) else 1e-14
    x, a = dyadic(rng, count, w.shape[1]), dyadic(rng, count, w.shape[0])
    np.testing.assert_allclose(layer.apply(x), x @ w.T, rtol=close, atol=close)
    np.testing.assert_allclose(layer(x), x @ w.T + layer.bias, rtol=close, atol=close)
    np.testing.assert_allclose(layer.adjoint(a), a @ w, rtol=close, atol=close)
    np.testing.assert_allclose(layer.absolute(np.abs(x)), np.abs(x) @ np.abs(w).T, rtol=close, atol=close)
    one = np.abs(dyadic(rng, w.shape[1]))
    np.testing.assert_allclose(layer.absolute(one), np.abs(w) @ one, rtol=close, atol=close)
    assert isinstance(layer, AffineLayer)
    assert isinstance(layer, Layer)


def test_average_over_powers_of_two_is_exact() -> None:
    rng = np.random.default_rng(0)
    layer = AveragePool(3, (6, 5), (2, 2), (2, 1), 1, count_include_pad=True)
    w = matrix(layer)
    x, a = dyadic(rng, 9, w.shape[1]), dyadic(rng, 9, w.shape[0])
    np.testing.assert_array_equal(layer.apply(x), x @ w.T)
    np.testing.assert_array_equal(layer.adjoint(a), a @ w)
    np.testing.assert_array_equal((layer.adjoint(a) * x).sum(axis=1), (a * layer.apply(x)).sum(axis=1))


@given(st.one_of(averages(), norms()), st.integers(0, 2**16))
def test_exact_value_is_that_of_fractions_and_rounding_covers_floats(layer: AveragePool | BatchNorm, seed: int) -> None:
    rng = np.random.default_rng(seed)
    w, x = matrix(layer), rng.standard_normal(size_in(layer))
    bias = np.broadcast_to(layer.bias, len(w))
    found = layer.exact(exactly(x))
    used = [np.flatnonzero(row) for row in w]
    wanted = [exactly(row[k]) @ exactly(x[k]) + Fraction(b) for row, k, b in zip(w, used, bias.tolist())]
    assert list(found) == wanted
    for value, true, error in zip(layer(x[None])[0].tolist(), wanted, layer.rounding(np.abs(x)).tolist()):
        assert abs(Fraction(value) - true) <= Fraction(error)
    a = rng.standard_normal(len(w))
    gaps = exactly(layer.adjoint(a[None])[0]) - layer.exact_adjoint(exactly(a), x.size)
    lost = sum(abs(gap) * Fraction(v) for gap, v in zip(gaps, np.abs(x).tolist()))
    assert lost <= exactly(np.abs(a)) @ exactly(layer.adjoint_rounding(np.abs(x)))


@given(st.one_of(averages(), norms(), maxima()), st.integers(0, 2**16))
def test_interval_holds_the_values_of_samples(layer: AveragePool | BatchNorm | MaxPool, seed: int) -> None:
    rng = np.random.default_rng(seed)
    lower = rng.standard_normal(size_in(layer))
    box = Box(lower, lower + rng.random(lower.size))
    found = layer.interval(box)
    for point in (box.lower, box.upper, *box.sample(rng, 2)):
        for low, value, high in zip(found.lower.tolist(), layer.exact(exactly(point)), found.upper.tolist()):
            assert Fraction(low) <= value <= Fraction(high)


@given(st.one_of(averages(), norms(), maxima()))
def test_fields_make_the_layer_again(layer: AveragePool | BatchNorm | MaxPool) -> None:
    plain, arrays = fields_of(layer)
    again = made(type(layer).__name__, {**plain, **arrays})
    x = np.random.default_rng(0).standard_normal((2, size_in(layer)))
    np.testing.assert_array_equal(again(x), layer(x))
    assert again.kind == layer.kind


# --- windows are those of others ----------------------------------------------------------------------------


def _torch_pool(layer: AveragePool | MaxPool, x: FloatArray) -> FloatArray | None:
    """The value of torch, where torch has such windows: the same padding on both sides."""
    torch = pytest.importorskip("torch")
    assert isinstance(layer.pads, tuple)
    before, after = zip(*layer.pads)
    if before != after:
        return None
    maximum = isinstance(layer, MaxPool)
    function = getattr(torch.nn.functional, f"{'max' if maximum else 'avg'}_pool{len(layer.spatial)}d")
    options: dict[str, Any] = {"stride": layer.stride, "padding": before, "ceil_mode": layer.ceil}
    options |= {"dilation": layer.dilation} if isinstance(layer, MaxPool) else {}
    options |= {"count_include_pad": layer.count_include_pad} if isinstance(layer, AveragePool) else {}
    return np.asarray(function(torch.tensor(x.reshape(-1, layer.channels, *layer.spatial)), layer.kernel, **options))


@given(st.one_of(averages(), maxima()), st.integers(0, 2**16))
def test_values_are_those_of_torch(layer: AveragePool | MaxPool, seed: int) -> None:
    x = dyadic(np.random.default_rng(seed), 3, size_in(layer))
    wanted = _torch_pool(layer, x)
    assume(wanted is not None)
    assert wanted is not None
    np.testing.assert_allclose(layer(x), wanted.reshape(3, -1), rtol=1e-14, atol=1e-14)
    shape = (layer.channels, *layer.spatial)
    assert layer.output_shape(shape) == wanted.shape[1:]
    assert layer.output_shape((1, *shape)) == (1, *wanted.shape[1:])


@pytest.mark.parametrize("ceil", [False, True])
@pytest.mark.parametrize("include", [False, True])
def test_average_values_are_those_of_onnxruntime(ceil: bool, include: bool) -> None:
    runtime, onnx = pytest.importorskip("onnxruntime"), pytest.importorskip("onnx")
    for spatial, kernel, stride, pads in (
        ((6, 5), (3, 2), (2, 2), ((1, 0), (1, 1))),
        ((7, 4), (2, 3), (3, 2), ((0, 1), (1, 0))),
        ((8,), (3,), (2,), ((1, 1),)),
    ):
        layer = AveragePool(2, spatial, kernel, stride, pads, ceil, include)
        ends = [side for sides in zip(*pads) for side in sides]
        options = {"kernel_shape": kernel, "strides": stride, "pads": ends}
        node = onnx.helper.make_node(
            "AveragePool", ["x"], ["y"], ceil_mode=int(ceil), count_include_pad=int(include), **options
        )
        tensors = [onnx.helper.make_tensor_value_info(n, 1, s) for n, s in (("x", (1, 2, *spatial)), ("y", None))]
        graph = onnx.helper.make_graph([node], "g", tensors[:1], tensors[1:])
        model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 19)], ir_version=9)
        x = dyadic(np.random.default_rng(1), 1, size_in(layer))
        session = runtime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        (wanted,) = session.run(None, {"x": x.reshape(1, 2, *spatial).astype(np.float32)})
        assert layer.output_shape((1, 2, *spatial)) == wanted.shape
        np.testing.assert_allclose(layer(x)[0], wanted.ravel(), rtol=1e-6, atol=1e-6)


def test_kernel_as_large_as_the_input_pools_globally() -> None:
    x = dyadic(np.random.default_rng(0), 4, 2 * 3 * 5)
    tensor = x.reshape(4, 2, 15)
    np.testing.assert_allclose(AveragePool(2, (3, 5), (3, 5))(x), tensor.mean(axis=2), atol=1e-15)
    np.testing.assert_array_equal(MaxPool(2, (3, 5), (3, 5))(x), tensor.max(axis=2))


# --- maxima -------------------------------------------------------------------------------------------------


@given(maxima(), st.integers(0, 2**16))
def test_max_pool_is_the_maximum_of_its_windows(layer: MaxPool, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = dyadic(rng, 3, size_in(layer))
    units = layer.windows
    same = Max(units, size_in(layer), (len(units),))
    np.testing.assert_array_equal(layer(x), same(x))
    np.testing.assert_array_equal(layer(x[0]), same(x[0]))
    assert list(layer.exact(exactly(x[0]))) == list(exactly(same(x[0])))
    # within a unit inputs increase, but for those that repeat the first
    assert ((np.diff(units, axis=1) > 0) | (units[:, 1:] == units[:, :1]) | (units[:, :-1] == units[:, :1])).all()
    assert len(units) == np.prod(layer.output_shape((layer.channels, *layer.spatial)))
    assert isinstance(layer, Layer)
    v, a = dyadic(rng, 2, size_in(layer)), dyadic(rng, 3, len(units))
    np.testing.assert_array_equal(layer.push(x[0], v), same.push(x[0], v))
    np.testing.assert_array_equal(layer.pull(x, a), same.pull(x, a))


# --- channels left out --------------------------------------------------------------------------------------


@given(st.one_of(averages(), norms(), maxima()), st.data())
def test_narrowed_is_the_layer_on_the_kept_channels(
    layer: AveragePool | BatchNorm | MaxPool, data: st.DataObject
) -> None:
    channels = layer.scale.size if isinstance(layer, BatchNorm) else layer.channels
    keep = np.array(data.draw(st.lists(st.booleans(), min_size=channels, max_size=channels).filter(any)))
    x = dyadic(np.random.default_rng(0), 2, channels, size_in(layer) // channels)
    small = layer.narrowed(keep)
    wanted = layer(x.reshape(2, -1)).reshape(2, channels, -1)[:, keep]
    np.testing.assert_array_equal(small(x[:, keep].reshape(2, -1)), wanted.reshape(2, -1))
    with pytest.raises(InvalidInput, match="at least one"):
        layer.narrowed(np.zeros(channels, dtype=bool))


# --- batch normalisation ------------------------------------------------------------------------------------


def test_from_statistics_constants_are_the_nearest_floats() -> None:
    rng = np.random.default_rng(5)
    gamma, beta, mean, variance = rng.standard_normal((4, 20)) * 10.0 ** rng.uniform(-5, 5, (4, 20))
    variance = np.abs(variance)
    layer = BatchNorm.from_statistics(gamma, beta, mean, variance, 1e-5, 2)
    for g, v, s in zip(gamma.tolist(), variance.tolist(), layer.scale.tolist()):
        # half way to both neighbours, squared: no root is needed to compare
        true = Fraction(g) ** 2 / (Fraction(v) + Fraction(1e-5))
        size = abs(s)
        ends = [(Fraction(size) + Fraction(float(np.nextafter(size, to)))) / 2 for to in (0.0, np.inf)]
        assert ends[0] ** 2 <= true <= ends[1] ** 2
        assert (s > 0) == (g > 0)
    wanted = [float(Fraction(b) - Fraction(m) * Fraction(s)) for b, m, s in zip(beta, mean, layer.scale)]
    np.testing.assert_array_equal(layer.offset, wanted)
    assert layer.parameters == 40
    assert layer.kind == "batch_norm"


def test_batch_norm_values_are_those_of_torch() -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(1)
    x = rng.standard_normal((3, 2, 4, 5))
    gamma, beta, mean, variance = rng.random((4, 2))
    layer = BatchNorm.from_statistics(gamma, beta, mean, variance, 1e-3, 20)
    tensors = [torch.tensor(v) for v in (x, mean, variance, gamma, beta)]
    wanted = torch.nn.functional.batch_norm(*tensors, eps=1e-3).numpy()
    np.testing.assert_allclose(layer(x.reshape(3, -1)), wanted.reshape(3, -1), rtol=1e-12)
    assert layer.output_shape((1, 2, 4, 5)) == (1, 2, 4, 5)


# --- refusals -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [AveragePool, MaxPool])
@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"channels": 0}, "channels"),
        ({"kernel": 7}, "does not fit"),
        ({"kernel": 0}, "kernel"),
        ({"stride": 0}, "stride"),
        ({"stride": (1, 2)}, "stride"),
        ({"pads": -1}, "padding"),
        ({"pads": 2}, "padding alone"),
        ({"spatial": ()}, "spatial"),
    ],
)
def test_pooling_that_has_no_value_is_refused(
    kind: type[AveragePool] | type[MaxPool], options: dict[str, Any], word: str
) -> None:
    with pytest.raises(InvalidInput, match=word):
        kind(**{"channels": 1, "spatial": (4,), "kernel": 2, **options})


def test_average_of_padding_that_counts_is_zero() -> None:
    layer = AveragePool(1, (2,), 1, 1, pads=1, count_include_pad=True)
    np.testing.assert_array_equal(layer(np.ones((1, 2))), [[0.0, 1.0, 1.0, 0.0]])


@pytest.mark.parametrize("layer", [AveragePool(2, (4,), 2), MaxPool(2, (4,), 2), BatchNorm(np.ones(2), np.ones(2), 4)])
def test_tensor_of_another_shape_is_refused(layer: Layer) -> None:
    with pytest.raises(InvalidInput, match="follows"):
        layer.output_shape((2, 5))


def test_batch_norm_without_a_value_is_refused() -> None:
    one, two = np.ones(1), np.ones(2)
    with pytest.raises(InvalidInput, match="do not fit"):
        BatchNorm(one, two)
    with pytest.raises(InvalidInput, match="holds"):
        BatchNorm(one * np.nan, one)
    with pytest.raises(InvalidInput, match="nothing to scale"):
        BatchNorm(one, one, 0)
    with pytest.raises(InvalidInput, match="not positive"):
        BatchNorm.from_statistics(one, one, one, -one, 0.5)
    with pytest.raises(InvalidInput, match="lengths"):
        BatchNorm.from_statistics(one, two, one, one, 0.5)
    with pytest.raises(InvalidInput, match="holds"):
        BatchNorm.from_statistics(one, one, one, one, float("inf"))
    with pytest.raises(InvalidInput, match="offset holds inf"):
        BatchNorm.from_statistics(1e300 * one, one, 1e300 * one, one, 0.5)
