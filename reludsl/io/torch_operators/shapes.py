"""Elements that change places, and those that stay: reshape, permute, cat, indexing, dropout, ..."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from reludsl.backend import IntArray
from reludsl.errors import InvalidInput
from reludsl.io.torch_operators.common import Handle, Tensor, listed, refused

if TYPE_CHECKING:
    from reludsl.io.torch_reader import Tracing


def _taken(t: Tracing, label: str, input: Tensor, index: IntArray, kind: str = "slice") -> Tensor:
    return Tensor(t.build.take(label, input.name, np.asarray(index), kind))


def _numbers(t: Tracing, input: Tensor) -> IntArray:
    return t.build.numbers(input.name)


def _dropout(
    t: Tracing, label: str, input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Tensor:
    if training and p:
        raise refused(label, "is a dropout with training=True, which is random", "write training=self.training")
    return input


def _same(t: Tracing, label: str, input: Tensor, *_: Any, **__: Any) -> Tensor:
    return input


def _cast(t: Tracing, label: str, input: Tensor, *targets: Any, **named: Any) -> Tensor:
    kinds = [kind for kind in (*targets, *named.values()) if isinstance(kind, t.torch.dtype)]
    if any(not kind.is_floating_point for kind in kinds):
        raise refused(label, f"casts a computed tensor to {kinds[0]}, which jumps", "supported are float types")
    return input


def _flatten(t: Tracing, label: str, input: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    shape = t.shape(input)
    start, end = (k + len(shape) if k < 0 else k for k in (start_dim, end_dim))
    if not 0 <= start <= end < len(shape):
        raise InvalidInput(
            f"node {label!r} flattens axes {start_dim} to {end_dim} of a tensor of shape {shape}, which has none such; "
            "give an input_shape that includes the batch axis, e.g. (1, 28, 28)"
        )
    target = (*shape[:start], math.prod(shape[start : end + 1]), *shape[end + 1 :])
    return Tensor(t.build.reshape(label, input.name, target))


def _unflatten(t: Tracing, label: str, input: Tensor, dim: int, sizes: Sequence[int]) -> Tensor:
    shape = t.shape(input)
    k = dim + len(shape) if dim < 0 else dim
    return _reshape(t, label, input, (*shape[:k], *sizes, *shape[k + 1 :]))


def _reshape(t: Tracing, label: str, input: Tensor, *shape: Any) -> Tensor:
    wanted = listed(shape)
    target = [int(k) for k in wanted]
    size = math.prod(t.shape(input))
    if target.count(-1) == 1:
        known = max(1, -math.prod(target))
        target = [size // known if k == -1 else k for k in target]
    if math.prod(target) != size or any(k < 1 for k in target):
        raise InvalidInput(
            f"node {label!r} reshapes a tensor of shape {t.shape(input)} to {tuple(wanted)}; "
            "the numbers of elements differ: check input_shape"
        )
    return Tensor(t.build.reshape(label, input.name, target))


def _permute(t: Tracing, label: str, input: Tensor, *dims: Any) -> Tensor:
    return Tensor(t.build.transpose(label, input.name, listed(dims)))


def _transpose(t: Tracing, label: str, input: Tensor, dim0: int, dim1: int) -> Tensor:
    return _taken(t, label, input, _numbers(t, input).swapaxes(dim0, dim1), "transpose")


def _turn(t: Tracing, label: str, input: Tensor) -> Tensor:
    return _taken(t, label, input, _numbers(t, input).T, "transpose")


def _squeeze(t: Tracing, label: str, input: Tensor, dim: Any = None) -> Tensor:
    shape = t.shape(input)
    axes = range(len(shape)) if dim is None else listed((dim,))
    gone = {axis % len(shape) for axis in axes}
    return _reshape(t, label, input, [n for k, n in enumerate(shape) if k not in gone or n != 1])


def _unsqueeze(t: Tracing, label: str, input: Tensor, dim: int) -> Tensor:
    return _taken(t, label, input, np.expand_dims(_numbers(t, input), dim))


def _concat(t: Tracing, label: str, tensors: Sequence[Any], dim: int = 0) -> Tensor:
    parts = [part.name if isinstance(part, Tensor) else t.constant(part, label) for part in tensors]
    return Tensor(t.build.join(label, parts, dim))


def _stack(t: Tracing, label: str, tensors: Sequence[Any], dim: int = 0) -> Tensor:
    parts = [
        _unsqueeze(t, f"{label}.in", part, dim)
        if isinstance(part, Tensor)
        else np.expand_dims(t.constant(part, label), dim)
        for part in tensors
    ]
    return _concat(t, label, [part if isinstance(part, Tensor) else t.torch.tensor(part) for part in parts], dim)


def _pieces(t: Tracing, label: str, input: Tensor, lengths: Sequence[int], dim: int) -> tuple[Tensor, ...]:
    parts = np.split(_numbers(t, input), np.cumsum(lengths)[:-1], axis=dim)
    return tuple(_taken(t, f"{label}.{k}", input, part, "split") for k, part in enumerate(parts))


def _split(t: Tracing, label: str, tensor: Tensor, split_size_or_sections: Any, dim: int = 0) -> tuple[Tensor, ...]:
    size = t.shape(tensor)[dim]
    stated = split_size_or_sections
    if isinstance(stated, (list, tuple)):
        if sum(stated) != size:
            raise InvalidInput(f"node {label!r} splits an axis of {size} into parts of {list(stated)}; check their sum")
        return _pieces(t, label, tensor, stated, dim)
    return _pieces(t, label, tensor, [min(stated, size - k) for k in range(0, size, stated)], dim)


def _chunk(t: Tracing, label: str, input: Tensor, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    return _split(t, label, input, -(-t.shape(input)[dim] // chunks), dim)


def _narrow(t: Tracing, label: str, input: Tensor, dim: int, start: int, length: int) -> Tensor:
    return _cut(t, label, input, dim, start, start + length)


def _cut(
    t: Tracing, label: str, input: Tensor, dim: int = 0, start: Any = None, end: Any = None, step: int = 1
) -> Tensor:
    index = np.moveaxis(np.moveaxis(_numbers(t, input), dim, 0)[slice(start, end, step)], 0, dim)
    return _taken(t, label, input, index)


def _select(t: Tracing, label: str, input: Tensor, dim: int, index: int) -> Tensor:
    return _taken(t, label, input, np.asarray(_numbers(t, input).take(index, dim)))


def _index_select(t: Tracing, label: str, input: Tensor, dim: int, index: Any) -> Tensor:
    return _taken(t, label, input, _numbers(t, input).take(_places(t, index), dim), "gather")


def _places(t: Tracing, value: Any) -> Any:
    """An index as numpy takes it."""
    if isinstance(value, t.torch.Tensor):
        return value.detach().cpu().numpy()
    if isinstance(value, tuple):
        return tuple(_places(t, v) for v in value)
    return list(value) if isinstance(value, list) else value


def _item(t: Tracing, label: str, input: Any, index: Any) -> Any:
    if not isinstance(input, Tensor):
        # a part of a collection, as of what chunk gives
        return input[index]
    numbers = _numbers(t, input)
    kind = "slice" if not isinstance(index, (list, t.torch.Tensor)) else "gather"
    return _taken(t, label, input, numbers[_places(t, index)], kind)


def _flip(t: Tracing, label: str, input: Tensor, *dims: Any) -> Tensor:
    return _taken(t, label, input, np.flip(_numbers(t, input), tuple(listed(dims))))


def _expand(t: Tracing, label: str, input: Tensor, *sizes: Any) -> Tensor:
    wanted, shape = [int(k) for k in listed(sizes)], t.shape(input)
    kept = (*(1 for _ in range(len(wanted) - len(shape))), *shape)
    return Tensor(t.build.expand(label, input.name, [n if k == -1 else k for k, n in zip(wanted, kept)]))


def _repeat(t: Tracing, label: str, input: Tensor, *sizes: Any) -> Tensor:
    return _taken(t, label, input, np.tile(_numbers(t, input), listed(sizes)), "tile")


def _size(t: Tracing, label: str, input: Tensor, dim: int | None = None) -> Any:
    shape = t.shape(input)
    return shape if dim is None else shape[dim]


def attribute(t: Tracing, label: str, input: Any, name: str) -> Any:
    if not isinstance(input, Tensor):
        return input[0] if name == "values" else getattr(input, name)
    known = {"shape": t.shape(input), "ndim": len(t.shape(input))}
    if name == "T":
        return _turn(t, label, input)
    if name not in known:
        raise refused(label, f"reads .{name} of a computed tensor", "supported are .shape, .ndim and .T")
    return known[name]


FUNCTIONS: Mapping[str, Handle] = {
    "alias": _same,
    "cat": _concat,
    "chunk": _chunk,
    "clone": _same,
    "concat": _concat,
    "contiguous": _same,
    "detach": _same,
    "dim": lambda t, label, input: len(t.shape(input)),
    "double": _same,
    "dropout": _dropout,
    "expand": _expand,
    "feature_dropout": _dropout,
    "flatten": _flatten,
    "flip": _flip,
    "float": _same,
    "getitem": _item,
    "index_select": _index_select,
    "movedim": lambda t, label, input, source, destination: _taken(
        t, label, input, np.moveaxis(_numbers(t, input), source, destination), "transpose"
    ),
    "narrow": _narrow,
    "numel": lambda t, label, input: math.prod(t.shape(input)),
    "permute": _permute,
    "repeat": _repeat,
    "reshape": _reshape,
    "select": _select,
    "size": _size,
    "slice": _cut,
    "split": _split,
    "split_with_sizes": _split,
    "squeeze": _squeeze,
    "stack": _stack,
    "swapaxes": _transpose,
    "t": _turn,
    "to": _cast,
    "transpose": _transpose,
    "unflatten": _unflatten,
    "unsqueeze": _unsqueeze,
    "view": _reshape,
}

FUNCTIONAL: Mapping[str, Handle] = dict.fromkeys(
    ("dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "feature_alpha_dropout"), _dropout
)
"""Of torch.nn.functional alone."""

MODULES: Mapping[str, Handle] = {
    "Flatten": lambda t, label, m, x: _flatten(t, label, x, m.start_dim, m.end_dim),
    "Unflatten": lambda t, label, m, x: _unflatten(t, label, x, m.dim, m.unflattened_size),
    "Identity": lambda t, label, m, x: x,
    **dict.fromkeys(
        ("Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "AlphaDropout", "FeatureAlphaDropout"),
        lambda t, label, m, x: x,
    ),
}
