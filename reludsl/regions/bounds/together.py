"""Every bound of a network, or of a number of inputs and widths, with the reason where one does not hold."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import overload

import numpy as np

from reludsl.bounds import crown, settle_ties
from reludsl.domain import Domain, Space
from reludsl.errors import InvalidInput
from reludsl.expr import Input
from reludsl.network import Network
from reludsl.regions.bounds.activation_based import activation_based, reaches_of
from reludsl.regions.bounds.closed_forms import (
    checked,
    montufar_2014_lower,
    montufar_2017,
    raghu,
    serra_2018_lower,
    serra_2018_lower_arora,
    two_to_n,
    zaslavsky,
    zaslavsky_families,
)
from reludsl.regions.bounds.expected import hanin_rolnick
from reludsl.regions.bounds.histograms import deletion_histogram, hinz_van_de_geer
from reludsl.regions.bounds.recursion import Cut, recursion, serra_2018
from reludsl.regions.bounds.units import Layout
from reludsl.regions.outputs import with_output_units
from reludsl.regions.where import where_of

LARGEST_PRODUCT = 1_000_000
"""Entries of the matrices of the histogram bound."""

UPPER = "upper bound"
MEANINGS: Mapping[str, str] = MappingProxyType(
    {
        "zaslavsky_shallow": "maximum of one hidden layer of as many units",
        "montufar_2014_lower": "reached by some network of these widths",
        "montufar_2017": UPPER,
        "serra_2018": UPPER,
        "serra_2018_lower": "reached by some network of these widths",
        "hinz_van_de_geer": UPPER,
        "two_to_n": UPPER,
        "serra_2018_rank": f"{UPPER}, by the ranks of the weights",
        "activation_based": f"{UPPER}, by the signs of the weights",
        "cai_rank": f"{UPPER}, by ranks without units that have no weights",
        "histogram_sharpened": UPPER,
        "raghu": UPPER,
        "maxout": UPPER,
        "serra_2018_lower_arora": "reached by some network of these widths",
        "hanin_rolnick": "expected per volume of a random network",
    }
)
"""What each value says. An upper bound holds for every network that it is given for; the rest does not."""

BY_WEIGHTS = ("serra_2018_rank", "activation_based", "cai_rank")
"""What only a network has."""


@dataclass(frozen=True, slots=True)
class RegionBounds:
    """Bounds on the number of linear regions, exact integers; None where one does not hold, `notes` says why.

    Upper bounds hold for the whole space, and so for every domain; `activation_based` for the domain that was given.

    Args:
        inputs, widths: what they are about.
        zaslavsky_shallow: the maximum for one hidden layer of as many units. No bound for a deeper network.
        montufar_2014_lower, serra_2018_lower, serra_2018_lower_arora: some network of these widths has so many.
        montufar_2017: dimensions as far as widths limit them; for any activations, and any graph.
        raghu: likewise with the number of inputs as the dimension throughout.
        maxout: `montufar_2017` for networks with maxima.
        serra_2018, hinz_van_de_geer: also what inactive units cost. Equal, by different means.
        histogram_sharpened: the same framework with sharper histograms.
        two_to_n: the number of patterns that can be written down.
        serra_2018_rank, cai_rank: with the ranks of the weights; the latter without units whose weights are all 0.
        activation_based: with the signs of weights and biases, and on a domain without the units that never switch.
        hanin_rolnick: expected regions per volume of a random network, rounded up; only where T is given.
        notes: name of a bound -> why it is None, or what to know about it.
    """

    inputs: int
    widths: tuple[int, ...]
    zaslavsky_shallow: int | None = None
    montufar_2014_lower: int | None = None
    montufar_2017: int | None = None
    raghu: int | None = None
    maxout: int | None = None
    serra_2018: int | None = None
    serra_2018_lower: int | None = None
    serra_2018_lower_arora: int | None = None
    hinz_van_de_geer: int | None = None
    histogram_sharpened: int | None = None
    two_to_n: int | None = None
    serra_2018_rank: int | None = None
    activation_based: int | None = None
    cai_rank: int | None = None
    hanin_rolnick: int | None = None
    notes: Mapping[str, str] = field(default_factory=dict)

    @property
    def values(self) -> dict[str, int | None]:
        """Every bound by name."""
        return {name: getattr(self, name) for name in MEANINGS}

    def shown(self, of_network: bool) -> dict[str, int | None]:
        """What is worth a line: without weights nothing about them, and what was not asked for where it is None."""
        asked = {name for name in MEANINGS if of_network or name not in BY_WEIGHTS} - {"maxout", "hanin_rolnick"}
        return {name: value for name, value in self.values.items() if name in asked or value is not None}

    @property
    def upper(self) -> int:
        """The smallest of the upper bounds."""
        return min(
            value for name, value in self.values.items() if MEANINGS[name].startswith(UPPER) and value is not None
        )


@overload
def bounds(network: int, widths: Sequence[int], *, transitions: float | None = None) -> RegionBounds: ...
@overload
def bounds(
    network: Network,
    widths: None = None,
    *,
    domain: Input | Domain | Space | None = None,
    outputs_as_units: bool = False,
    transitions: float | None = None,
) -> RegionBounds: ...
def bounds(
    network: Network | int,
    widths: Sequence[int] | None = None,
    *,
    domain: Input | Domain | Space | None = None,
    outputs_as_units: bool = False,
    transitions: float | None = None,
) -> RegionBounds:
    """All region bounds, of a network, or of all ReLU networks with a number of inputs and hidden widths.

    Args:
        network: a network, or a number of inputs.
        widths: of the hidden layers, beside a number of inputs.
        domain: where regions are counted, as `count` takes it; the whole space by default.
        outputs_as_units: the outputs count as ReLU units, as `count` takes it.
        transitions: T of Hanin and Rolnick's expected number (`hanin_rolnick`).

    Raises:
        InvalidInput: sizes below 1, widths beside a network or none beside a number, a domain that does not fit, a
            layer whose pieces are unknown.

    >>> found = bounds(2, [4, 4])
    >>> found.serra_2018, found.montufar_2014_lower, found.serra_2018_lower
    (121, 44, None)
    >>> found.notes["serra_2018_lower"]
    'every width must be at least 3 x 2 inputs'
    """
    if isinstance(network, Network):
        if widths is not None:
            raise InvalidInput("a network and widths are given, and the network has its own; give one of the two")
        counted = with_output_units(network) if outputs_as_units else network
        where = Space(network.input_size) if domain is None else where_of(domain)
        return _of_network(Layout.of(counted), where, transitions)
    if widths is None or domain is not None or outputs_as_units:
        raise InvalidInput(
            "of a number of inputs the bounds need the widths and take no domain and no output layer, which belong to "
            "a network; give e.g. bounds(784, [11, 11]), with the outputs as the last width if they are to count"
        )
    return _of_widths(network, checked(network, widths), transitions)


def _of_widths(inputs: int, widths: tuple[int, ...], transitions: float | None) -> RegionBounds:
    notes = dict.fromkeys(BY_WEIGHTS, "needs the weights: give a network")
    found = {
        "zaslavsky_shallow": zaslavsky(sum(widths), inputs),
        "montufar_2017": montufar_2017(inputs, widths),
        "raghu": raghu(inputs, widths),
        "two_to_n": two_to_n([2] * sum(widths)),
        **_of_chain(inputs, widths, notes),
        **_expected(inputs, sum(widths), transitions),
    }
    return RegionBounds(inputs, widths, **found, notes=notes)


def _of_chain(inputs: int, widths: tuple[int, ...], notes: dict[str, str]) -> dict[str, int | None]:
    """What is about all chains of affine layers and ReLUs of these widths."""
    found: dict[str, int | None] = {
        "montufar_2014_lower": montufar_2014_lower(inputs, widths),
        "serra_2018": serra_2018(inputs, widths),
        "serra_2018_lower": serra_2018_lower(inputs, widths),
        "serra_2018_lower_arora": serra_2018_lower_arora(inputs, widths),
    }
    reasons = {
        "montufar_2014_lower": f"every width must be at least the {inputs} inputs",
        "serra_2018_lower": f"every width must be at least 3 x {inputs} inputs",
        "serra_2018_lower_arora": "the widths must be 2m, w, ..., w with m >= 1 and w >= 2",
    }
    notes.update({name: reason for name, reason in reasons.items() if found[name] is None})
    dimensions = [min(inputs, *widths[: k + 1]) for k in range(len(widths) - 1)]
    if sum(d * n for d, n in zip(dimensions, widths[1:])) > LARGEST_PRODUCT:
        why = "the matrices are too large; with the histograms of Zaslavsky it equals serra_2018"
        notes.update(dict.fromkeys(("hinz_van_de_geer", "histogram_sharpened"), why))
    else:
        found["hinz_van_de_geer"] = hinz_van_de_geer(inputs, widths)
        found["histogram_sharpened"] = hinz_van_de_geer(inputs, widths, deletion_histogram)
    return found


def _expected(inputs: int, neurons: int, transitions: float | None) -> dict[str, int | None]:
    if transitions is None:
        return {}
    return {"hanin_rolnick": math.ceil(hanin_rolnick(inputs, neurons, transitions))}


_OF_CHAINS = (
    "montufar_2014_lower", "serra_2018", "serra_2018_lower", "serra_2018_lower_arora", "hinz_van_de_geer",
    "histogram_sharpened", *BY_WEIGHTS,
)  # fmt: skip
"""What needs a chain in which inactive units are constant."""


def _of_network(layout: Layout, domain: Domain | Space, transitions: float | None) -> RegionBounds:
    inputs, widths, units = layout.inputs, layout.widths, layout.units
    layout.network.check_domain(domain)
    notes: dict[str, str] = {}
    families = [k for layer in units for k in layer.families]
    product = math.prod(zaslavsky_families(layer.families, min(layer.dimension, layer.size)) for layer in units)
    maxima = any(layer.activation is None for layer in units)
    found: dict[str, int | None] = {
        "zaslavsky_shallow": zaslavsky_families(families, inputs),
        "maxout" if maxima else "montufar_2017": product,
        "raghu": math.prod(zaslavsky(sum(layer.breaks), inputs) for layer in units),
        "two_to_n": two_to_n(p for layer in units for p in layer.pieces),
        **_expected(inputs, sum(widths), transitions),
    }
    if maxima:
        notes["montufar_2017"] = "the network has maxima, which have more than one break: see maxout"
    why = _no_chain(layout)
    if why:
        notes.update(dict.fromkeys(_OF_CHAINS, why))
    else:
        found.update(_of_chain(inputs, widths, notes))
        found.update(_of_weights(layout, domain, notes))
    return RegionBounds(inputs, widths, **found, notes=notes)


def _no_chain(layout: Layout) -> str:
    """Why the bounds for chains of ReLUs are not about a network; empty where they are."""
    for layer in layout.units:
        if layer.activation is None:
            return f"layer {layer.name!r} holds maxima, of which no piece is constant: see maxout"
        if not layer.bends_once_from_a_constant:
            return (
                f"layer {layer.name!r} is a {layer.activation.kind}, and these bounds need one break with a constant "
                "piece on one side of it, which takes a dimension away: see montufar_2017"
            )
    if layout.steps is None:
        return "a layer takes more than the layer before it, which may bring back lost dimensions: see montufar_2017"
    return ""


def _of_weights(layout: Layout, domain: Domain | Space, notes: dict[str, str]) -> dict[str, int | None]:
    """What the weights of a chain tell."""
    found: dict[str, int | None] = {
        "serra_2018_rank": serra_2018(layout.inputs, layout.widths, layout.ranks),
        "cai_rank": _cai(layout, layout.ranks),
    }
    other = next((layer for layer in layout.units if not layer.is_relu), None)
    if other is not None:
        notes["activation_based"] = (
            f"layer {other.name!r} is a {getattr(other.activation, 'kind', '')}; the signs of the coefficients tell "
            "something of units that are 0 up to 0 and rise from there"
        )
        return found
    known, dimension = None, layout.inputs
    if not isinstance(domain, Space):
        known = settle_ties(crown(layout.network, domain))
        box = domain.enclosure
        dimension = int(np.count_nonzero(box.lower < box.upper))
    found["activation_based"] = activation_based(dimension, reaches_of(layout, known))
    return found


def _cai(layout: Layout, ranks: Sequence[int]) -> int:
    left = [int(np.count_nonzero(step.varies)) for step in layout.steps or ()]
    return recursion(layout.inputs, [Cut(n, n, min(n, r)) for n, r in zip(left, ranks)])


def cai_rank(network: Network, structural: bool = False, outputs_as_units: bool = False) -> int:
    """Theorem 1 of Serra et al. 2018 with rank(W^l), and with n_l without the units whose weights are all zero.

    For pruned networks. A unit without weights is constant: it cuts nothing, and adds no dimension.

    Args:
        structural: the largest rank that a matrix with these zeros can have in place of the rank: the bound is then
            about the mask alone, whatever the weights that are left.
        outputs_as_units: the outputs count as ReLU units, as `count` takes it.

    Raises:
        InvalidInput: not a chain of affine layers and units with one break and one constant piece.

    Source: after Cai et al. 2023, Getting away with more network pruning: from sparsity to geometry and linear
    regions. They bound the expected maximum over random masks; here the mask, or the weights, are given.

    >>> from reludsl.layers import Affine, relu
    >>> pruned = Affine(np.array([[1.0, 0.0], [0.5, 0.0], [0.0, 0.0]]), np.ones(3))
    >>> net = Network.chain([pruned, relu, Affine(np.ones((1, 3)), np.zeros(1))], (2,))
    >>> cai_rank(net), serra_2018(2, [3])
    (3, 7)
    """
    layout = Layout.of(with_output_units(network) if outputs_as_units else network)
    why = _no_chain(layout)
    if why:
        raise InvalidInput(f"no bound by ranks: {why}")
    return _cai(layout, [step.rank(structural) for step in layout.steps or ()])
