"""Convolution, pooling, batch normalisation and padding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from reludsl.io.steps import Mode
from reludsl.io.torch_operators.common import Handle, Tensor, each, refused

if TYPE_CHECKING:
    from reludsl.io.torch_reader import Tracing

MODES: Mapping[str, Mode] = {"constant": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}
"""Of torch, and what numpy calls them."""


def _conv(
    t: Tracing,
    label: str,
    input: Tensor,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor:
    kernel = t.constant(weight, label)
    axes = kernel.ndim - 2
    steps = each(dilation, axes)
    if padding == "same":
        # an odd number has its larger half at the end
        missing = [d * (k - 1) for d, k in zip(steps, kernel.shape[2:])]
        pads = [(total // 2, total - total // 2) for total in missing]
    else:
        pads = [(p, p) for p in each(0 if padding == "valid" else padding, axes)]
    offset = None if bias is None else t.constant(bias, label)
    return Tensor(t.build.conv(label, input.name, kernel, offset, each(stride, axes), pads, steps, groups))


def _conv_module(t: Tracing, label: str, m: Any, x: Tensor) -> Tensor:
    if m.padding_mode != "zeros":
        raise refused(label, f"pads in mode {m.padding_mode!r}", "supported is padding_mode='zeros'; pad apart")
    return _conv(t, label, x, m.weight, m.bias, m.stride, m.padding, m.dilation, m.groups)


def _sides(padding: Any, axes: int) -> list[tuple[int, int]]:
    return [(p, p) for p in each(padding, axes)]


def _max_pool(axes: int) -> Handle:
    def read(
        t: Tracing,
        label: str,
        input: Tensor,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        ceil_mode: bool = False,
        return_indices: bool = False,
    ) -> Tensor:
        if return_indices:
            raise refused(label, "is a max pooling with return_indices=True", "supported is the maximum alone")
        kernel = each(kernel_size, axes)
        moves = each(stride or kernel, axes)
        return Tensor(
            t.build.max_pool(label, input.name, kernel, moves, _sides(padding, axes), each(dilation, axes), ceil_mode)
        )

    return read


def _average_pool(axes: int) -> Handle:
    def read(
        t: Tracing,
        label: str,
        input: Tensor,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: Any = None,
    ) -> Tensor:
        if divisor_override is not None:
            raise refused(label, f"divides by {divisor_override}", "supported is the average: scale it apart")
        kernel = each(kernel_size, axes)
        pads, moves = _sides(padding, axes), each(stride or kernel, axes)
        # without padding both counts are the same, and the plainer one is written
        counts = bool(count_include_pad) and any(map(any, pads))
        return Tensor(t.build.average_pool(label, input.name, kernel, moves, pads, ceil_mode, counts))

    return read


def _adaptive(axes: int, largest: bool) -> Handle:
    def read(t: Tracing, label: str, input: Tensor, output_size: Any, return_indices: bool = False) -> Tensor:
        _, spatial = t.build.channels(label, input.name, axes)
        wanted = list(output_size) if isinstance(output_size, (list, tuple)) else [output_size] * axes
        sizes = [size if out is None else int(out) for size, out in zip(spatial, wanted)]
        if return_indices or any(size % out for size, out in zip(spatial, sizes)):
            raise refused(
                label,
                f"pools {spatial} adaptively to {tuple(sizes)}",
                "supported are sizes that divide those of the tensor, without indices",
            )
        kernel = [size // out for size, out in zip(spatial, sizes)]
        pool = t.build.max_pool if largest else t.build.average_pool
        return Tensor(pool(label, input.name, kernel, kernel))

    return read


def _batch_norm(
    t: Tracing,
    label: str,
    input: Tensor,
    running_mean: Any,
    running_var: Any,
    weight: Any = None,
    bias: Any = None,
    training: bool = False,
    momentum: Any = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    if training or running_mean is None or running_var is None:
        raise refused(
            label,
            "is a batch normalisation by the statistics of the batch, which is not piecewise linear",
            "supported are running statistics: training=False, track_running_stats=True",
        )
    mean, variance = t.constant(running_mean, label), t.constant(running_var, label)
    gamma = np.ones_like(mean) if weight is None else t.constant(weight, label)
    beta = np.zeros_like(mean) if bias is None else t.constant(bias, label)
    return Tensor(t.build.batch_norm(label, input.name, gamma, beta, mean, variance, eps))


def _aten_batch_norm(
    t: Tracing,
    label: str,
    input: Tensor,
    weight: Any,
    bias: Any,
    running_mean: Any,
    running_var: Any,
    training: bool,
    momentum: Any,
    eps: float,
    cudnn_enabled: bool = False,
) -> Tensor:
    """torch.batch_norm, which orders its arguments otherwise than torch.nn.functional does."""
    return _batch_norm(t, label, input, running_mean, running_var, weight, bias, training, momentum, eps)


def _pad(
    t: Tracing, label: str, input: Tensor, pad: Sequence[int], mode: str = "constant", value: float | None = None
) -> Tensor:
    if mode not in MODES:
        raise refused(label, f"pads in mode {mode!r}", f"supported are {', '.join(MODES)}")
    numbers = [int(k) for k in pad]
    # the last axis comes first
    pairs = list(zip(numbers[::2], numbers[1::2]))[::-1]
    widths = [(0, 0)] * (len(t.shape(input)) - len(pairs)) + pairs
    return Tensor(t.build.pad(label, input.name, widths, MODES[mode], float(value or 0.0)))


def _pad_module(mode: str) -> Handle:
    return lambda t, label, m, x: _pad(t, label, x, m.padding, mode, getattr(m, "value", None))


def _max_module(axes: int) -> Handle:
    return lambda t, label, m, x: _max_pool(axes)(
        t, label, x, m.kernel_size, m.stride, m.padding, m.dilation, m.ceil_mode, m.return_indices
    )


def _average_module(axes: int) -> Handle:
    return lambda t, label, m, x: _average_pool(axes)(
        t,
        label,
        x,
        m.kernel_size,
        m.stride,
        m.padding,
        m.ceil_mode,
        m.count_include_pad,
        getattr(m, "divisor_override", None),
    )


def _adaptive_module(axes: int, largest: bool) -> Handle:
    return lambda t, label, m, x: _adaptive(axes, largest)(
        t, label, x, m.output_size, getattr(m, "return_indices", False)
    )


def _norm_module(t: Tracing, label: str, m: Any, x: Tensor) -> Tensor:
    return _batch_norm(t, label, x, m.running_mean, m.running_var, m.weight, m.bias, m.training, m.momentum, m.eps)


FUNCTIONS: Mapping[str, Handle] = {
    "batch_norm": _aten_batch_norm,
    "constant_pad_nd": lambda t, label, input, pad, value=0: _pad(t, label, input, pad, "constant", value),
    "pad": _pad,
    **{f"conv{axes}d": _conv for axes in (1, 2, 3)},
    **{f"max_pool{axes}d": _max_pool(axes) for axes in (1, 2, 3)},
    **{f"avg_pool{axes}d": _average_pool(axes) for axes in (1, 2, 3)},
    **{f"adaptive_avg_pool{axes}d": _adaptive(axes, largest=False) for axes in (1, 2, 3)},
    **{f"adaptive_max_pool{axes}d": _adaptive(axes, largest=True) for axes in (1, 2, 3)},
}

FUNCTIONAL: Mapping[str, Handle] = {"batch_norm": _batch_norm}
"""Of torch.nn.functional alone."""

MODULES: Mapping[str, Handle] = {
    **{f"Conv{axes}d": _conv_module for axes in (1, 2, 3)},
    **{f"BatchNorm{axes}d": _norm_module for axes in (1, 2, 3)},
    **{f"MaxPool{axes}d": _max_module(axes) for axes in (1, 2, 3)},
    **{f"AvgPool{axes}d": _average_module(axes) for axes in (1, 2, 3)},
    **{f"AdaptiveAvgPool{axes}d": _adaptive_module(axes, largest=False) for axes in (1, 2, 3)},
    **{f"AdaptiveMaxPool{axes}d": _adaptive_module(axes, largest=True) for axes in (1, 2, 3)},
    **{
        f"{name}Pad{axes}d": _pad_module(mode)
        for name, mode in (
            ("Constant", "constant"),
            ("Zero", "constant"),
            ("Reflection", "reflect"),
            ("Replication", "replicate"),
            ("Circular", "circular"),
        )
        for axes in (1, 2, 3)
    },
}
