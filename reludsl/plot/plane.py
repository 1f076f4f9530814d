"""A cell complex of a plane, and a network along a line, as pictures."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from reludsl.backend import FloatArray, IntArray
from reludsl.errors import InvalidInput
from reludsl.plot.breakpoints import plot_breakpoints
from reludsl.plot.regions import Colouring, plot_regions
from reludsl.regions.lines import Lines
from reludsl.regions.planar import Plane


def plot_plane(
    found: Plane,
    colouring: Colouring = Colouring.PATTERN,
    *,
    depth: int | None = None,
    decision: Plane | None = None,
    points: FloatArray | None = None,
    labels: IntArray | None = None,
    axes: Any = None,
) -> Any:
    """The regions of a network in a plane (see `plot_regions`).

    Args:
        colouring: the gradient is the Frobenius norm of that of all outputs, in the plane's coordinates.
        depth: number of layers that colours of boundaries are shared among (see `plot_regions`).
        decision: the `decision_plane` of the same network and domain: its boundary is drawn thick, and classes are
            those of its faces. Without it a face has the class of a point in its middle.
        points: (p, 2) in the plane's coordinates; labels: (p,) their classes.
        axes: axes of matplotlib to draw on; new ones by default.

    Raises:
        MissingBackend: matplotlib is not installed.
        InvalidInput: a plane with regions that reach infinity.
    """
    filled, values = found, None
    if decision is not None and colouring is Colouring.CLASS:
        filled, values = decision, decision.classes
    vertices, offsets = filled.polygons()
    inner = np.flatnonzero(found.right >= 0)
    return plot_regions(
        filled.coordinates[vertices],
        offsets,
        _values(found, colouring) if values is None else values,
        colouring=colouring,
        boundaries=found.segments(inner),
        layers=found.edge_part[inner],
        depth=depth,
        decision=None if decision is None else decision.segments(decision.boundary()),
        points=points,
        labels=labels,
        axes=axes,
    )


def _values(found: Plane, colouring: Colouring) -> npt.NDArray[Any]:
    """What the colour of every face says."""
    match colouring:
        case Colouring.PATTERN:
            return found.words
        case Colouring.CLASS:
            return found.classes
        case Colouring.ACTIVE:
            return found.active
        case Colouring.GRADIENT:
            return np.asarray(np.linalg.norm(found.maps()[0], axis=(1, 2)))


def plot_line(found: Lines, curve: int = 0, *, axes: Any = None) -> Any:
    """The outputs of a network along one segment or chain above the breakpoints of its layers (`plot_breakpoints`).

    Args:
        curve: which of them.
        axes: axes of matplotlib to draw on; new ones by default.

    Raises:
        MissingBackend: matplotlib is not installed.
        InvalidInput: no curve of that number, or a whole line, which has no ends.
    """
    if not 0 <= curve < found.curves or found.whole:
        raise InvalidInput(
            f"curve {curve} of {found.curves}{' whole' if found.whole else ''} lines cannot be drawn from end to end; "
            "give the number of a segment, or the segment of the whole line that is to be seen"
        )
    own = slice(int(found.offsets[curve]), int(found.offsets[curve + 1]))
    events = np.flatnonzero(found.chain[found.point] == curve)
    names = tuple(part.name for part in found.plan.parts)
    number = np.array([names.index(name) for name in found.layer], dtype=np.int64)
    return plot_breakpoints(
        found.t[own], found.outputs[own], found.t[found.point[events]], number[events], names=names, axes=axes
    )
