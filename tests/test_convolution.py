"""Convolutions are one sparse matrix: every product agrees with it to the last bit, on dyadic numbers."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from reludsl.backend import FloatArray
from reludsl.domain import Box
from reludsl.errors import InvalidInput
from reludsl.exact import exactly
from reludsl.layers.convolution import Conv
from reludsl.layers.correlation import MANY
from reludsl.layers.registry import fields_of, made
from reludsl.layers.windows import Windows


def dyadic(rng: np.random.Generator, *shape: int) -> FloatArray:
    """k / 8 between -2 and 2, so that sums of products are exact; a quarter of them zero."""
    return np.asarray(rng.integers(-16, 17, shape) / 8.0 * (rng.random(shape) < 0.75))


@st.composite
def convolutions(draw: st.DrawFn, max_axes: int = 2) -> Conv:
    """Any stride, padding, dilation and groups that fit."""
    axes = draw(st.integers(1, max_axes))

    def lengths(low: int, high: int) -> tuple[int, ...]:
        return tuple(draw(st.integers(low, high)) for _ in range(axes))

    kernel, stride, dilation = lengths(1, 3), lengths(1, 3), lengths(1, 2)
    pads = tuple(zip(lengths(0, 2), lengths(0, 2)))
    spans = [(k - 1) * d + 1 for k, d in zip(kernel, dilation)]
    spatial = tuple(max(1, span - sum(pair)) + draw(st.integers(0, 4)) for span, pair in zip(spans, pads))
    groups = draw(st.sampled_from([1, 1, 2]))
    # many outputs for few inputs, and the reverse, take other ways through a W
    outs, ins = draw(st.sampled_from([(1, 1), (3, 1), (1, 3), (2, 2), (2, 1)]))
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    weight = dyadic(rng, groups * outs, ins, *kernel)
    return Conv(weight, dyadic(rng, groups * outs), spatial, stride, pads, dilation, groups)


def matrix(layer: Conv) -> FloatArray:
    """W, dense."""
    rows = layer.rows(int(np.prod(layer.input_shape)))
    assert isinstance(rows, sparse.csr_array)
    return np.asarray(rows.toarray())


# one row and few rows, many, several chunks, and a last chunk that is shorter
counts = st.sampled_from([0, 1, 3, MANY, 67])


@given(convolutions(), counts, st.integers(0, 2**16))
def test_products_agree_with_the_matrix_exactly(layer: Conv, count: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    w = matrix(layer)
    x, a = dyadic(rng, count, w.shape[1]), dyadic(rng, count, w.shape[0])
    np.testing.assert_array_equal(layer.apply(x), x @ w.T)
    np.testing.assert_array_equal(layer.adjoint(a), a @ w)
    np.testing.assert_array_equal((a * layer.apply(x)).sum(axis=1), (layer.adjoint(a) * x).sum(axis=1))
    np.testing.assert_array_equal(layer.absolute(np.abs(x)), np.abs(x) @ np.abs(w).T)
    np.testing.assert_array_equal(layer(x), x @ w.T + np.repeat(layer.offset, w.shape[0] // layer.offset.size))


@given(convolutions(), st.integers(0, 2**16))
def test_absolute_takes_one_vector_and_stacks_of_them(layer: Conv, seed: int) -> None:
    w = np.abs(matrix(layer))
    x = np.abs(dyadic(np.random.default_rng(seed), 2, 3, w.shape[1]))
    np.testing.assert_array_equal(layer.absolute(x), x @ w.T)
    np.testing.assert_array_equal(layer.absolute(x[0, 0]), w @ x[0, 0])


@given(convolutions())
def test_rows_are_canonical_and_no_longer_than_terms(layer: Conv) -> None:
    rows = layer.rows(int(np.prod(layer.input_shape)))
    assert isinstance(rows, sparse.csr_array)
    assert rows.shape == (layer.bias.size, np.prod(layer.input_shape))
    assert rows.data.all()
    lengths = np.diff(rows.indptr)
    assert lengths.max(initial=0) <= layer.terms
    for start, stop in zip(rows.indptr, rows.indptr[1:]):
        assert (np.diff(rows.indices[start:stop]) > 0).all()


@given(convolutions(), st.integers(0, 2**16))
def test_values_are_those_of_torch(layer: Conv, seed: int) -> None:
    torch = pytest.importorskip("torch")
    x = dyadic(np.random.default_rng(seed), 3, *layer.input_shape)
    # torch pads both ends alike, so that the padding is written out
    padded = np.pad(x, ((0, 0), (0, 0), *Windows(layer.spatial, layer.weight.shape[2:], pads=layer.pads).sides))
    function: Any = getattr(torch.nn.functional, f"conv{len(layer.spatial)}d")
    tensors = [torch.tensor(np.array(v)) for v in (padded, layer.weight, layer.offset)]
    wanted = function(*tensors, stride=layer.stride, dilation=layer.dilation, groups=layer.groups).numpy()
    np.testing.assert_array_equal(layer(x.reshape(3, -1)), wanted.reshape(3, -1))
    assert (3, *layer.output_shape(layer.input_shape)) == wanted.shape
    assert layer.output_shape((1, *layer.input_shape)) == (1, *wanted.shape[1:])


def test_three_axes_and_channels_of_many_are_one_matrix_too() -> None:
    rng = np.random.default_rng(0)
    for layer in (
        Conv(dyadic(rng, 2, 3, 2, 3, 2), dyadic(rng, 2), (3, 5, 4), (1, 2, 2), 1),
        Conv(dyadic(rng, 16, 8, 3, 3), dyadic(rng, 16), (16, 16), 2, 1),
        Conv(dyadic(rng, 16, 16, 3, 3), dyadic(rng, 16), (8, 8), 1, 1),
        Conv(dyadic(rng, 4, 3, 2, 2), dyadic(rng, 4), (7, 7), 3),
    ):
        w = matrix(layer)
        for count in (2, 100):
            x, a = dyadic(rng, count, w.shape[1]), dyadic(rng, count, w.shape[0])
            np.testing.assert_array_equal(layer.apply(x), x @ w.T)
            np.testing.assert_array_equal(layer.adjoint(a), a @ w)
            # another layout of the same numbers
            np.testing.assert_array_equal(layer.adjoint(np.asfortranarray(a)), a @ w)


@given(convolutions(), st.integers(0, 2**16))
def test_exact_value_is_that_of_fractions(layer: Conv, seed: int) -> None:
    rng = np.random.default_rng(seed)
    w = matrix(layer)
    x = dyadic(rng, w.shape[1])
    wanted = [
        sum((Fraction(p) * Fraction(q) for p, q in zip(row, x.tolist())), Fraction(b))
        for row, b in zip(w.tolist(), layer.bias.tolist())
    ]
    assert list(layer.exact(exactly(x))) == wanted
    a = dyadic(rng, w.shape[0])
    assert list(layer.exact_adjoint(exactly(a), w.shape[1])) == list(exactly(a @ w))


@given(convolutions(), st.integers(0, 2**16))
def test_interval_holds_every_value_and_attains_its_ends(layer: Conv, seed: int) -> None:
    rng = np.random.default_rng(seed)
    w = matrix(layer)
    lower = rng.standard_normal(w.shape[1])
    box = Box(lower, lower + rng.random(w.shape[1]))
    found = layer.interval(box)
    for k in range(min(len(w), 3)):
        high, low = (layer.exact(exactly(np.where(s * w[k] > 0, box.upper, box.lower)))[k] for s in (1.0, -1.0))
        assert Fraction(float(found.lower[k])) <= low
        assert high <= Fraction(float(found.upper[k]))
        np.testing.assert_allclose([found.lower[k], found.upper[k]], [float(low), float(high)], atol=1e-12)


def test_rounding_bounds_cover_rough_weights() -> None:
    rng = np.random.default_rng(3)
    weight = rng.standard_normal((4, 3, 3, 3)) * 10.0 ** rng.uniform(-8, 8, (4, 3, 3, 3))
    for layer in (
        Conv(weight, rng.standard_normal(4), (5, 5), 2, 1),
        Conv(weight[:, :1], rng.standard_normal(4), (5, 5), 1, 1),
    ):
        size = int(np.prod(layer.input_shape))
        x = rng.standard_normal((40, size))
        a = rng.standard_normal((40, layer.bias.size))
        for count in (1, 40):
            values, back = layer(x[:count])[0], layer.adjoint(a[:count])[0]
            for value, true, error in zip(values, layer.exact(exactly(x[0])), layer.rounding(np.abs(x[0]))):
                assert abs(Fraction(float(value)) - true) <= Fraction(float(error))
            gaps = exactly(back) - layer.exact_adjoint(exactly(a[0]), size)
            lost = sum(abs(gap) * Fraction(float(abs(v))) for gap, v in zip(gaps, x[0]))
            bound = exactly(np.abs(a[0])) @ exactly(layer.adjoint_rounding(np.abs(x[0])))
            assert lost <= bound


@given(convolutions(), st.data())
def test_narrowed_is_a_slice_of_the_matrix(layer: Conv, data: st.DataObject) -> None:
    outs, ins = layer.offset.size, layer.input_shape[0]
    w = matrix(layer).reshape(outs, -1, ins, int(np.prod(layer.spatial)))
    flags = st.lists(st.booleans(), min_size=outs // layer.groups, max_size=outs // layer.groups).filter(any)
    out = np.tile(np.array(data.draw(flags)), layer.groups)
    small = layer.narrowed(out, None)
    np.testing.assert_array_equal(matrix(small), w[out].reshape(small.bias.size, -1))
    np.testing.assert_array_equal(small.offset, layer.offset[out])
    if layer.groups == 1:
        inside = np.array(data.draw(st.lists(st.booleans(), min_size=ins, max_size=ins).filter(any)))
        small = layer.narrowed(out, inside)
        np.testing.assert_array_equal(matrix(small), w[out][:, :, inside].reshape(small.bias.size, -1))


@given(convolutions())
def test_fields_make_the_layer_again(layer: Conv) -> None:
    plain, arrays = fields_of(layer)
    again = made("Conv", {**plain, **arrays})
    assert isinstance(again, Conv)
    np.testing.assert_array_equal(matrix(again), matrix(layer))
    assert again.parameters == layer.parameters == layer.weight.size + layer.offset.size


def test_one_number_stands_for_all_axes() -> None:
    short = Conv(np.ones((1, 1, 3, 3)), np.zeros(1), (5, 6), 2, 1, 2)
    assert (short.stride, short.pads, short.dilation) == ((2, 2), ((1, 1), (1, 1)), (2, 2))
    assert short.kind == "conv"
    assert short.output_spatial == (2, 2)


@pytest.mark.parametrize(
    ("weight", "offset", "options", "word"),
    [
        (np.full((1, 1, 2), np.nan), 1, {}, "holds"),
        (np.ones((1, 1, 2, 2)), 1, {}, "do not fit"),
        (np.ones((2, 1, 2)), 1, {}, "do not fit"),
        (np.ones((0, 1, 2)), 0, {}, "do not fit"),
        (np.ones((3, 1, 2)), 3, {"groups": 2}, "split"),
        (np.ones((1, 1, 2)), 1, {"groups": 0}, "split"),
        (np.ones((1, 1, 5)), 1, {}, "does not fit"),
        (np.ones((1, 1, 3)), 1, {"dilation": 2}, "does not fit"),
        (np.ones((1, 1, 2)), 1, {"stride": 0}, "stride"),
        (np.ones((1, 1, 2)), 1, {"stride": (1, 1)}, "stride"),
        (np.ones((1, 1, 2)), 1, {"dilation": 0}, "dilation"),
        (np.ones((1, 1, 2)), 1, {"pads": -1}, "padding"),
        (np.ones((1, 1, 2)), 1, {"pads": ((0, 0), (0, 0))}, "padding"),
        (np.ones((1, 1, 2)), 1, {"spatial": (0,)}, "spatial shape"),
        (np.ones((1, 1)), 1, {"spatial": ()}, "spatial"),
    ],
)
def test_convolution_that_has_no_value_is_refused(
    weight: FloatArray, offset: int, options: dict[str, Any], word: str
) -> None:
    with pytest.raises(InvalidInput, match=word):
        Conv(weight, np.zeros(offset), **{"spatial": (4,), **options})


def test_tensor_of_another_shape_is_refused() -> None:
    layer = Conv(np.ones((1, 2, 2)), np.zeros(1), (4,))
    for shape in ((8,), (4, 2), (2, 2, 4), (2, 5)):
        with pytest.raises(InvalidInput, match="follows"):
            layer.output_shape(shape)


def test_narrowing_that_leaves_no_convolution_is_refused() -> None:
    layer = Conv(np.ones((4, 1, 2)), np.zeros(4), (4,), groups=2)
    with pytest.raises(InvalidInput, match="2 groups"):
        layer.narrowed(None, np.array([True, False]))
    with pytest.raises(InvalidInput, match=r"\[2, 1\]"):
        layer.narrowed(np.array([True, True, True, False]), None)
    with pytest.raises(InvalidInput, match="at least one"):
        layer.narrowed(np.zeros(4, dtype=bool), None)
    with pytest.raises(InvalidInput, match="3 of 3"):
        layer.narrowed(np.ones(3, dtype=bool), None)
