"""Constructed networks: recipes by their formulas, errors. Their regions are counted in test_region_oracle.py."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import reludsl as rd
from reludsl.backend import FloatArray
from reludsl.domain import Box, Space
from reludsl.errors import InvalidInput
from reludsl.layers import Affine, relu
from reludsl.layers.activations import hard_tanh
from reludsl.network import Network
from reludsl.networks import (
    Initialisation,
    arrangement,
    gaussian_network,
    general_position,
    maximal_1d,
    montufar_network,
    product,
    random_network,
    sawtooth,
    serra_network,
    six_definitions,
)
from reludsl.regions import Definition, count_line, count_plane


def _layers(network: Network) -> list[tuple[FloatArray, FloatArray]]:
    """Weights and biases, layer by layer."""
    affine = [node.layer for node in network.nodes if isinstance(node.layer, Affine)]
    return [(np.asarray(layer.weight), np.asarray(layer.bias)) for layer in affine]


def test_torch_recipe_draws_uniform_weights_then_biases() -> None:
    rng = np.random.default_rng(4)
    for (weight, bias), (inputs, units) in zip(_layers(random_network((3, 5, 4), 4)), [(3, 5), (5, 4)]):
        side = 1 / np.sqrt(inputs)
        np.testing.assert_array_equal(weight, rng.uniform(-side, side, (units, inputs)))
        np.testing.assert_array_equal(bias, rng.uniform(-side, side, units))


@pytest.mark.parametrize("scale", [1.0, 0.25])
def test_normal_recipe_scales_weights_by_fan_in_and_biases_by_scale(scale: float) -> None:
    rng = np.random.default_rng(4)
    network = random_network((3, 5, 4), 4, Initialisation.NORMAL, bias_scale=scale)
    for (weight, bias), (inputs, units) in zip(_layers(network), [(3, 5), (5, 4)]):
        np.testing.assert_array_equal(weight, rng.normal(size=(units, inputs)) * np.sqrt(2 / inputs))
        np.testing.assert_array_equal(bias, scale * rng.normal(size=units))


def test_zero_recipe_draws_no_bias() -> None:
    rng = np.random.default_rng(4)
    for (weight, bias), (inputs, units) in zip(
        _layers(random_network((3, 5, 4), 4, Initialisation.ZERO)), [(3, 5), (5, 4)]
    ):
        np.testing.assert_array_equal(weight, rng.normal(size=(units, inputs)) * np.sqrt(2 / inputs))
        assert not bias.any()


def test_gaussian_recipe_has_the_stated_variances() -> None:
    network = gaussian_network((400, 500), 1, weight_scale=4.0, bias_scale=0.5, activation=hard_tanh())
    [(weight, bias)] = _layers(network)
    assert abs(weight.var() * 400 / 16 - 1) < 0.02
    assert abs(bias.std() / 0.5 - 1) < 0.15
    assert network.activation(network.hidden[0]) == hard_tanh()


def test_output_layer_is_drawn_last_and_leaves_the_hidden_ones_alone() -> None:
    hidden, whole = random_network((3, 5, 4), 2), random_network((3, 5, 4), 2, outputs=2)
    for (w, b), (v, c) in zip(_layers(hidden), _layers(whole)[:-1], strict=True):
        np.testing.assert_array_equal(w, v)
        np.testing.assert_array_equal(b, c)
    assert whole.output_size == 2
    assert hidden.nodes[-1].layer is relu


@pytest.mark.parametrize("merged", [False, True])
def test_sawtooth_is_the_composition_of_tents(merged: bool) -> None:
    x = np.linspace(0, 1, 1025)[:, None]
    y = x
    for n in range(1, 8):
        y = np.where(y <= 0.5, 2 * y, 2 * (1 - y))
        np.testing.assert_array_equal(sawtooth(n, merged)(x), y)


def test_sawtooth_has_the_published_widths() -> None:
    assert [stage.size for stage in sawtooth(3).hidden] == [2, 1, 2, 1, 2, 1]
    assert [stage.size for stage in sawtooth(3, merged=True).hidden] == [2, 2, 2]


def test_six_definitions_is_its_formula() -> None:
    x = np.random.default_rng(0).uniform(-2, 2, (200, 2))
    expected = np.maximum(-x[:, 1], np.minimum(0.0, -x[:, 0]))
    np.testing.assert_allclose(six_definitions()(x)[:, 0], expected, atol=1e-15)


def test_constructions_use_the_widths_that_were_asked_for() -> None:
    for network in (montufar_network(2, (5, 4, 3)), serra_network(1, (5, 4, 3))):
        assert [stage.size for stage in network.hidden] == [5, 4, 3]


@pytest.mark.parametrize("layers", range(1, 7))
def test_maximal_1d_has_as_many_regions_as_its_widths_allow(layers: int) -> None:
    network = maximal_1d(layers)
    assert [stage.size for stage in network.hidden] == [3] * layers
    for domain in (Space(1), Box([0], [4])):
        count = count_line(network, domain)
        assert (count.count, count.exact) == (4**layers, True)


def test_maximal_1d_has_exact_weights() -> None:
    for weight, bias in _layers(maximal_1d(5)):
        assert not np.mod(8 * weight, 1).any()
        assert not np.mod(8 * bias, 1).any()


@pytest.mark.parametrize("definition", [Definition.ACTIVATION, Definition.CONNECTED, Definition.AFFINE])
def test_product_multiplies_regions_of_every_definition(definition: Definition) -> None:
    parts = (sawtooth(2), random_network((1, 4, 3), 5, outputs=2))
    counts = [count_line(part, Space(1), definition) for part in parts]
    whole = count_plane(product(*parts), Space(2), definition)
    assert all(count.exact for count in (*counts, whole))
    assert whole.count == counts[0].count * counts[1].count


def test_product_takes_inputs_and_gives_outputs_one_after_the_other() -> None:
    parts = (random_network((2, 5), 1, outputs=3), six_definitions(), random_network((1, 4, 4), 2))
    x = np.random.default_rng(0).uniform(-1, 1, (50, 5))
    expected = np.hstack([part(x[:, own]) for part, own in zip(parts, ([0, 1], [2, 3], [4]))])
    np.testing.assert_array_equal(product(*parts)(x), expected)


def test_random_is_the_short_name_of_random_network() -> None:
    assert rd.networks.random is random_network


def test_arrangement_is_one_layer() -> None:
    network = arrangement([[1.0, 2.0]], [3.0])
    np.testing.assert_array_equal(network(np.array([[1.0, 1.0], [-9.0, 1.0]])), [[6.0], [0.0]])


@pytest.mark.parametrize(
    "build",
    [
        lambda: random_network((3,)),
        lambda: random_network((3, 0)),
        lambda: random_network((3, 2), outputs=0),
        lambda: gaussian_network((0, 2), weight_scale=1.0, bias_scale=1.0),
        lambda: sawtooth(0),
        lambda: general_position(0, 2),
        lambda: arrangement([1.0, 2.0], [0.0]),
        lambda: montufar_network(3, (2, 4)),
        lambda: montufar_network(2, ()),
        lambda: serra_network(2, (5, 9)),
        lambda: maximal_1d(0),
        lambda: product(),
    ],
)
def test_sizes_that_make_no_network_are_refused(build: Callable[[], Network]) -> None:
    with pytest.raises(InvalidInput, match=r"give|make them wider"):
        build()
