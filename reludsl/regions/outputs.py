"""The outputs of a network as units of their own, as the published study of 22 units counts them."""

from __future__ import annotations

from reludsl.layers import relu
from reludsl.network import Network, Node


def with_output_units(network: Network) -> Network:
    """y -> max(0, y): the same network with a ReLU on its output, so that the outputs take part in the pattern.

    A network whose output is that of a ReLU is given back as it is: its outputs are such units already. Those of
    another activation are not, for its pieces do not say which outputs are above 0. Serra, Tjandraatmadja and
    Ramalingam 2018, section 6, count the ten outputs of their networks in this way.

    >>> import numpy as np
    >>> from reludsl.layers import Affine
    >>> net = Network.chain([Affine(np.eye(2), np.zeros(2)), relu, Affine(np.ones((1, 2)), -np.ones(1))], (2,))
    >>> with_output_units(net).neurons, with_output_units(with_output_units(net)).neurons
    (3, 3)
    """
    if network.by_name[network.output].layer == relu:
        return network
    taken = {node.name for node in network.nodes}
    name = next(n for n in (f"{network.output}_unit{'_' * k}" for k in range(len(taken) + 1)) if n not in taken)
    last = Node(name, relu, network.output)
    return Network((*network.nodes, last), network.input_shape, name, network.input_box)
