"""A layer is accepted when it keeps the laws: values, bounds, derivatives, programs and files say the same function.

    from reludsl.testing import check_layer

    check_layer(SortPairs(4), Box.full(-1, 1, (4,)))

What bounds claim is compared in exact rational arithmetic, on corners, ties and rough points of the box and of smaller
boxes, points among them. The laws are in `reludsl.testing.layer_laws`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import prod

from reludsl import plugins
from reludsl.backend import Backend
from reludsl.domain import Box
from reludsl.errors import InvalidInput
from reludsl.layers import Layer, Shape
from reludsl.testing.cases import LawBroken, NotOffered
from reludsl.testing.layer_laws import LAYER_LAWS, LayerLaw
from reludsl.testing.layer_laws.subject import Subject

__all__ = ["Checked", "check_layer"]


@dataclass(frozen=True, slots=True)
class Checked:
    """What was asked of a layer that keeps the laws.

    Args:
        kept: names of the laws that were checked.
        skipped: name -> why it does not apply.
    """

    kept: tuple[str, ...]
    skipped: Mapping[str, str]


def check_layer(
    layer: Layer,
    box: Box,
    shape: Shape | None = None,
    *,
    laws: Iterable[str] | None = None,
    seed: int = 0,
    backend: Backend | str | None = None,
) -> Checked:
    """Ask a layer all the laws, on a box of its inputs.

    Args:
        box: flat; with room on both sides of some kinks, or pieces are not seen. Small layers are checked best: up to
            about six binaries their programs are solved in exact arithmetic.
        shape: of the input tensor; one axis by default. For a layer of k tensors of one shape, (k, *shape).
        laws: names of the laws to check; all by default.
        seed: of the points.
        backend: for programs too large for enumeration; the first installed by default.

    Raises:
        AssertionError: it breaks laws; the message lists each, with the values.
        InvalidInput: a name that is no law, or a shape that has not as many elements as the box.

    >>> from reludsl.layers import maxout
    >>> checked = check_layer(maxout(4, 2), Box([0, 1, 2, 3], [2, 3, 4, 5]))
    >>> "interval_contains_values" in checked.kept, checked.skipped["absolute_is_that_of_the_rows"]
    (True, 'only affine layers have a matrix')
    """
    tensor = (box.size,) if shape is None else tuple(shape)
    if prod(tensor) != box.size or box.lower.ndim != 1:
        raise InvalidInput(
            f"a box of shape {box.lower.shape} does not fit a tensor of shape {tensor}, so no point can be taken from "
            "it; give a flat box with one interval per element"
        )
    subject = Subject(layer, box, tensor, seed, None if backend is None else plugins.load(backend))
    kept: list[str] = []
    skipped: dict[str, str] = {}
    broken: dict[str, str] = {}
    asked = _chosen(laws)
    for law in asked:
        try:
            law.check(subject)
        except NotOffered as reason:
            skipped[law.name] = str(reason)
        except LawBroken as problem:
            broken[law.name] = str(problem)
        except Exception as problem:  # a layer that raises breaks the law too, whatever it raises
            broken[law.name] = f"{type(problem).__name__}: {problem}"
        else:
            kept.append(law.name)
    if broken:
        lines = [f"{type(layer).__name__} breaks laws of layers, {len(broken)} of {len(asked)}:"]
        raise LawBroken("\n".join([*lines, *(f"  {name}: {text}" for name, text in broken.items())]))
    return Checked(tuple(kept), skipped)


def _chosen(laws: Iterable[str] | None) -> tuple[LayerLaw, ...]:
    known = {law.name: law for law in LAYER_LAWS}
    wanted = list(known) if laws is None else list(laws)
    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise InvalidInput(
            f"there is no law of layers named {', '.join(map(repr, unknown))}, so nothing would be checked; "
            f"choose from {', '.join(known)}"
        )
    return tuple(known[name] for name in wanted)
