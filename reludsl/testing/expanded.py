"""The same function with less to go wrong: dense matrices, and units of two pieces.

    expanded(network)

Every node of the network keeps its name and its value, as a flat vector; what stands between them is new.

    convolution, pool, normalisation, sum, selection, ...   y = W x + b, W what `apply` makes of unit vectors
    several sources                                         a node that only puts them one after the other
    f of K > 1 breaks that rises (or falls) all the way     f = g_K o ... o g_1, each of two pieces
    any other f of K > 1 breaks                             f(z) = s_0 z + c + sum_k (s_k - s_{k-1}) relu(z - b_k)
    max(x_1, ..., x_k)                                      m_1 = x_1, m_j = m_{j-1} + relu(x_j - m_{j-1})

Bounds of a network can be held against those of its written-out form: nothing that a layer says about itself, but
for its forward pass and its breaks and slopes, is used here.
"""

from __future__ import annotations

import itertools

import numpy as np
from scipy import sparse

from reludsl.backend import FloatArray, IntArray
from reludsl.errors import InvalidInput
from reludsl.layers import Affine, AffineLayer, MaxLayer, PiecewiseLinear, Reshape, relu
from reludsl.network import INPUT, Network, Node

__all__ = ["expanded"]

_LARGEST_DENSE = 2**20
"""Entries of the largest matrix that is stored dense."""

_ROWS = 128
"""Unit vectors that a layer is applied to at once."""


def expanded(network: Network) -> Network:
    """The same function written out with dense matrices and activations of two pieces; it takes flat vectors.

    Raises:
        InvalidInput: a layer of another kind than affine, `PiecewiseLinear` and maxima.

    >>> import numpy as np
    >>> from reludsl.layers import maxout
    >>> from reludsl.layers.activations import hard_tanh
    >>> net = Network.chain([Affine(np.array([[1.0], [-2.0]]), np.zeros(2)), hard_tanh(), maxout(2, 2)], (1,))
    >>> [node.layer.kind for node in expanded(net).nodes]
    ['affine', 'hard_tanh', 'hard_tanh', 'affine', 'reshape', 'affine', 'relu', 'reshape', 'affine']
    >>> expanded(net)(np.array([0.25])) == net(np.array([0.25]))
    array([ True])
    """
    form = _Form(network)
    for node in network.nodes:
        form.write(node)
    return Network(tuple(form.nodes), (network.input_size,), network.output, network.input_box)


