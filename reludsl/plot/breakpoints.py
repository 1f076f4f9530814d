"""A network along a line: its outputs piece by piece, and its breakpoints as a rug."""

from __future__ import annotations

from typing import Any

import numpy as np

from reludsl.backend import FloatArray, IntArray
from reludsl.errors import InvalidInput
from reludsl.plot.axes import new_axes
from reludsl.plot.checks import array, classes
from reludsl.plot.colours import shades

ROW = 0.06
"""Height of a layer's row of the rug, as a share of the picture."""

DOTS = 300
"""Breakpoints up to which they are marked on the outputs too."""


def plot_breakpoints(
    t: FloatArray,
    outputs: FloatArray,
    breakpoints: FloatArray,
    layers: IntArray,
    *,
    names: tuple[str, ...] | None = None,
    axes: Any = None,
) -> Any:
    """The outputs along a line, straight between its points, above a rug with a row of breakpoints for each layer.

    Args:
        t: (points,) increasing, with every breakpoint among them and both ends.
        outputs: (points, outputs) of the network there, or (points,) of one output.
        breakpoints: (m,) where a unit changes its piece; layers: (m,) the layer of the unit, from 0.
        names: of the layers; "layer 1" and so on by default.
        axes: axes of matplotlib to draw on; new ones by default.

    Returns:
        The axes.

    Raises:
        MissingBackend: matplotlib is not installed.
        InvalidInput: arrays that do not fit together, t that does not increase or is infinite.
    """
    where = array(t, (None,), "points of the line")
    values = np.asarray(outputs)
    values = array(values[:, None] if values.ndim == 1 else values, (len(where), None), "outputs")
    if len(where) < 2 or (np.diff(where) < 0).any():
        raise InvalidInput(
            f"{len(where)} points with steps of at least {np.diff(where).min(initial=0):g} are no line; give two or "
            "more that increase"
        )
    ticks = array(breakpoints, (None,), "breakpoints")
    number = classes(layers, len(ticks), "layers of the breakpoints")
    depth = int(number.max(initial=0)) + 1 if names is None else len(names)
    if number.size and number.max() >= depth:
        raise InvalidInput(
            f"a breakpoint is of layer {number.max()}, and there are {depth} names, from layer 0 on; name every layer"
        )
    axes = new_axes() if axes is None else axes
    inner = np.isin(where, ticks) if len(ticks) <= DOTS else np.zeros(len(where), dtype=np.bool_)
    for k in range(values.shape[1]):
        label = "output" if values.shape[1] == 1 else f"output {k}"
        (line,) = axes.plot(where, values[:, k], linewidth=1.5, label=label)
        axes.plot(where[inner], values[inner, k], ".", markersize=4, color=line.get_color(), label="_bends")
    _rug(axes, ticks, number, tuple(f"layer {k + 1}" for k in range(depth)) if names is None else names)
    top, bottom = float(values.max()), float(values.min())
    margin = 0.05 * (top - bottom or 1.0)
    share = ROW * (depth + 1)
    axes.set_ylim(top + margin - (top - bottom + 2 * margin) / (1 - share), top + margin)
    axes.set_xlim(where[0], where[-1])
    axes.set_xlabel("t")
    axes.set_ylabel("output")
    axes.legend(fontsize="small", loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)
    return axes


def _rug(axes: Any, ticks: FloatArray, number: IntArray, names: tuple[str, ...]) -> None:
    """The last layer lowest."""
    from matplotlib.collections import LineCollection

    for k, (name, colour) in enumerate(zip(names, shades(len(names)))):
        own = ticks[number == k]
        low = ROW * (len(names) - 1 - k) + 0.1 * ROW
        rows = np.stack([np.full(own.size, low), np.full(own.size, low + 0.8 * ROW)], axis=1)
        segments: Any = np.stack([np.repeat(own[:, None], 2, axis=1), rows], axis=2)
        lines = LineCollection(segments, colors=[colour], linewidths=0.8, label=f"{name}: {own.size}")
        lines.set_transform(axes.get_xaxis_transform())
        axes.add_collection(lines, autolim=False)
