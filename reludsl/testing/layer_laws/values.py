"""Values: shapes, batches, the exact pass, and how far floats are from it."""

from __future__ import annotations

from fractions import Fraction
from math import prod

import numpy as np

from reludsl.domain import Box
from reludsl.exact import exactly
from reludsl.layers import Activation, AffineLayer, Layer, NonlinearLayer
from reludsl.testing.cases import hold
from reludsl.testing.layer_laws.comparing import close, near, text
from reludsl.testing.layer_laws.subject import Subject


def law_layer_is_of_a_known_kind(s: Subject) -> None:
    """It is an affine layer, an activation or a nonlinear layer, with all that a network asks of one."""
    kinds = [k for k in (AffineLayer, Activation, NonlinearLayer) if isinstance(s.layer, k)]
    hold(len(kinds) == 1, f"it is {len(kinds)} of AffineLayer, Activation, NonlinearLayer; derive it from one of them")
    hold(isinstance(s.layer, Layer), "it lacks something that `reludsl.layers.Layer` lists")
    hold(isinstance(s.layer.kind, str), f"its kind is {s.layer.kind!r}, which tables cannot show; give a text")


def law_output_shape_counts_the_values(s: Subject) -> None:
    """The output shape has as many elements as the forward pass gives."""
    shape, values = s.layer.output_shape(s.shape), s.layer(s.points)
    hold(
        values.shape == (len(s.points), prod(shape)),
        f"output_shape({s.shape}) is {shape}, and {len(s.points)} points give values of shape {values.shape}",
    )


def law_batch_is_row_by_row(s: Subject) -> None:
    """A batch gives what its points give one by one, up to rounding, and stays what it is."""
    before = s.points.copy()
    whole = s.layer(s.points)
    hold(np.array_equal(before, s.points), "the forward pass writes into its argument")
    for x, row in zip(s.points, whole):
        close(row, s.layer(x[None, :])[0], 2 * s.layer.forward_error(Box(x, x), 0 * x), f"the batch, at {text(x)}")


def law_exact_pass_is_exact(s: Subject) -> None:
    """Fractions give fractions, and the floats next to them values as near as the error of the input allows."""
    for x in s.points:
        third = exactly(x) * Fraction(2, 3) + exactly(0.5 * (s.box.lower + s.box.upper)) * Fraction(1, 3)
        value = s.layer.exact(third)
        odd = [v for v in value if not isinstance(v, Fraction | int)]
        hold(not odd, f"exact() of fractions holds {odd[:1]}, which proves nothing; keep to operations on objects")
        point = third.astype(np.float64)
        gap = np.array([float(abs(a - b)) for a, b in zip(third, exactly(point))])
        error = s.layer.forward_error(Box(point, point), 2 * gap)
        near(s.layer(point[None, :])[0], value, error, f"the float pass, at {text(point)}")


def law_floats_stay_within_forward_error(s: Subject) -> None:
    """|f~(x~) - f(x)| <= forward_error for |x~ - x| <= error, and with no error of the input at all."""
    moved, rng = 0.125 * (s.box.upper - s.box.lower), s.rng
    for x in s.points:
        true = s.exact(x)
        near(s.layer(x[None, :])[0], true, s.layer.forward_error(Box(x, x), 0 * x), f"the float pass, at {text(x)}")
        shifted = x + moved * rng.choice([-0.99, 0.99], x.size)
        error = s.layer.forward_error(s.box, moved)
        near(s.layer(shifted[None, :])[0], true, error, f"the float pass near {text(x)}, at {text(shifted)}")