class _Form:
    """The nodes of the written-out network as they come."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.nodes: list[Node] = []
        self.sizes: dict[str, int] = {INPUT: network.input_size}

    def add(self, name: str, layer: Affine | PiecewiseLinear | Reshape, *sources: str) -> str:
        self.nodes.append(Node(name, layer, *sources))
        size = sum(self.sizes[source] for source in sources)
        self.sizes[name] = layer.offset.size if isinstance(layer, Affine) else size
        return name

    def joined(self, name: str, *sources: str) -> str:
        """A node that puts its sources one after the other; none where there is only one."""
        if len(sources) == 1:
            return sources[0]
        return self.add(name, Reshape((sum(self.sizes[source] for source in sources),)), *sources)

    def write(self, node: Node) -> None:
        layer, name = node.layer, node.name
        x = self.joined(f"{name}.joined", *node.sources)
        if isinstance(layer, AffineLayer):
            self.add(name, _dense(layer, self.sizes[x], self.network.size(name)), x)
        elif isinstance(layer, PiecewiseLinear):
            self.activation(name, layer, x)
        elif isinstance(layer, MaxLayer):
            self.maximum(name, layer, x)
        else:
            raise InvalidInput(
                f"a {type(layer).__name__} is neither affine nor made of known pieces, so that {name!r} cannot be "
                "written out; there are affine layers, PiecewiseLinear, and maxima"
            )

    def activation(self, name: str, f: PiecewiseLinear, x: str) -> None:
        n = self.sizes[x]
        breaks, slopes = f.breaks_at(n), f.slopes_at(n)
        if f.pieces == 1:
            self.add(name, Affine(np.diag(slopes[0]), f(np.zeros((1, n)))[0]), x)
        elif f.pieces == 2:
            self.add(name, f, x)
        elif _composable(slopes):
            self.series(name, f, x, breaks, slopes)
        else:
            self.sum(name, f, x, breaks, slopes)

    def series(self, name: str, f: PiecewiseLinear, x: str, breaks: FloatArray, slopes: FloatArray) -> None:
        """g_1 is f up to its second break; g_k then turns the line of piece k - 1 into that of piece k."""
        values = f(breaks)
        for k, (z, y) in enumerate(zip(breaks, values)):
            if k == 0:
                left, right = slopes[0], slopes[1]
                anchor = z
            else:
                # what comes in rises with z or falls with it; beyond the break it is stretched
                stretch = slopes[k + 1] / slopes[k]
                left, right = np.where(slopes[1] > 0, 1.0, stretch), np.where(slopes[1] > 0, stretch, 1.0)
                anchor = y
            last = k == len(breaks) - 1
            step = PiecewiseLinear(f.name, (anchor,), (left, right), (anchor, y))
            x = self.add(name if last else f"{name}.{k + 1}", step, x)

    def sum(self, name: str, f: PiecewiseLinear, x: str, breaks: FloatArray, slopes: FloatArray) -> None:
        count, n = breaks.shape
        shifted = self.add(f"{name}.shifted", Affine(np.tile(np.eye(n), (count, 1)), -breaks.ravel()), x)
        bent = self.add(f"{name}.bent", relu, shifted)
        turns = [np.diag(after - before) for before, after in itertools.pairwise(slopes)]
        both = self.joined(f"{name}.parts", x, bent)
        offset = f(breaks[:1])[0] - slopes[0] * breaks[0]
        self.add(name, Affine(np.hstack([np.diag(slopes[0]), *turns]), offset), both)

    def maximum(self, name: str, layer: MaxLayer, x: str) -> None:
        windows = layer.windows
        units, k = windows.shape
        best = self.add(f"{name}.1" if k > 1 else name, _selection(windows[:, 0], self.sizes[x]), x)
        for j in range(1, k):
            part = f"{name}.{j + 1}"
            both = self.joined(f"{part}.both", best, x)
            take = _selection(windows[:, j] + units, self.sizes[both]).dense - np.eye(units, self.sizes[both])
            more = self.add(f"{part}.more", Affine(take, np.zeros(units)), both)
            rise = self.add(f"{part}.rise", relu, more)
            total = self.joined(f"{part}.total", best, rise)
            sum_ = Affine(np.tile(np.eye(units), (1, 2)), np.zeros(units))
            best = self.add(name if j == k - 1 else part, sum_, total)


def _dense(layer: AffineLayer, size_in: int, size_out: int) -> Affine:
    """W and b of an affine layer, from its forward pass alone."""
    bias = layer(np.zeros((1, size_in)))[0]
    wide = size_in * size_out > _LARGEST_DENSE
    blocks = []
    for start in range(0, size_in, _ROWS):
        count = min(_ROWS, size_in - start)
        columns = layer.apply(np.eye(count, size_in, start))
        blocks.append(sparse.csr_array(columns) if wide else columns)
    weight = sparse.csr_array(sparse.vstack(blocks).T) if wide else np.concatenate(blocks).T
    return Affine(weight, np.broadcast_to(bias, (size_out,)))


def _selection(index: IntArray, size: int) -> Affine:
    """y_i = x[index_i]."""
    return Affine(np.eye(size)[index], np.zeros(len(index)))


def _composable(slopes: FloatArray) -> bool:
    """Whether every element rises all the way, or falls, but for its first and its last piece, which may be flat."""
    inner = slopes[1:-1]
    same = (np.sign(slopes) == np.sign(slopes[1])) | (slopes == 0)
    return bool((inner != 0).all() and same.all())
